/** Where reading begins and ends: `-o`, and the file that a reading leaves for the next one (`--resume`). */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { isErrno, LakeError, type Offset, type PartitionId, type TimestampMs, type TopicId } from '../../kernel/index.js';
import { timeOf } from '../../gateway/index.js';
import { usageError } from '../exit.js';

/** Before it is known what offset that is in each partition. */
export type Position =
  | { readonly kind: 'beginning' | 'end' }
  | { readonly kind: 'offset'; readonly offset: Offset }
  /** Partitions that are not named begin at their beginning: they are new. */
  | { readonly kind: 'offsets'; readonly offsets: ReadonlyMap<PartitionId, Offset> }
  | { readonly kind: 'time'; readonly ms: TimestampMs };

const offsetList = /^\d+:\d+(?:,\d+:\d+)*$/;

/** Errors: `usage`. */
export function positionOf(text: string): { readonly isEnd: boolean; readonly position: Position } {
  if (text === 'beginning' || text === 'end') return { isEnd: false, position: { kind: text } };
  const match = /^([se])@(.+)$/.exec(text);
  if (match !== null) return { isEnd: match[1] === 'e', position: { kind: 'time', ms: timeOfPosition(text, match[2]!) } };
  if (/^\d+$/.test(text)) return { isEnd: false, position: { kind: 'offset', offset: Number(text) } };
  if (offsetList.test(text)) {
    const pairs = text.split(',').map((pair) => pair.split(':').map(Number) as [PartitionId, Offset]);
    return { isEnd: false, position: { kind: 'offsets', offsets: new Map(pairs) } };
  }
  throw usageError(
    `-o ${text} is not a position`,
    'Write beginning, end, an offset, offsets by partition (0:120,1:95), s@2001-03-01T00:00:00Z (from) or e@… (to).',
  );
}

function timeOfPosition(text: string, time: string): TimestampMs {
  try {
    return timeOf('-o', time)!;
  } catch {
    throw usageError(`-o ${text} names no time`, 'Write the time as 2001-03-04T05:06:07Z or as epoch milliseconds.');
  }
}

/** The first offsets that were not read, as `-o` takes them. */
export function offsetsText(next: ReadonlyMap<PartitionId, Offset>): string {
  return [...next]
    .sort(([a], [b]) => a - b)
    .map(([partition, offset]) => `${partition}:${offset}`)
    .join(',');
}

interface ResumeFields {
  readonly topic: string;
  readonly topic_id: string;
  readonly next: string;
}

/** `undefined` where no reading has left one yet. Errors: `usage` for a file that is none, `offset-out-of-range` for another topic. */
export async function readResume(path: string, topic: string, topicId: TopicId): Promise<Position | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw usageError(`${path} cannot be read: ${(error as Error).message}`, 'Name a file for --resume.');
  }
  let fields: Partial<ResumeFields>;
  try {
    fields = JSON.parse(text) as Partial<ResumeFields>;
  } catch {
    fields = {};
  }
  if (typeof fields.next !== 'string' || !(fields.next === '' || offsetList.test(fields.next)))
    throw usageError(`${path} was not written by --resume`, 'Name another file, or remove it to begin anew.');
  if (fields.topic_id !== topicId) {
    throw new LakeError('offset-out-of-range', `${path} is of topic ${fields.topic} (${fields.topic_id}), not of ${topic} (${topicId})`, {
      hint: 'Remove the file to begin anew: a topic that was made again has other records at the same offsets.',
      facts: { topic, topicId },
    });
  }
  return fields.next === '' ? undefined : positionOf(fields.next).position;
}

export async function writeResume(path: string, topic: string, topicId: TopicId, next: ReadonlyMap<PartitionId, Offset>): Promise<void> {
  const fields: ResumeFields = { topic, topic_id: topicId, next: offsetsText(next) };
  const temporary = `${path}.${process.pid}.part`;
  await writeFile(temporary, `${JSON.stringify(fields)}\n`);
  await rename(temporary, path);
}
