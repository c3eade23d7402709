/**
 * What the world's clients know: which records were sent, which offset each was acknowledged or read at, and what may no longer
 * be lost. Everything that is read anywhere is held against it, field by field.
 */
import type { TopicId } from '../../src/kernel/index.js';
import { decodeBatch, type DecodedRecord, isControl, type NewRecord, walkBatches, batchLeaderEpoch } from '../../src/wire/index.js';
import { simRow, type SimRow } from '../support/sim-workers.js';
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

/** Where records of one partition of one topic id are known to be. */
export class PartitionModel {
  readonly where: string;
  readonly sent = new Map<number, Content>();
  readonly bound: (Bound | undefined)[] = [];
  readonly offsets = new Map<number, number>();
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

  send(id: number, record: NewRecord): void {
    this.sent.set(id, contentOf(record));
  }

  acknowledge(baseOffset: number, ids: readonly number[], isDurable: boolean): void {
    for (const [index, id] of ids.entries()) this.#bind(baseOffset + index, id, isDurable, 'an acknowledgement');
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

/** The records of batches, without control records. */
export function rowsOf(batches: Buffer): SimRow[] {
  const rows: SimRow[] = [];
  walkBatches(batches, (at) => {
    if (isControl(batches, at)) return;
    const epoch = batchLeaderEpoch(batches, at);
    for (const record of decodeBatch(batches, at) as DecodedRecord[]) rows.push(simRow(record, epoch));
  });
  return rows;
}
