/** Where statements are asked: the gateway of a running service, or a bucket in this process. Both answer the same routes. */
import { callGateway } from '../client-options.js';

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
