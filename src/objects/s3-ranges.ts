/**
 * Ranges of objects, without the stack of steps that the SDK's client takes for every request: a question of SQL reads dozens of
 * them, and each costs more there than all the rest of its way.
 *
 * The first range goes through the client, which resolves endpoint, addressing and signing by its own rules. What of that holds for
 * every key is kept (the *road*); the ranges that follow are signed by the client's own signer, with its credentials and its clock, and
 * sent by its own HTTP handler over the same connections. Where a server refuses one, the next goes through the client again, which
 * knows what to do about a skewed clock or a bucket that has moved. Buckets that are not signed for by SigV4 alone have no road.
 *
 * Time, tries and counting are the caller's (`s3-requests.ts`); refusals look as the SDK's do (`s3-errors.ts`).
 */
import type { IncomingMessage } from 'node:http';
import type * as Sdk from '@aws-sdk/client-s3';
import type { Clock } from '../kernel/index.js';
import type { ByteRange } from './object-store.js';
import { bodyOf, gathered, requireWhole } from './s3-body.js';
import type { RequestWatch } from './s3-requests.js';

/** What an error has to say stands in its first bytes. */
const refusalBytesMax = 64 * 1024;

type Signer = Awaited<ReturnType<Sdk.S3Client['config']['signer']>>;
type HttpRequest = Parameters<Signer['sign']>[0];

/** What the client has resolved, as far as it is the same for every key. */
interface Road {
  readonly request: Pick<HttpRequest, 'protocol' | 'hostname' | 'port'>;
  readonly headers: Readonly<Record<string, string>>;
  /** What stands before the key in a path, escaped. */
  readonly path: string;
  readonly signer: Signer;
  readonly region: string;
  readonly service: string;
}

export class S3Ranges {
  readonly #sdk: typeof Sdk;
  readonly #client: Sdk.S3Client;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #url: string;
  #road: Road | undefined;

  constructor(sdk: typeof Sdk, client: Sdk.S3Client, clock: Pick<Clock, 'nowMs'>, url: string) {
    this.#sdk = sdk;
    this.#client = client;
    this.#clock = clock;
    this.#url = url;
  }

  /** One request. Errors: as the SDK throws them; `store-unavailable` where fewer bytes came than were announced. */
  async read(at: { readonly Bucket: string; readonly Key: string }, range: ByteRange, watch: RequestWatch): Promise<Buffer> {
    const header = `bytes=${range.start}-${range.end - 1}`;
    return this.#road === undefined ? this.#byClient(at, header, watch) : this.#byRoad(this.#road, at.Key, header, watch);
  }

  async #byClient(at: { readonly Bucket: string; readonly Key: string }, range: string, watch: RequestWatch): Promise<Buffer> {
    const command = new this.#sdk.GetObjectCommand({ ...at, Range: range });
    let found: Road | undefined;
    command.middlewareStack.addRelativeTo(
      <In extends { readonly request: unknown }, Out>(next: (step: In) => Promise<Out>, context: object) =>
        async (step: In): Promise<Out> => {
          found = await this.#roadOf(step.request as HttpRequest, context, at.Key);
          return next(step);
        },
      { name: 'noteRoad', relation: 'before', toMiddleware: 'httpSigningMiddleware' },
    );
    const answer = await this.#client.send(command, { abortSignal: watch.signal });
    const body = bodyOf(answer);
    watch.expect(answer.ContentLength ?? 0);
    const bytes = await gathered(body, watch);
    requireWhole(this.#url, at.Key, bytes.length, answer.ContentLength);
    this.#road = found;
    return bytes;
  }

  async #roadOf(request: HttpRequest, context: object, key: string): Promise<Road | undefined> {
    const { endpointV2, s3ExpressIdentity } = context as {
      readonly endpointV2?: { readonly properties?: { readonly authSchemes?: readonly Parameters<Sdk.S3Client['config']['signer']>[0][] } };
      readonly s3ExpressIdentity?: unknown;
    };
    const scheme = endpointV2?.properties?.authSchemes?.[0];
    const tail = escaped(key);
    if (scheme?.name !== 'sigv4' || s3ExpressIdentity !== undefined || !request.path.endsWith(`/${tail}`)) return undefined;
    const { protocol, hostname, port, headers } = request;
    const kept = Object.entries(headers).filter(([name]) => ['host', 'user-agent', 'x-amz-user-agent'].includes(name));
    return {
      request: { protocol, hostname, ...(port === undefined ? {} : { port }) },
      headers: Object.fromEntries(kept),
      path: request.path.slice(0, -tail.length),
      signer: await this.#client.config.signer(scheme),
      region: scheme.signingRegion ?? (await this.#client.config.region()),
      service: scheme.signingName ?? 's3',
    };
  }

  async #byRoad(road: Road, key: string, range: string, watch: RequestWatch): Promise<Buffer> {
    const { config } = this.#client;
    const request: HttpRequest = {
      ...road.request,
      method: 'GET',
      path: road.path + escaped(key),
      query: {},
      headers: { ...road.headers, range },
    };
    const signed = await road.signer.sign(request, {
      signingDate: new Date(this.#clock.nowMs() + config.systemClockOffset),
      signingRegion: road.region,
      signingService: road.service,
    });
    const { response } = await config.requestHandler.handle(signed, { abortSignal: watch.signal });
    const { statusCode, headers, body } = response as { statusCode: number; headers: Record<string, string>; body: IncomingMessage };
    const announced = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
    watch.expect(Math.min(announced ?? 0, statusCode < 300 ? Number.POSITIVE_INFINITY : refusalBytesMax));
    if (statusCode < 300) {
      const bytes = await received(body, watch, Number.POSITIVE_INFINITY);
      requireWhole(this.#url, key, bytes.length, announced);
      return bytes;
    }
    this.#road = undefined;
    throw new Refusal(statusCode, headers, (await received(body, watch, refusalBytesMax)).toString('utf8'));
  }
}

/** As the SDK escapes a key in a path: segment by segment, and what `encodeURIComponent` leaves as well. */
function escaped(key: string): string {
  const segment = (text: string): string =>
    encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
  return key.split('/').map(segment).join('/');
}

/** By events: of a stream's iterator every chunk costs several turns. The handler's own listener ends it with the watch's signal. */
function received(body: IncomingMessage, watch: RequestWatch, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    if (body.destroyed) reject(new Error('the connection broke'));
    body.on('error', reject);
    body.on('close', () => reject(new Error('the connection broke')));
    body.on('end', () => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes)));
    body.on('data', (chunk: Buffer) => {
      watch.received(chunk.length);
      if (bytes < bytesMax) {
        chunks.push(chunk);
        bytes += chunk.length;
      } else body.destroy(new Error(`an error longer than ${bytesMax} bytes`));
    });
  });
}

/** A server's refusal, in the form that the SDK gives it. */
class Refusal extends Error {
  readonly $metadata: { readonly httpStatusCode: number };
  readonly $response: { readonly headers: Readonly<Record<string, string>> };

  constructor(status: number, headers: Readonly<Record<string, string>>, body: string) {
    super(textOf(body, 'Message') ?? `status ${status}`);
    this.name = textOf(body, 'Code') ?? 'UnknownError';
    this.$metadata = { httpStatusCode: status };
    this.$response = { headers };
  }
}

function textOf(xml: string, element: string): string | undefined {
  return new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
}
