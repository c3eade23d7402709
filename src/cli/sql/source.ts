/** Where statements are asked: the gateway of a running service, or a bucket in this process. Both answer the same routes. */
import type { BucketQuery } from '../../server/index.js';
import { callGateway, errorOfProblem } from '../client-options.js';

export interface CallInit {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export interface SqlSource {
  /** What the prompt says it is connected to. */
  readonly title: string;
  /** Errors: what the gateway refuses; `peer-gone` where none answers; the signal's reason. */
  call(path: string, init?: CallInit): Promise<Response>;
  close(): Promise<void>;
}

export function serverSource(server: string): SqlSource {
  return {
    title: `${server}, hot and cold`,
    call: (path, init) => callGateway(server, path, init),
    close: async () => undefined,
  };
}

/** `bucket` is closed with it. */
export function bucketSource(bucket: BucketQuery): SqlSource {
  return {
    title: bucket.url,
    call: async (path, init) => {
      const response = await bucket.fetch(path, init);
      if (response.ok) return response;
      if (init?.signal?.aborted === true) throw init.signal.reason;
      throw errorOfProblem(await response.text(), response.status);
    },
    close: () => bucket.close(),
  };
}

/** For people: what is not in the answers, and since when. */
export async function coldOnly(bucket: BucketQuery): Promise<string> {
  const notedAtMs = await bucket.notedAtMs();
  const until = notedAtMs === undefined ? '' : `, by the notes of ${new Date(notedAtMs).toISOString()}`;
  return `cold data only: what was committed to the bucket${until}`;
}
