/** Turns lines made one chunk at a time into a response body that waits for a slow reader and stops with a gone one. */

/** Bytes gathered before they are handed to the socket. */
const flushBytes = 64 * 1024;

/**
 * The body pulls `chunks` only as fast as the client reads. When the client goes away the iteration is ended (its `finally`
 * runs) and `onCancel` is called.
 */
export function bodyOf(chunks: AsyncIterable<string>, onCancel: () => void): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        let gathered = '';
        for (;;) {
          const next = await iterator.next();
          if (next.done === true) {
            if (gathered !== '') controller.enqueue(encoder.encode(gathered));
            controller.close();
            return;
          }
          gathered += next.value;
          if (gathered.length >= flushBytes) {
            controller.enqueue(encoder.encode(gathered));
            return;
          }
        }
      },
      cancel: async () => {
        onCancel();
        await iterator.return?.();
      },
    },
    { highWaterMark: 1 },
  );
}
