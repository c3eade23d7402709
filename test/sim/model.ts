/**
 * What the world's clients know: which records were sent, which offset each was acknowledged or read at, and what may no longer
 * be lost. Everything that is read anywhere is held against it, field by field.
 */
import type { TopicId } from '../../src/kernel/index.js';
import { decodeBatch, type DecodedRecord, isControl, type NewRecord, walkBatches, batchLeaderEpoch } from '../../src/wire/index.js';
import { requireSound, simRow, type SimRow } from '../support/sim-workers.js';
import { Violation } from './scheduler.js';

/** The header by which a record is told from all others. */
export const idHeader = 'id';

/** What a record is, without where it lies. */
type Content = Pick<SimRow, 'timestampMs' | 'key' | 'value' | 'headers'>;

interface Bound {
  readonly id: number;
  /** Acknowledged with acks=all, flushed, or in the table: nothing may take it away. */
  isDurable: boolean;
}

/** Records of one idempotent producer, in the order it sent them. */
export interface Chain {
  readonly ids: number[];
}

/** Where records of one partition of one topic id are known to be. */
export class PartitionModel {
  readonly where: string;
  readonly sent = new Map<number, Content>();
  readonly bound: (Bound | undefined)[] = [];
  readonly offsets = new Map<number, number>();
  readonly #chains: Chain[] = [];
  /** The highest each was seen at: they never go back. */
  logStart = 0;
  /** What a client was told after it deleted records. */
  promisedStart = 0;
  boundary = 0;
  tableBoundary = 0;
  tableLogStart = 0;

  constructor(where: string) {
    this.where = where;
  }

  newChain(): Chain {
    const chain: Chain = { ids: [] };
    this.#chains.push(chain);
    return chain;
  }

  /** Notes a record before it is on its way; in a chain the broker must keep the order, too. */
  send(id: number, record: NewRecord, chain?: Chain): void {
    this.sent.set(id, contentOf(record));
    chain?.ids.push(id);
  }

  /**
   * When all of the log was read: of each chain a prefix is there, in order. What lay below the log start nobody may have seen, and a
   * producer that the log does not know may begin with any of its batches, as in Kafka.
   */
  requireChains(): void {
    for (const { ids } of this.#chains) {
      let last = -1;
      let missing: number | undefined;
      for (const id of ids) {
        const offset = this.offsets.get(id);
        if (offset === undefined) {
          missing ??= id;
          continue;
        }
        if (offset <= last) throw new Violation('reordered', `${this.where}: record ${id} at ${offset} was sent behind the one at ${last}`);
        if (missing !== undefined && missing !== ids[0] && this.logStart === 0) {
          throw new Violation('hole', `${this.where}: record ${id} of a producer is there, ${missing} before it is not`);
        }
        last = offset;
      }
    }
  }

  acknowledge(baseOffset: number, ids: readonly number[], isDurable: boolean): void {
    for (const [index, id] of ids.entries()) this.#bind(baseOffset + index, id, isDurable, 'an acknowledgement');
  }

  /** Offsets and timestamps of what may not be lost, by now. */
  durableRecords(): readonly { readonly offset: number; readonly timestampMs: number }[] {
    return this.bound.flatMap((bound, offset) => {
      const timestampMs = bound?.isDurable === true ? this.sent.get(bound.id)?.timestampMs : undefined;
      return timestampMs === undefined ? [] : [{ offset, timestampMs }];
    });
  }

  /**
   * What was answered for a time: the record there has it or a later one, and none of those that were there before the question, from
   * today's log start on, comes before it.
   */
  requireFirstAt(
    timestampMs: number,
    answered: { readonly offset: number; readonly timestamp: number },
    before: { readonly logStart: number; readonly durable: ReturnType<PartitionModel['durableRecords']> },
  ): void {
    const { offset } = answered;
    const end = offset < 0 ? Number.POSITIVE_INFINITY : offset;
    // Retention is a commit: the cold side goes by it before the broker has heard of it.
    const logStart = Math.max(this.logStart, this.tableLogStart);
    const passedOver = before.durable.find((record) => record.offset >= logStart && record.timestampMs >= timestampMs);
    if (passedOver !== undefined && passedOver.offset < end) {
      throw new Violation(
        'time',
        `${this.where}: ${offset} was answered for ${timestampMs}, the record at ${passedOver.offset} has ${passedOver.timestampMs}`,
      );
    }
    if (offset < 0) return;
    if (answered.timestamp < timestampMs || offset < before.logStart) {
      throw new Violation('time', `${this.where}: ${offset} with ${answered.timestamp} was answered for ${timestampMs}`);
    }
    const bound = this.bound[offset];
    const there = bound === undefined ? undefined : this.sent.get(bound.id)?.timestampMs;
    if (there !== undefined && there !== answered.timestamp) {
      throw new Violation('time', `${this.where}: ${answered.timestamp} was answered of the record at ${offset}, which has ${there}`);
    }
  }

