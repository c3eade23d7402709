// The model: which record was acknowledged at which offset, and what the log may be seen to hold between two moments.
import { eventually } from '../support/processes.js';
import { contentOf, fieldsOf, keyOf, timestampOf, type TopicPlan } from './content.js';

/** Of one partition: [start, end). */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** A partition of a topic as an answer saw it: every offset in [start, end) holds a record. */
export interface Row {
  readonly partition: number;
  readonly offset: number;
  readonly n: number;
}

interface Moment {
  readonly ms: number;
  readonly acked: readonly number[];
  readonly sent: readonly number[];
}

const historyMax = 4000;

interface PartitionLedger {
  /** Offset → number of the record; a hole is not acknowledged yet. */
  readonly numbers: (number | undefined)[];
  sent: number;
  /** First offset without an acknowledged record. */
  acked: number;
}

export class Ledger {
  readonly plan: TopicPlan;
  readonly contradictions: string[] = [];
  /** What was acknowledged and sent when, oldest first; thinned when there is much of it. */
  #history: Moment[] = [];
  readonly #partitions: PartitionLedger[];

  constructor(plan: TopicPlan) {
    this.plan = plan;
    this.#partitions = Array.from({ length: plan.partitions }, () => ({ numbers: [], sent: 0, acked: 0 }));
  }

  noteSent(partition: number): void {
    this.#partitions[partition]!.sent++;
  }

  noteAcked(partition: number, offset: number, n: number): void {
    const ledger = this.#partitions[partition]!;
    const known = ledger.numbers[offset];
    if (known !== undefined || offset < 0)
      this.contradictions.push(`${this.plan.name}: records ${known} and ${n} are both acknowledged at ${partition}/${offset}`);
    ledger.numbers[offset] = n;
    while (ledger.numbers[ledger.acked] !== undefined) ledger.acked++;
  }

  /** By partition: what every answer to a question asked from now on must hold. */
  acked(): number[] {
    return this.#partitions.map(({ acked }) => acked);
  }

  /** By partition: what no answer that has ended by now can go beyond. */
  sent(): number[] {
    return this.#partitions.map(({ sent }) => sent);
  }

  /** To be called often: as of a time can only be asked about as exactly as this. */
  noteMoment(): void {
    this.#history.push({ ms: Date.now(), acked: this.acked(), sent: this.sent() });
    if (this.#history.length > historyMax) this.#history = this.#history.filter((_moment, at) => at % 2 === 0);
  }

  /** By partition: what lay in the log at the latest before one time, and at most by another. */
  between(fromMs: number, untilMs: number): { readonly acked: readonly number[]; readonly sent: readonly number[] } {
    const acked = this.#history.findLast(({ ms }) => ms <= fromMs)?.acked ?? this.acked().map(() => 0);
    const sent = this.#history.find(({ ms }) => ms > untilMs)?.sent ?? this.sent();
    return { acked, sent };
  }

  get records(): number {
    return this.acked().reduce((sum, one) => sum + one, 0);
  }

  numberAt(partition: number, offset: number): number {
    return this.#partitions[partition]!.numbers[offset]!;
  }

  /** Where a partition holds records of a key, below an end. */
  offsetsOf(key: string, partition: number, end: number): number[] {
    const offsets: number[] = [];
    for (let offset = 0; offset < end; offset++) if (keyOf(this.plan, this.numberAt(partition, offset)) === key) offsets.push(offset);
    return offsets;
  }

  /** Waits until what an answer has shown is acknowledged as well: acknowledgements are on their way. */
  async until(extents: readonly Extent[]): Promise<void> {
    await eventually(
      `${this.plan.name} acknowledged up to ${JSON.stringify(extents.map(({ end }) => end))}, is ${JSON.stringify(this.acked())}`,
      () => extents.every(({ end }, partition) => this.#partitions[partition]!.acked >= end) || undefined,
    );
  }
}

/** What a question was asked of: a topic within the extents that its answer saw. */
export class View {
  readonly plan: TopicPlan;
  readonly extents: readonly Extent[];
  readonly #ledger: Ledger;

  constructor(ledger: Ledger, extents: readonly Extent[]) {
    this.#ledger = ledger;
    this.plan = ledger.plan;
    this.extents = extents;
  }

  /** By partition and offset. */
  *rows(): Generator<Row> {
    for (const [partition, { start, end }] of this.extents.entries()) {
      for (let offset = start; offset < end; offset++) yield { partition, offset, n: this.#ledger.numberAt(partition, offset) };
    }
  }

  /** From the last one back, at most so many of each partition. */
  last(partition: number, count: number): Row[] {
    const { start, end } = this.extents[partition]!;
    const rows: Row[] = [];
    for (let offset = end - 1; offset >= Math.max(start, end - count); offset--) {
      rows.push({ partition, offset, n: this.#ledger.numberAt(partition, offset) });
    }
    return rows;
  }

  /** What the model has for a record of this topic. */
  content(n: number) {
    return contentOf(this.plan, n);
  }

  fields(n: number) {
    return fieldsOf(this.plan, n);
  }

  key(n: number): string | null {
    return keyOf(this.plan, n);
  }

  timestampMs(n: number): number {
    return timestampOf(this.plan, n);
  }

  /** The last row of each key, tombstones among them; records without a key are left out. */
  lastByKey(): Map<string, Row> {
    const last = new Map<string, Row>();
    for (const row of this.rows()) {
      const key = this.key(row.n);
      if (key !== null) last.set(key, row);
    }
    return last;
  }
}
