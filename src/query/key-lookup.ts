/** The statement of a key lookup, and what it can find rows in: the question is ours, as that of the records route is. */
import { quoteName } from '../columns/index.js';
import { LakeError, type PartitionId } from '../kernel/index.js';
import { everything } from './ranges.js';
import { ownStatement, type RecordsPlan, recordsSql } from './records-plan.js';

export const keyOrders = ['offset', 'time', 'newest'] as const;

export interface KeyRequest {
  readonly topic: string;
  readonly key: Buffer;
  /** All records of the key; else the last one alone, as `latest(topic)` has it, a tombstone included. */
  readonly isHistory: boolean;
  /** Of a history: by partition and offset, by time, or by time with the newest first; `offset` where left out. */
  readonly order?: (typeof keyOrders)[number] | undefined;
  readonly limit?: number | undefined;
  /** A token of an earlier answer. */
  readonly asOf?: string | undefined;
}

/** Longer keys are refused: the statement holds them. */
const keyBytesMax = 64 * 1024;

const orderBy: Readonly<Record<(typeof keyOrders)[number], string>> = {
  offset: '_partition_id, _offset',
  time: '_timestamp_ms, _partition_id, _offset',
  newest: '_timestamp_ms DESC, _partition_id DESC, _offset DESC',
};

/** Of the last record alone: the last of each partition, and the first of these is the one. Errors: `request-invalid`. */
export function keyPlan({ topic, key, isHistory, order = 'offset', limit }: KeyRequest): RecordsPlan {
  if (key.length > keyBytesMax) {
    throw new LakeError('request-invalid', `the key has ${key.length} bytes; ${keyBytesMax} are allowed`, {
      hint: 'Look for it with SQL, by its hash: WHERE sha256(_key) = ….',
    });
  }
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0))
    throw new LakeError('request-invalid', 'limit is not a whole number', { hint: 'Give limit as digits.' });
  const digits = key.toString('hex');
  const ranges = [
    { partitions: everything, offsets: everything, timestampsMs: everything, keys: { min: digits, max: digits, list: [digits] } },
  ];
  const where = `_key = '${digits.replaceAll(/../g, String.raw`\x$&`)}'::BLOB`;
  if (isHistory) return { statement: ownStatement(recordsSql(topic, [where], orderBy[order], limit), topic), ranges };
  const lastOfPartition = 'QUALIFY row_number() OVER (PARTITION BY _partition_id ORDER BY _offset DESC) = 1';
  const sql =
    'SELECT _partition_id, _offset, _timestamp_ms, _key, _value, _headers FROM ' +
    `(SELECT * FROM ${quoteName(topic)} WHERE ${where} ${lastOfPartition}) ` +
    'ORDER BY _timestamp DESC, _partition_id DESC, _offset DESC';
  return { statement: ownStatement(sql, topic), ranges, lastOf: key };
}

/** The first of the lines that came, and the partitions of all of them. */
export interface LastOfKey {
  readonly line: string | undefined;
  readonly partitions: ReadonlySet<PartitionId>;
}

const partitionOfLine = /^\{"partition":(\d+),/;

/** Reads an answer to its end, of which one line is kept. */
export async function lastOfKey(lines: AsyncIterable<string>): Promise<LastOfKey> {
  let first: string | undefined;
  const partitions = new Set<PartitionId>();
  for await (const text of lines) {
    for (const line of text.split('\n')) {
      const partition = partitionOfLine.exec(line)?.[1];
      if (partition === undefined) continue;
      partitions.add(Number(partition));
      first ??= `${line}\n`;
    }
  }
  return { line: first, partitions };
}