  /** A record as it was read somewhere. */
  see(row: SimRow, isDurable: boolean, reader: string): void {
    const id = idOf(row);
    const sent = this.sent.get(id);
    if (sent === undefined)
      throw new Violation('invented', `${reader} of ${this.where}: offset ${row.offset} has record ${id}, which nobody sent`);
    const { timestampMs, key, value, headers } = row;
    const found = JSON.stringify({ timestampMs, key, value, headers });
    if (found !== JSON.stringify(sent)) {
      throw new Violation(
        'altered',
        `${reader} of ${this.where}: record ${id} at ${row.offset} is ${found}, ${JSON.stringify(sent)} was sent`,
      );
    }
    this.#bind(row.offset, id, isDurable, reader);
  }

  #bind(offset: number, id: number, isDurable: boolean, reader: string): void {
    const known = this.bound[offset];
    if (known !== undefined && known.id !== id) {
      throw new Violation('offset-reused', `${reader} of ${this.where}: offset ${offset} has record ${id}, and had ${known.id} before`);
    }
    const other = this.offsets.get(id);
    if (other !== undefined && other !== offset) {
      throw new Violation('doubled', `${reader} of ${this.where}: record ${id} is at ${offset} and at ${other}`);
    }
    this.offsets.set(id, offset);
    if (known === undefined) this.bound[offset] = { id, isDurable };
    else known.isDurable ||= isDurable;
  }

  /** What lies below is on disk. */
  flushedBelow(offset: number): void {
    for (let at = 0; at < Math.min(offset, this.bound.length); at++) {
      const bound = this.bound[at];
      if (bound !== undefined) bound.isDurable = true;
    }
  }

  /** The log ends here after a start: what lay above is gone, and none of it may have been promised. */
  endsAt(offset: number): void {
    for (let at = offset; at < this.bound.length; at++) {
      const bound = this.bound[at];
      if (bound === undefined) continue;
      if (bound.isDurable) {
        throw new Violation('lost', `${this.where} ends at ${offset} after a start; record ${bound.id} at ${at} was durable`);
      }
      this.offsets.delete(bound.id);
    }
    this.bound.length = Math.min(this.bound.length, offset);
  }
}

export class Model {
  readonly #partitions = new Map<string, PartitionModel>();
  #lastId = 0;

  nextId(): number {
    return ++this.#lastId;
  }

  of(topicId: TopicId, partition: number, name: string): PartitionModel {
    const key = `${topicId}/${partition}`;
    let found = this.#partitions.get(key);
    if (found === undefined) this.#partitions.set(key, (found = new PartitionModel(`${name}-${partition}`)));
    return found;
  }
}

function contentOf({ timestampMs, key, value, headers = [] }: NewRecord): Content {
  const text = (bytes: Uint8Array | null | undefined): string | null =>
    bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('base64');
  return {
    timestampMs,
    key: text(key),
    value: text(value),
    headers: headers.map((header) => [Buffer.from(header.key as Buffer).toString('base64'), text(header.value)]),
  };
}

function idOf(row: SimRow): number {
  const [key, value] = row.headers[0] ?? [];
  if (key !== Buffer.from(idHeader).toString('base64') || value === null || value === undefined) return -1;
  return Number(Buffer.from(value, 'base64').toString());
}

/** The records of batches, without control records. Errors: `batch-corrupt` where a batch is not what was sent. */
export function rowsOf(batches: Buffer): SimRow[] {
  const rows: SimRow[] = [];
  walkBatches(batches, (at) => {
    requireSound(batches, at);
    if (isControl(batches, at)) return;
    const epoch = batchLeaderEpoch(batches, at);
    for (const record of decodeBatch(batches, at) as DecodedRecord[]) rows.push(simRow(record, epoch));
  });
  return rows;
}
