/** Copies between places that do not overlap. */

/** Up to here a loop over vectors copies faster than the engine's call. */
const loopBytesMax: usize = 512;
const vectorBytes: usize = 16;

/** Touches up to fifteen bytes behind both places: what lies there is read and, at the target, overwritten. */
export function copyRoughly(to: usize, from: usize, bytes: usize): void {
  if (bytes > loopBytesMax) {
    memory.copy(to, from, bytes);
    return;
  }
  for (let at: usize = 0; at < bytes; at += vectorBytes) v128.store(to + at, v128.load(from + at));
}
