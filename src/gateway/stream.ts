/** Bodies both ways: a request's within a bound, a response's at the pace of its reader. */
import { LakeError } from '../kernel/index.js';

/** Bytes gathered before they are handed to the socket. */
const flushBytes = 64 * 1024;

/** As `bytesBody`, of texts, which are gathered on their way. */
export function bodyOf(chunks: AsyncIterable<string>, onCancel: () => void): ReadableStream<Uint8Array> {
  return bytesBody(gathered(chunks), onCancel);
}

async function* gathered(chunks: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let text = '';
  for await (const chunk of chunks) {
    text += chunk;
    if (text.length < flushBytes) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

/**
 * The body pulls `chunks` only as fast as the client reads. When the client goes away the iteration is ended (its `finally`
 * runs) and `onCancel` is called.
 */
export function bytesBody(chunks: AsyncIterable<Uint8Array>, onCancel: () => void): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await iterator.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => {
        onCancel();
        await iterator.return?.();
      },
    },
    { highWaterMark: 1 },
  );
}

/** Ends what is done for a request when its client goes away, or calls `onStopped` for it by no longer reading the answer. */
export interface Caller {
  readonly signal: AbortSignal;
  readonly onStopped: () => void;
}

export function callerOf(request: Request): Caller {
  const gone = new AbortController();
  const end = (why: string): void => gone.abort(new LakeError('cancelled', why));
  request.signal.addEventListener('abort', () => end('the client closed the connection'), { once: true });
  return { signal: gone.signal, onStopped: () => end('the client stopped reading') };
}

/** A request's body as text; no more than `maxBytes` of it are ever in memory. Errors: `request-too-large`, `request-invalid`. */
export async function textOf(request: Request, maxBytes: number, hint: string): Promise<string> {
  const tooLarge = (bytes: string): LakeError =>
    new LakeError('request-too-large', `the body has ${bytes} bytes; ${maxBytes} are allowed`, { hint, facts: { maxBytes } });
  const announced = request.headers.get('content-length');
  if (Number(announced) > maxBytes) throw tooLarge(String(announced));
  // No more comes than was announced. All at once it costs less than by a stream.
  const bytes = announced === null ? await streamed(request, maxBytes, tooLarge) : await request.arrayBuffer();
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new LakeError('request-invalid', 'the body is not UTF-8', { hint: 'Send bytes that are no text as base64.', cause });
  }
}

async function streamed(request: Request, maxBytes: number, tooLarge: (bytes: string) => LakeError): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(`more than ${maxBytes}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
