/** Which partition a key goes to: murmur2, as Kafka's Java producer does it, so that all clients agree. */

const seed = 0x9747b28c;
const m = 0x5bd1e995;

/** The 32-bit murmur2 of some bytes, with the seed of Kafka's clients; signed. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  let h = seed ^ length;
  const whole = length & ~3;
  for (let at = 0; at < whole; at += 4) {
    let k =
      (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const left = length - whole;
  if (left >= 3) h ^= (bytes[whole + 2] as number) << 16;
  if (left >= 2) h ^= (bytes[whole + 1] as number) << 8;
  if (left >= 1) h = Math.imul(h ^ (bytes[whole] as number), m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}

/** The partition of a key among `partitions`. */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
