/**
 * The one fetch loop of the daemon: asks the broker for every followed partition of every topic at once, so that an idle service
 * costs one held request, and takes turns where more is there than fits an answer.
 */
import type { FetchPartition } from '../client/index.js';
import { backoffMs, KiB, sum } from '../kernel/index.js';
import { Wakeup, withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';
import type { TopicTier } from './topic-tier.js';

/** Partitions in one fetch; the others have their turn in the next. */
const partitionsPerFetchMax = 1000;
/** A fetch with less is followed by a pause, in which more may gather. */
const smallFetchBytes = 256 * KiB;
/** Pause while there is nothing that may be fetched; whatever changes that wakes the loop. */
const idleMs = 250;

export class Follower {
  readonly #ports: TierPorts;
  readonly #topics: () => Iterable<TopicTier>;
  readonly #wakeup: Wakeup;
  #turn = 0;

  constructor(ports: TierPorts, topics: () => Iterable<TopicTier>) {
    this.#ports = ports;
    this.#topics = topics;
    this.#wakeup = new Wakeup(ports.clock);
  }

  wake(): void {
    this.#wakeup.wake();
  }

  /** Ends when the daemon stops. */
  async run(): Promise<void> {
    const { stop, settings, random, logger } = this.#ports;
    let failures = 0;
    while (!stop.aborted) {
      try {
        const bytes = await this.#fetchOnce();
        failures = 0;
        if (bytes === null) await this.#wakeup.wait(idleMs, stop);
        else if (bytes < smallFetchBytes) await this.#wakeup.wait(settings.fetchLingerMs, stop);
      } catch (error) {
        if (stop.aborted) return;
        failures++;
        const pause = backoffMs(settings.retry, failures, random);
        logger.warn('the log could not be fetched', { error, retryMs: Math.round(pause) });
        await this.#wakeup.wait(pause, stop);
      }
    }
  }

  /** Resolves to the bytes that came, or `null` where nothing could be asked for. */
  async #fetchOnce(): Promise<number | null> {
    const { reader, settings, stop, clock } = this.#ports;
    if (this.#isSpoolFull()) return null;
    const all = [...this.#topics()].flatMap((topic) => topic.fetches());
    if (all.length === 0) return null;
    // The broker fills an answer in order, so each fetch begins elsewhere.
    const start = this.#turn++ % all.length;
    const asked = [...all.slice(start), ...all.slice(0, start)].slice(0, partitionsPerFetchMax);
    const answers = await withDeadline('fetching the log', settings.fetchWaitMs + settings.brokerTimeoutMs, clock, stop, (signal) =>
      reader.fetch(
        asked.map((fetch) => fetch.ask),
        { maxWaitMs: settings.fetchWaitMs, minBytes: 1, maxBytes: settings.fetchBytes, isolation: 'committed', signal },
      ),
    );
    const byPartition = new Map(asked.map((fetch) => [partitionKey(fetch.ask), fetch]));
    const taken = await Promise.all(
      answers.map(async (answer) => {
        const fetch = byPartition.get(partitionKey(answer));
        return fetch === undefined ? 0 : fetch.owner.accept(fetch.partition, fetch.generation, answer);
      }),
    );
    return sum(taken);
  }

  /** Over its bound what cannot be cut is let go, else the fullest topic is cut early; until space is free nothing is fetched. */
  #isSpoolFull(): boolean {
    const topics = [...this.#topics()];
    const bytes = topics.reduce((sum, topic) => sum + topic.spoolBytes, 0);
    const { spoolBytesMax } = this.#ports.settings;
    if (bytes < spoolBytesMax) return false;
    if (bytes - topics.reduce((sum, topic) => sum + topic.shedFailing(), 0) < spoolBytesMax) return false;
    if (!topics.some((topic) => topic.isCutting)) {
      const [fullest] = [...topics].sort((a, b) => b.spoolBytes - a.spoolBytes);
      fullest?.cutEarly();
    }
    return true;
  }
}

function partitionKey(of: Pick<FetchPartition, 'topicId' | 'partition'>): string {
  return `${of.topicId}/${of.partition}`;
}
