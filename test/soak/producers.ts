// Producers that run through the soak at a steady rate and note in the ledgers what was sent and acknowledged.
import { setTimeout as sleep } from 'node:timers/promises';
import { openProducer, type Producer } from '../../src/client/index.js';
import type { Lake } from '../support/lake.js';
import { contentOf, mixed } from './content.js';
import type { Ledger } from './ledger.js';

const tickMs = 25;
/** Not yet acknowledged; a producer that meets it waits. */
const outstandingMax = 2000;

export class Producers {
  readonly failures: unknown[] = [];
  readonly #producer: Producer;
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  #outstanding = 0;

  constructor(lake: Lake, ledgers: readonly Ledger[]) {
    this.#producer = openProducer({ ...lake.client, acks: -1, compression: 'lz4', batchBytes: 32 * 1024, deliveryTimeoutMs: 120_000 });
    this.#running = Promise.all(ledgers.map((ledger) => this.#produce(ledger)));
  }

  /** Resolves when all that was sent is acknowledged, or failed. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#producer.close();
    while (this.#outstanding > 0) await sleep(tickMs);
  }

  async #produce(ledger: Ledger): Promise<void> {
    const { recordsPerSecond } = ledger.plan;
    let next = 0;
    let due = 0;
    while (!this.#stop.signal.aborted) {
      due += (recordsPerSecond * tickMs) / 1000;
      for (; next < due && this.#outstanding < outstandingMax; next++) this.#send(ledger, next);
      due = Math.min(due, next + recordsPerSecond);
      ledger.noteMoment();
      await sleep(tickMs);
    }
  }

  #send(ledger: Ledger, n: number): void {
    const { plan } = ledger;
    const { key, value, timestampMs } = contentOf(plan, n);
    // A key keeps its partition, so that its last record is the one with the highest offset.
    const partition =
      key === null ? mixed(n, plan.salt + 3) % plan.partitions : mixed(Number(key.slice(1)), plan.salt + 4) % plan.partitions;
    ledger.noteSent(partition);
    this.#outstanding++;
    const record = {
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      partition,
      timestampMs,
    };
    this.#producer
      .send(plan.name, record)
      .then(
        (delivery) => ledger.noteAcked(delivery.partition, delivery.offset, n),
        (error: unknown) => this.failures.push(error),
      )
      .finally(() => {
        this.#outstanding--;
      });
  }
}
