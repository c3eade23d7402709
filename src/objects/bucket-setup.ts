/**
 * Makes a place ready to be a bucket: the bucket itself, versioning, and rules that let go what nobody can see. May be repeated; what
 * others have set stays. Done by the `minio` client, which is loaded here only: it knows a bucket's settings on every S3 server.
 */
import { mkdir, stat } from 'node:fs/promises';
import type { Client } from 'minio';
import { isErrno, LakeError, minuteMs, systemClock, systemRandom } from '../kernel/index.js';
import { type OpenStoreOptions, openObjectStore, parseBucketUrl } from './open.js';
import { probeConditionalWrites } from './probe.js';
import { openS3Client, s3Address } from './s3-client.js';

export interface BucketSetup {
  /** `keep` leaves it as it is. */
  readonly versioning: 'on' | 'off' | 'keep';
  /** With versioning: days after which a version that was replaced or deleted goes for good. */
  readonly noncurrentDays: number;
  /** Only look, and say what would be done. */
  readonly isDryRun: boolean;
}

/**
 * `there`: nothing to do. `planned`: a dry run would do it. `lacking`: this server cannot, and the service works all the same.
 */
export type SetupState = 'done' | 'there' | 'planned' | 'lacking';

export interface SetupStep {
  readonly step: string;
  readonly state: SetupState;
  readonly detail: string;
}

/** A day, as the daemon's own sweep: the slowest upload takes minutes. */
const unfinishedDays = 1;
const unfinishedRule = 'thermocline-unfinished-uploads';
const noncurrentRule = 'thermocline-noncurrent-versions';
/** One question about a bucket's settings. */
const askMs = minuteMs;

type Lifecycle = NonNullable<Awaited<ReturnType<Client['getBucketLifecycle']>>>;
type Rule = Lifecycle['Rule'][number];

/** Errors: `config-invalid-value`, `store-refused`, `store-unavailable`, `store-unsafe`, `unsupported` for `memory:`. */
export async function setUpBucket(url: string, setup: BucketSetup, options: OpenStoreOptions = {}): Promise<readonly SetupStep[]> {
  const place = parseBucketUrl(url);
  if (place.kind === 'memory') {
    throw new LakeError('unsupported', 'memory: needs no preparation and keeps nothing', {
      hint: 'Use file:///absolute/path or s3://bucket/prefix.',
    });
  }
  const steps: SetupStep[] = [];
  if (place.kind === 'directory') steps.push(await makeFolder(place.path, setup.isDryRun));
  else steps.push(...(await new S3Setup(place, setup, await clientOf(options)).run()));
  if (setup.isDryRun) return steps;
  const store = await openObjectStore(url, options);
  try {
    await probeConditionalWrites(store, options.random ?? systemRandom);
    const detail = `of racing writers one won each time${place.kind === 's3' ? ', also in parts' : ''}`;
    steps.push({ step: 'conditional writes', state: 'there', detail });
  } finally {
    await store.close();
  }
  return steps;
}

/**
 * The least rights that the service needs, as an IAM policy. Listing is of the whole bucket: with a condition on the prefix a server
 * answers "forbidden" where an object is missing, and a missing object is an answer that the service lives on.
 */
