// What the soak itself does to the service, and which errors a client may meet for it: every other error is a finding.
import { isLakeError } from '../../src/kernel/index.js';
import { Refusal } from '../support/lake.js';

export type Disturbance = 'engine kill' | 'gateway kill' | 'overload';

interface Window {
  readonly kind: Disturbance;
  readonly fromMs: number;
  toMs: number;
}

/** A process that was just killed may be handed to a query before anyone has noticed. */
const noticedWithinMs = 250;

/** An answer in a format that has no place for a late error: the connection ended before it did. */
export class BrokenOff extends Error {}

/** The code of a problem, or what else it is. */
export function codeOf(error: unknown): string {
  if (error instanceof Refusal) return error.problem.code;
  if (error instanceof BrokenOff) return 'broken off';
  if (isLakeError(error)) return error.code;
  if (error instanceof TypeError || (error instanceof Error && /terminated|aborted|socket|ECONNRE/.test(error.message)))
    return 'connection';
  return error instanceof Error ? error.message : String(error);
}

export class Excuses {
  readonly counts = new Map<string, number>();
  readonly #windows: Window[] = [];

  /** Notes what is done now; the window is open until the function given back is called. */
  begin(kind: Disturbance): () => void {
    const window: Window = { kind, fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
    this.#windows.push(window);
    return () => {
      window.toMs = performance.now() + noticedWithinMs;
    };
  }

  /** What a call that began then and failed now is excused by; undefined where it is a finding. */
  of(error: unknown, startedMs: number): string | undefined {
    const code = codeOf(error);
    const met = new Set(this.#windows.filter(({ toMs }) => toMs >= startedMs).map(({ kind }) => kind));
    const isExcused =
      (met.has('gateway kill') &&
        (code === 'connection' || code === 'broken off' || (error instanceof Refusal && error.problem.retriable === true))) ||
      (met.has('engine kill') && (code === 'worker-died' || code === 'broken off')) ||
      (met.has('overload') && code === 'overloaded');
    if (!isExcused) return undefined;
    this.counts.set(code, (this.counts.get(code) ?? 0) + 1);
    return code;
  }
}
