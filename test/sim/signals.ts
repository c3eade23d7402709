/**
 * Lets go of a world that has ended. Node keeps each signal made by `AbortSignal.any` for as long as somebody listens to it (to be told
 * of sources that nobody else holds), and a process that was killed in its tracks never leaves off listening: without this, every
 * world would stay in memory, about 2 MB each, until the last one ends.
 */
import { getEventListeners } from 'node:events';

const composites: WeakRef<AbortSignal>[] = [];
const any = AbortSignal.any.bind(AbortSignal);

AbortSignal.any = (sources) => {
  const signal = any(sources);
  composites.push(new WeakRef(signal));
  return signal;
};

/** Nobody listens any more to what was composed so far. Only when no world is running. */
export function letGoOfSignals(): void {
  for (const composite of composites.splice(0)) {
    const signal = composite.deref();
    if (signal === undefined) continue;
    for (const listener of getEventListeners(signal, 'abort')) signal.removeEventListener('abort', listener as () => void);
  }
}
