/** `thermocline consume TOPIC`: records of both tiers through the Kafka port, by offset or by time. */
import { isUtf8 } from 'node:buffer';
import { type LogReader, openLogReader, readPartition, type TopicPartitions } from '../../client/index.js';
import { LakeError, nearestName, type Offset, type PartitionId, type TimestampMs } from '../../kernel/index.js';
import { type DecodedRecord } from '../../wire/index.js';
import { timeOf } from '../../gateway/index.js';
import type { Command } from 'commander';
import { addClientOptions, type ClientFlags } from '../client-options.js';
import { usageError } from '../exit.js';
import { repeated } from '../server-options.js';

interface ConsumeFlags extends ClientFlags {
  readonly offset?: readonly string[];
  readonly exit?: boolean;
  readonly count?: string;
  readonly partition?: string;
  readonly json?: boolean;
}

/** Where to begin or end, before it is known what offset that is in each partition. */
type Position =
  | { readonly kind: 'beginning' | 'end' }
  | { readonly kind: 'offset'; readonly offset: Offset }
  | { readonly kind: 'time'; readonly ms: TimestampMs };

function positionOf(text: string): { readonly isEnd: boolean; readonly position: Position } {
  if (text === 'beginning' || text === 'end') return { isEnd: false, position: { kind: text } };
  const match = /^([se])@(.+)$/.exec(text);
  if (match !== null) return { isEnd: match[1] === 'e', position: { kind: 'time', ms: timeOfPosition(text, match[2]!) } };
  if (/^\d+$/.test(text)) return { isEnd: false, position: { kind: 'offset', offset: Number(text) } };
  throw usageError(`-o ${text} is not a position`, 'Write beginning, end, an offset, s@2001-03-01T00:00:00Z (from) or e@… (to).');
}

function timeOfPosition(text: string, time: string): TimestampMs {
  try {
    return timeOf('-o', time)!;
  } catch {
    throw usageError(`-o ${text} names no time`, 'Write the time as 2001-03-04T05:06:07Z or as epoch milliseconds.');
  }
}

/** The partitions to read. Errors: `partition-unknown`. */
function chosenPartitions(topic: TopicPartitions, text: string | undefined): readonly PartitionId[] {
  if (text === undefined) return topic.partitions;
  const partition = topic.partitions.find((one) => String(one) === text);
  if (partition !== undefined) return [partition];
  throw new LakeError('partition-unknown', `${topic.name} has no partition ${text}`, {
    hint: `It has the partitions 0 to ${topic.partitions.length - 1}.`,
  });
}

interface Range {
  readonly partition: PartitionId;
  readonly from: Offset;
  readonly to: Offset | undefined;
}

async function listed(
  reader: LogReader,
  topic: Parameters<LogReader['listOffsets']>[0],
  partitions: readonly PartitionId[],
  ms: TimestampMs,
): Promise<Map<PartitionId, Offset>> {
  const answers = await reader.listOffsets(
    topic,
    partitions.map((partition) => ({ partition, timestampMs: ms })),
  );
  return new Map(answers.map((answer) => [answer.partition, answer.offset]));
}

function textOf(bytes: Buffer | null): string | null {
  if (bytes === null) return null;
  return isUtf8(bytes) ? bytes.toString() : `base64:${bytes.toString('base64')}`;
}

function printed(record: DecodedRecord, partition: PartitionId, asJson: boolean): string {
  if (!asJson) return `${textOf(record.value) ?? ''}\n`;
  return `${JSON.stringify({
    partition,
    offset: record.offset,
    timestamp: new Date(record.timestampMs).toISOString(),
    key: textOf(record.key),
    value: textOf(record.value),
    headers: record.headers.map((header) => ({ key: textOf(Buffer.from(header.key)), value: textOf(header.value) })),
  })}\n`;
}

async function run(topicName: string, flags: ConsumeFlags): Promise<void> {
  const positions = (flags.offset ?? []).map(positionOf);
  const start = positions.find((one) => !one.isEnd)?.position ?? { kind: 'end' as const };
  const endAt = positions.find((one) => one.isEnd)?.position;
  const limit = flags.count === undefined ? Number.POSITIVE_INFINITY : Number(flags.count);
  if (!(limit > 0)) throw usageError(`-n ${flags.count} is not a number of records`, 'Write -n 10.');
  const reader = openLogReader({ bootstrap: flags.bootstrap, clientId: 'thermocline-consume' });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  try {
    const topics = await reader.topics();
    const topic = topics.find((one) => one.name === topicName);
    if (topic === undefined) {
      const near = nearestName(
        topicName,
        topics.map((one) => one.name),
      );
      throw new LakeError('topic-unknown', `there is no topic "${topicName}"`, near === undefined ? {} : { hint: `Did you mean ${near}?` });
    }
    const partitions = chosenPartitions(topic, flags.partition);
    const earliest = await listed(reader, topic.name, partitions, -2);
    const latest = await listed(reader, topic.name, partitions, -1);
    const byTime = async (position: Position | undefined): Promise<Map<PartitionId, Offset> | undefined> =>
      position?.kind === 'time' ? listed(reader, topic.name, partitions, position.ms) : undefined;
    const [startsByTime, endsByTime] = [await byTime(start), await byTime(endAt)];
    const after = (offset: Offset | undefined, partition: PartitionId): Offset =>
      offset === undefined || offset < 0 ? latest.get(partition)! : offset;
    const ranges = partitions.map((partition): Range => {
      const from =
        start.kind === 'beginning'
          ? earliest.get(partition)!
          : start.kind === 'end'
            ? latest.get(partition)!
            : start.kind === 'offset'
              ? start.offset
              : after(startsByTime?.get(partition), partition);
      const to =
        endsByTime !== undefined ? after(endsByTime.get(partition), partition) : flags.exit === true ? latest.get(partition)! : undefined;
      return { partition, from, to };
    });
    let left = limit;
    const read = async (range: Range): Promise<void> => {
      for await (const records of readPartition(reader, {
        topicId: topic.id,
        partition: range.partition,
        offset: range.from,
        endOffset: range.to,
        signal: stop.signal,
      })) {
        const taken = records.slice(0, left);
        left -= taken.length;
        const text = taken.map((record) => printed(record, range.partition, flags.json === true)).join('');
        if (text !== '' && !process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', () => resolve()));
        if (left <= 0) {
          stop.abort();
          return;
        }
      }
    };
    // With an end, partition after partition, in offset order; without one, all at once as records come.
    if (ranges.every((range) => range.to !== undefined)) for (const range of ranges) await read(range);
    else await Promise.all(ranges.map(read));
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    await reader.close();
  }
}

export function register(program: Command): void {
  addClientOptions(program.command('consume').argument('<topic>').description('print the records of a topic, from both tiers'))
    .option('-o, --offset <position>', 'beginning, end (default), an offset, s@TIME (from) or e@TIME (to); may be repeated', repeated)
    .option('-e, --exit', 'stop at what is the end now')
    .option('-n, --count <n>', 'stop after so many records')
    .option('-p, --partition <n>', 'only this partition')
    .option('-J, --json', 'print whole records as JSON')
    .action(run);
}
