/**
 * What a role tells the world about its own life: NDJSON events on stdout for scripts, a short text for people, and the
 * signals that end it.
 */
import { type Clock, systemClock } from '../kernel/index.js';

export interface ReadyEvent {
  readonly event: 'ready';
  /** `host:port` of the Kafka listener, where the role has or knows one. */
  readonly kafka?: string;
  /** Base URL of the gateway. */
  readonly http?: string;
  readonly pid: number;
}

export type LifecycleEvent =
  | ReadyEvent
  | { readonly event: 'stopping'; readonly reason: string }
  | { readonly event: 'stopped' }
  | { readonly event: 'role-started' | 'role-ended'; readonly role: string; readonly pid: number | undefined; readonly reason?: string };

/** Writes an event: one line of JSON where stdout is not a terminal, a sentence where it is. */
export function emit(event: LifecycleEvent, out: NodeJS.WriteStream = process.stdout): void {
  if (!out.isTTY) {
    out.write(`${JSON.stringify(event)}\n`);
    return;
  }
  switch (event.event) {
    case 'ready':
      out.write(
        `ready${event.kafka === undefined ? '' : ` · Kafka ${event.kafka}`}${event.http === undefined ? '' : ` · ${event.http}`}\n`,
      );
      break;
    case 'role-ended':
      out.write(`${event.role} ended (${event.reason ?? 'unknown'}), starting it again\n`);
      break;
    case 'stopping':
      out.write(`stopping (${event.reason})\n`);
      break;
    case 'stopped':
    case 'role-started':
      break;
  }
}

/** From here on a reader of stdout that goes away (`| head -1`) is no reason to end: a service is not run for what it prints. */
export function outliveReaders(out: NodeJS.WriteStream = process.stdout): void {
  out.removeAllListeners('error');
  out.on('error', () => undefined);
}

/** Longest that a clean stop may take; after it the process ends anyway. */
export const stopDeadlineMs = 10_000;

/** A shell, npm and `timeout` pass on what the terminal sent to all: the same wish, heard twice. */
const sameWishMs = 1000;

/** Resolves with the name of the first signal that asks for a stop. One more, a second later or more, ends the process at once. */
export function stopSignal(clock: Pick<Clock, 'monotonicMs'> = systemClock): Promise<string> {
  return new Promise((resolve) => {
    let askedMs: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (askedMs !== undefined && clock.monotonicMs() - askedMs >= sameWishMs) process.exit(130);
        askedMs ??= clock.monotonicMs();
        resolve(signal);
      });
    }
  });
}
