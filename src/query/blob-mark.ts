/** How bytes look in an answer: as text where they are UTF-8. */

/** Begins the text of bytes that are not UTF-8 in an answer; base64 follows. */
export const blobMark = 'base64:';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Marked also where the text itself begins as the mark does. */
export function blobText(bytes: Uint8Array): string {
  try {
    const text = strictUtf8.decode(bytes);
    if (!text.startsWith(blobMark)) return text;
  } catch {
    // Not UTF-8: marked below.
  }
  return blobMark + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
