/**
 * How much of the time cold ranges may be fetched while producers write, so that a reader of years of log is not felt by who
 * writes today. What producers feel is measured, not guessed: how long their requests take altogether, beside how long they
 * take while nothing is hydrated. Where the first is much more than the second, hydrations come one at a time with longer rests
 * between them; where it is not (idle cores, a fast disk), the rests shrink to nothing.
 *
 *     hydration │ rest            │ hydration │ rest            │       share = hydrating ÷ (hydrating + resting)
 *     ──────────┴─────────────────┴───────────┴─────────────────┴──►
 *      counts      counts as calm, too
 */
import type { Clock } from '../../kernel/index.js';

/** Producers that were silent so long are not in the way of anybody. */
const silenceMs = 2000;
/**
 * What the slowest requests may take at most, as a multiple of what they take in the calm. Producers are promised twice: the way
 * to them and back is not seen here.
 */
const feltRatioMax = 1.5;
/** Which ones these are: the 99th percentile is what services are held to. */
const feltShare = 0.99;
/** Latencies that are looked at: so many that the slowest hundredth is more than a few; ten seconds of an ordinary producer. */
const latenciesKept = 512;
/** Fewer say nothing. */
const latenciesMin = 50;
/** Between two steps of the share, at least. */
const stepMs = 500;
const stepLatencies = 20;
/** So long after the last hydration nothing more is learnt. */
const idleMs = 10_000;
const shareAtFirst = 0.25;
const shareMin = 0.05;
const growth = 1.1;
const shrinkage = 0.8;
/** From this share on several hydrations may run at once. */
const severalShare = 0.9;
/** After a hydration its last bytes are still on their way to the reader. */
const settleMs = 10;
/** A longer stretch of hydrations, begun before there were producers, is not paid back by a rest as long. */
const stretchMaxMs = 1000;
/** Without rests the calm is listened to so often, so long. */
const listenEveryMs = 30_000;
const listenMs = 250;

/** The last latencies, in ms. */
class Latencies {
  readonly #kept = new Float64Array(latenciesKept);
  #added = 0;

  get count(): number {
    return Math.min(this.#added, latenciesKept);
  }

  add(ms: number): void {
    this.#kept[this.#added % latenciesKept] = ms;
    this.#added++;
  }

  /** That which `share` of them do not exceed. */
  quantile(share: number): number {
    const sorted = this.#kept.slice(0, this.count).sort();
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  }
}

export class HydrationPace {
  readonly #clock: Clock;
  readonly #all = new Latencies();
  readonly #calm = new Latencies();
  #share = shareAtFirst;
  #running = 0;
  #stretchFromMs = 0;
  #endedMs = Number.NEGATIVE_INFINITY;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #producedMs = Number.NEGATIVE_INFINITY;
  #calmMs = Number.NEGATIVE_INFINITY;
  #steppedMs = Number.NEGATIVE_INFINITY;
  #sinceStep = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Of the time that hydrations may run at present, 0 … 1. */
  get share(): number {
    return this.#hasProducers(this.#clock.monotonicMs()) ? this.#share : 1;
  }

  /** A producer was answered after so long. */
  noteProduced(ms: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#producedMs = nowMs;
    this.#all.add(ms);
    this.#sinceStep++;
    if (this.#running === 0 && nowMs - ms >= this.#endedMs + settleMs) {
      this.#calm.add(ms);
      this.#calmMs = nowMs;
    }
    if (this.#sinceStep >= stepLatencies && nowMs - this.#steppedMs >= stepMs) this.#step(nowMs);
  }

  /** A hydration begins. */
  begin(): void {
    if (this.#running++ === 0) this.#stretchFromMs = this.#clock.monotonicMs();
  }

  /** One has ended: the rest begins. */
  end(): void {
    if (--this.#running > 0) return;
    const nowMs = this.#clock.monotonicMs();
    this.#endedMs = nowMs;
    const stretchMs = Math.min(nowMs - this.#stretchFromMs, stretchMaxMs);
    const restMs = this.#share >= severalShare ? 0 : stretchMs / this.#share - stretchMs;
    this.#restUntilMs = nowMs + (this.#mustListen(nowMs) ? Math.max(listenMs, restMs) : restMs);
  }

  /** After how many ms the next hydration may begin; `undefined`: not before one has ended. */
  waitMs(): number | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#hasProducers(nowMs)) return 0;
    if (this.#running > 0) return this.#share >= severalShare && !this.#mustListen(nowMs) ? 0 : undefined;
    return Math.max(0, this.#restUntilMs - nowMs);
  }

  #hasProducers(nowMs: number): boolean {
    return nowMs - this.#producedMs < silenceMs;
  }

  #mustListen(nowMs: number): boolean {
    return nowMs - this.#calmMs > listenEveryMs;
  }

  #step(nowMs: number): void {
    this.#steppedMs = nowMs;
    this.#sinceStep = 0;
    if (this.#calm.count < latenciesMin || nowMs - this.#endedMs > idleMs) return;
    const isFelt = this.#all.quantile(feltShare) > this.#calm.quantile(feltShare) * feltRatioMax;
    this.#share = isFelt ? Math.max(shareMin, this.#share * shrinkage) : Math.min(1, this.#share * growth);
  }
}
