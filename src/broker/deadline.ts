/** Work that is due later, on the clock port, and can be called off. */
import type { Clock } from '../kernel/index.js';

/** Runs `work` after `ms` unless the returned function is called first. */
export function runAfter(clock: Clock, ms: number, work: () => void): () => void {
  const controller = new AbortController();
  void clock.sleep(Math.max(0, ms), controller.signal).then(
    () => {
      if (!controller.signal.aborted) work();
    },
    () => undefined,
  );
  return () => controller.abort();
}
