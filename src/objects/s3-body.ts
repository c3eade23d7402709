/** Bodies of answers: chunk by chunk under a watch, or whole, as long as they were announced. */
import { Readable } from 'node:stream';
import { LakeError } from '../kernel/index.js';
import type { RequestWatch } from './s3-requests.js';

/** An answer's body by the SDK; nobody needs to listen to it when its connection breaks. */
export function bodyOf(answer: { readonly Body?: unknown }): Readable {
  const body = answer.Body as Readable & { readonly source?: unknown };
  // The SDK reads the connection's stream through one that checks it, and takes its listeners off where it ends early: an error
  // that comes behind that would have no listener, and end the process.
  const source = body.source instanceof Readable ? body.source : body;
  for (const stream of new Set([body, source])) stream.on('error', () => undefined);
  return body;
}

/** A body's chunks; each tells the watch, and the watch's signal ends it. */
export async function* watched(body: Readable, watch: RequestWatch): AsyncGenerator<Buffer> {
  const onAbort = (): void => {
    body.destroy(new Error('given up'));
  };
  watch.signal.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const chunk of body) {
      watch.received((chunk as Buffer).length);
      yield chunk as Buffer;
    }
  } finally {
    watch.signal.removeEventListener('abort', onAbort);
  }
}

/** The body in one piece. */
export async function gathered(body: Readable, watch: RequestWatch): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of watched(body, watch)) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

/** Errors: `store-unavailable` where fewer bytes came than were announced. */
export function requireWhole(url: string, key: string, bytes: number, announced: number | undefined): void {
  if (announced === undefined || bytes === announced) return;
  throw new LakeError('store-unavailable', `reading ${key} in ${url}: ${bytes} bytes of ${announced} came`, {
    hint: 'Look for what cuts connections between this machine and the object store.',
    facts: { key, bytes, announced },
  });
}
