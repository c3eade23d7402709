/**
 * Kafka's small text files: a version, a count, one line an entry. Readers are strict, because a checkpoint that was half
 * understood would move offsets.
 *
 * ```
 * 0                      0                 version: 0
 * 2                      1                 topic_id: 7Qm0…
 * flights 0 1200         0 0
 * flights 1 1187
 * ```
 */
import { isTopicId, isTopicName, LakeError, type LeaderEpoch, type Offset, type TopicId } from '../kernel/index.js';
import { partitionDirectory } from './log-files.js';

const version = '0';

/** Offsets by `<topic>-<partition>`. Errors: `log-damaged`. */
export function decodeOffsets(text: string, file: string): Map<string, Offset> {
  const offsets = new Map<string, Offset>();
  for (const fields of entryFields(text, 3, file)) {
    const [topic, partition, offset] = fields as [string, string, string];
    if (!isTopicName(topic)) throw damaged(file, `"${topic}" is not a topic's name`);
    offsets.set(partitionDirectory(topic, wholeNumber(partition, file)), wholeNumber(offset, file));
  }
  return offsets;
}

export function encodeOffsets(offsets: ReadonlyMap<string, Offset>): string {
  const lines: string[] = [];
  for (const [key, offset] of offsets) {
    const dash = key.lastIndexOf('-');
    lines.push(`${key.slice(0, dash)} ${key.slice(dash + 1)} ${offset}\n`);
  }
  return `${version}\n${lines.length}\n${lines.join('')}`;
}

export interface EpochStart {
  readonly epoch: LeaderEpoch;
  readonly startOffset: Offset;
}

/** Errors: `log-damaged`, also where epochs or offsets do not ascend. */
export function decodeEpochs(text: string, file: string): EpochStart[] {
  const epochs: EpochStart[] = [];
  for (const fields of entryFields(text, 2, file)) {
    const entry = { epoch: wholeNumber(fields[0] as string, file), startOffset: wholeNumber(fields[1] as string, file) };
    const last = epochs.at(-1);
    if (last !== undefined && (entry.epoch <= last.epoch || entry.startOffset < last.startOffset)) {
      throw damaged(file, `epoch ${entry.epoch} at ${entry.startOffset} does not follow on epoch ${last.epoch} at ${last.startOffset}`);
    }
    epochs.push(entry);
  }
  return epochs;
}

export function encodeEpochs(epochs: readonly EpochStart[]): string {
  return `${version}\n${epochs.length}\n${epochs.map((e) => `${e.epoch} ${e.startOffset}\n`).join('')}`;
}

/** A segment that is not what was written. */
export interface DamagedSegment {
  readonly baseOffset: Offset;
  /** First offset behind what of it was flushed. */
  readonly endOffset: Offset;
}

/** Errors: `log-damaged`. */
export function decodeDamagedSegments(text: string, file: string): DamagedSegment[] {
  return entryFields(text, 2, file).map(([baseOffset, endOffset]) => ({
    baseOffset: wholeNumber(baseOffset as string, file),
    endOffset: wholeNumber(endOffset as string, file),
  }));
}

export function encodeDamagedSegments(segments: readonly DamagedSegment[]): string {
  return `${version}\n${segments.length}\n${segments.map(({ baseOffset, endOffset }) => `${baseOffset} ${endOffset}\n`).join('')}`;
}

/** Errors: `log-damaged`. */
export function decodePartitionMetadata(text: string, file: string): TopicId {
  const match = /^version: 0\ntopic_id: (\S+)\n?$/.exec(text);
  const id = match?.[1];
  if (id === undefined || !isTopicId(id)) throw damaged(file, 'it does not name a topic id');
  return id;
}

export function encodePartitionMetadata(topicId: TopicId): string {
  return `version: 0\ntopic_id: ${topicId}`;
}

function entryFields(text: string, fieldCount: number, file: string): string[][] {
  const lines = text.split('\n');
  if (lines[0] !== version) throw damaged(file, `its version is "${lines[0]}", not ${version}`);
  const count = wholeNumber(lines[1] ?? '', file);
  const entries = lines.slice(2, 2 + count).map((line) => line.split(' '));
  if (entries.length !== count || lines.slice(2 + count).some((line) => line !== '')) {
    throw damaged(file, `it does not have the ${count} entries it says`);
  }
  for (const fields of entries)
    if (fields.length !== fieldCount) throw damaged(file, `"${fields.join(' ')}" does not have ${fieldCount} fields`);
  return entries;
}

function wholeNumber(text: string, file: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw damaged(file, `"${text}" is not a whole number`);
  return value;
}

function damaged(file: string, what: string): LakeError {
  return new LakeError('log-damaged', `${file} cannot be used: ${what}`, {
    hint: 'Restore the file from a copy, or remove it to have it rebuilt from the segments.',
    facts: { file },
  });
}