export function leastRightsPolicy(place: { readonly bucket: string; readonly prefix: string }): object {
  const { bucket, prefix } = place;
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'ThermoclineList',
        Effect: 'Allow',
        Action: ['s3:ListBucket', 's3:ListBucketMultipartUploads'],
        Resource: [`arn:aws:s3:::${bucket}`],
      },
      {
        Sid: 'ThermoclineObjects',
        Effect: 'Allow',
        Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
        Resource: [`arn:aws:s3:::${bucket}/${prefix === '' ? '*' : `${prefix}/*`}`],
      },
    ],
  };
}

async function makeFolder(path: string, isDryRun: boolean): Promise<SetupStep> {
  const step = 'directory';
  try {
    if ((await stat(path)).isDirectory()) return { step, state: 'there', detail: path };
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      throw new LakeError('store-refused', `the bucket directory ${path} cannot be looked at`, {
        hint: 'Correct bucket.url, or the rights of the folders above.',
        cause: error,
      });
    }
    if (isDryRun) return { step, state: 'planned', detail: path };
    await mkdir(path, { recursive: true });
    return { step, state: 'done', detail: path };
  }
  throw new LakeError('store-refused', `${path} is there and no directory`, { hint: 'Correct bucket.url.' });
}

interface SetupClient {
  readonly client: Client;
  readonly region: string;
}

/** The second client with the credentials and the region of the first, so that both see one configuration. */
async function clientOf(options: OpenStoreOptions): Promise<SetupClient> {
  const [{ Client: MinioClient }, { client: first }] = await Promise.all([import('minio'), openS3Client(options)]);
  try {
    const [credentials, region] = await Promise.all([first.config.credentials(), first.config.region()]);
    const endpoint = new URL(options.endpoint ?? 'https://s3.amazonaws.com');
    const client = new MinioClient({
      endPoint: endpoint.hostname,
      ...(endpoint.port === '' ? {} : { port: Number(endpoint.port) }),
      useSSL: endpoint.protocol === 'https:',
      accessKey: credentials.accessKeyId,
      secretKey: credentials.secretAccessKey,
      ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
      region,
      pathStyle: s3Address(options).isPathStyle,
    });
    return { client, region };
  } catch (cause) {
    throw new LakeError('store-refused', `no credentials or no region: ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: 'Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and bucket.region, or a profile.',
      cause,
    });
  } finally {
    first.destroy();
  }
}

class S3Setup {
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #setup: BucketSetup;
  readonly #client: Client;
  readonly #region: string;

  constructor(place: { readonly bucket: string; readonly prefix: string }, setup: BucketSetup, { client, region }: SetupClient) {
    this.#bucket = place.bucket;
    this.#prefix = place.prefix === '' ? '' : `${place.prefix}/`;
    this.#setup = setup;
    this.#client = client;
    this.#region = region;
  }

  async run(): Promise<readonly SetupStep[]> {
    const made = await this.#makeBucket();
    if (made.state === 'planned') {
      return [
        made,
        ...['versioning', unfinishedRule].map((step): SetupStep => ({ step, state: 'planned', detail: 'once the bucket is there' })),
      ];
    }
    const steps = [made, ...(await this.#setVersioning())];
    const filter = { Filter: { Prefix: this.#prefix } };
    steps.push(
      await this.#setRule(
        { ID: unfinishedRule, Status: 'Enabled', ...filter, AbortIncompleteMultipartUpload: { DaysAfterInitiation: unfinishedDays } },
        `uploads in parts that nobody finishes go after ${unfinishedDays} day`,
        'the daemon removes its own once a day where the server lists them; MinIO removes all after a day',
      ),
    );
    if ((await this.#versioning()) === 'Enabled' || (this.#setup.versioning === 'on' && this.#setup.isDryRun)) {
      const days = this.#setup.noncurrentDays;
      steps.push(
        await this.#setRule(
          {
            ID: noncurrentRule,
            Status: 'Enabled',
            ...filter,
            NoncurrentVersionExpiration: { NoncurrentDays: days },
          },
          `versions that were replaced or deleted go after ${days} days`,
          'replaced and deleted versions stay for ever',
        ),
      );
    }
    return steps;
  }

  async #makeBucket(): Promise<SetupStep> {
    const step = 'bucket';
    const detail = `${this.#bucket} (${this.#region})`;
    if (await this.#ask('looking for the bucket', () => this.#client.bucketExists(this.#bucket))) return { step, state: 'there', detail };
    if (this.#setup.isDryRun) return { step, state: 'planned', detail };
    await this.#ask('making the bucket', () => this.#client.makeBucket(this.#bucket, this.#region));
    return { step, state: 'done', detail };
  }

  async #versioning(): Promise<string | undefined> {
    const found: unknown = await this.#ask('reading versioning', () => this.#client.getBucketVersioning(this.#bucket));
    return typeof found === 'object' && found !== null ? (found as { Status?: string }).Status : undefined;
  }

  async #setVersioning(): Promise<readonly SetupStep[]> {
    const step = 'versioning';
    const wanted = ({ on: 'Enabled', off: 'Suspended', keep: undefined } as const)[this.#setup.versioning];
    const now = await this.#versioning();
    const is = now === 'Enabled' ? 'on' : 'off';
    if (wanted === undefined || wanted === now || (wanted === 'Suspended' && now === undefined))
      return [{ step, state: 'there', detail: is }];
    const detail = this.#setup.versioning;
    if (this.#setup.isDryRun) return [{ step, state: 'planned', detail }];
    return [
      await this.#unlessLacking({ step, state: 'done', detail }, 'what is overwritten or deleted is gone at once', () =>
        this.#client.setBucketVersioning(this.#bucket, { Status: wanted }),
      ),
    ];
  }

  /** Puts one rule beside those that are there, in place of an earlier one of its name. */
  async #setRule(rule: Rule, detail: string, without: string): Promise<SetupStep> {
    const step = rule.ID;
    return this.#unlessLacking({ step, state: this.#setup.isDryRun ? 'planned' : 'done', detail }, without, async () => {
      const rules = await this.#rules();
      const before = rules.find(({ ID }) => ID === rule.ID);
      if (before !== undefined && isSameRule(before, rule)) return { step, state: 'there', detail };
      if (this.#setup.isDryRun) return undefined;
      return this.#client.setBucketLifecycle(this.#bucket, { Rule: [...rules.filter(({ ID }) => ID !== rule.ID), rule] });
    });
  }

  async #rules(): Promise<readonly Rule[]> {
    try {
      const found: unknown = await this.#client.getBucketLifecycle(this.#bucket);
      // A single rule comes as it is, several as a list.
      const rules = typeof found === 'object' && found !== null ? ((found as { Rule?: Rule | Rule[] }).Rule ?? []) : [];
      return Array.isArray(rules) ? rules : [rules];
    } catch (error) {
      if (codeOf(error) === 'NoSuchLifecycleConfiguration') return [];
      throw error;
    }
  }

  /** `step` where it could be done, or what `work` answers instead; and where the server cannot, what that means. */
  async #unlessLacking(step: SetupStep, without: string, work: () => Promise<SetupStep | void>): Promise<SetupStep> {
    const lacking = new Set(['NotImplemented', 'MethodNotAllowed', 'VersioningNotConfigured', 'InvalidArgument', 'MalformedXML']);
    return this.#ask(`setting ${step.step}`, async () => {
      try {
        return (await work()) ?? step;
      } catch (error) {
        const code = codeOf(error);
        if (!lacking.has(code)) throw error;
        return { ...step, state: 'lacking', detail: `this server answers ${code}: ${without}` };
      }
    });
  }

  async #ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    const late = new AbortController();
    try {
      return await Promise.race([
        work(),
        systemClock.sleep(askMs, late.signal).then((): never => {
          throw new Error(`no answer within ${askMs} ms`);
        }),
      ]);
    } catch (error) {
      if (error instanceof LakeError) throw error;
      const code = codeOf(error);
      const facts = { bucket: this.#bucket, s3: code };
      const message = `${what} in s3://${this.#bucket}: ${error instanceof Error ? error.message : String(error)}`;
      // What the server says has a code of its own; what the network says has the operating system's.
      if (code === '' || /^E[A-Z_]+$/.test(code)) {
        throw new LakeError('store-unavailable', message, {
          hint: 'Check that the object store is up and that bucket.endpoint is right.',
          facts,
          cause: error,
        });
      }
      throw new LakeError('store-refused', message, {
        hint: 'Use credentials that may make buckets and set their lifecycle and versioning; the service itself needs fewer rights.',
        facts,
        cause: error,
      });
    } finally {
      late.abort();
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Whether two rules say the same, whatever the order of their entries and the type of their numbers. */
function isSameRule(a: Rule, b: Rule): boolean {
  const plain = (value: unknown): unknown =>
    typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([x], [y]) => (x < y ? -1 : 1))
            .map(([name, inner]) => [name, plain(inner)]),
        )
      : String(value);
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
}
