/** `thermocline consume TOPIC`: records of both tiers through the Kafka port, by offset or by time. */
import { type LogReader, openLogReader, readPartition, type TopicPartitions } from '../../client/index.js';
import { LakeError, nearestName, type Offset, type PartitionId, type TimestampMs } from '../../kernel/index.js';
import type { Command } from 'commander';
import { addClientOptions, type ClientFlags } from '../client-options.js';
import { offsetsText, type Position, positionOf, readResume, writeResume } from '../consume/positions.js';
import { openRecordOutput, type RecordOutput } from '../consume/record-output.js';
import { usageError } from '../exit.js';
import { repeated } from '../server-options.js';

interface ConsumeFlags extends ClientFlags {
  readonly offset?: readonly string[];
  readonly exit?: boolean;
  readonly count?: string;
  readonly partition?: string;
  readonly json?: boolean;
  readonly output?: string;
  readonly resume?: string;
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

/** Errors: `topic-unknown` with the nearest name. */
async function foundTopic(reader: LogReader, name: string): Promise<TopicPartitions> {
  const topics = await reader.topics();
  const topic = topics.find((one) => one.name === name);
  if (topic !== undefined) return topic;
  const near = nearestName(
    name,
    topics.map((one) => one.name),
  );
  throw new LakeError('topic-unknown', `there is no topic "${name}"`, near === undefined ? {} : { hint: `Did you mean ${near}?` });
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

/** Half open in each partition: from the first record at or after the one time to the first at or after the other. */
async function rangesOf(
  reader: LogReader,
  topic: TopicPartitions,
  partitions: readonly PartitionId[],
  start: Position,
  endAt: Position | undefined,
  isToEnd: boolean,
): Promise<Range[]> {
  const earliest = await listed(reader, topic.name, partitions, -2);
  const latest = await listed(reader, topic.name, partitions, -1);
  const byTime = async (position: Position | undefined): Promise<Map<PartitionId, Offset> | undefined> =>
    position?.kind === 'time' ? listed(reader, topic.name, partitions, position.ms) : undefined;
  const [startsByTime, endsByTime] = [await byTime(start), await byTime(endAt)];
  const after = (offset: Offset | undefined, partition: PartitionId): Offset =>
    offset === undefined || offset < 0 ? latest.get(partition)! : offset;
  const startOf = (partition: PartitionId): Offset => {
    switch (start.kind) {
      case 'beginning':
        return earliest.get(partition)!;
      case 'end':
        return latest.get(partition)!;
      case 'offset':
        return start.offset;
      case 'offsets':
        return start.offsets.get(partition) ?? earliest.get(partition)!;
      case 'time':
        return after(startsByTime?.get(partition), partition);
      default:
        return start satisfies never;
    }
  };
  return partitions.map((partition) => ({
    partition,
    from: startOf(partition),
    to: endsByTime !== undefined ? after(endsByTime.get(partition), partition) : isToEnd ? latest.get(partition)! : undefined,
  }));
}

/** Reads until the ranges, the limit or the signal end it; `next` is kept at the first offset of each partition that was not written. */
async function readRanges(
  reader: LogReader,
  topic: TopicPartitions,
  ranges: readonly Range[],
  limit: number,
  output: RecordOutput,
  next: Map<PartitionId, Offset>,
  stop: AbortController,
): Promise<void> {
  let left = limit;
  const read = async ({ partition, from, to }: Range): Promise<void> => {
    for await (const records of readPartition(reader, {
      topicId: topic.id,
      partition,
      offset: from,
      endOffset: to,
      signal: stop.signal,
    })) {
      const taken = records.slice(0, left);
      left -= taken.length;
      await output.write(taken, partition);
      const last = taken.at(-1);
      if (last !== undefined) next.set(partition, last.offset + 1);
      if (left <= 0) {
        stop.abort();
        return;
      }
    }
    // What lies between the last record and the end has none.
    if (to !== undefined && to > from) next.set(partition, to);
  };
  try {
    // With an end, partition after partition, in offset order; without one, all at once as records come.
    if (ranges.every((range) => range.to !== undefined)) for (const range of ranges) await read(range);
    else await Promise.all(ranges.map(read));
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
}

async function run(topicName: string, flags: ConsumeFlags): Promise<void> {
  const positions = (flags.offset ?? []).map(positionOf);
  const asked = positions.find((one) => !one.isEnd)?.position ?? { kind: 'end' as const };
  const endAt = positions.find((one) => one.isEnd)?.position;
  const limit = flags.count === undefined ? Number.POSITIVE_INFINITY : Number(flags.count);
  if (!(limit > 0)) throw usageError(`-n ${flags.count} is not a number of records`, 'Write -n 10.');
  const reader = openLogReader({ bootstrap: flags.bootstrap, clientId: 'thermocline-consume' });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  try {
    const topic = await foundTopic(reader, topicName);
    const partitions = chosenPartitions(topic, flags.partition);
    const start = (flags.resume === undefined ? undefined : await readResume(flags.resume, topic.name, topic.id)) ?? asked;
    const ranges = await rangesOf(reader, topic, partitions, start, endAt, flags.exit === true);
    // A reading of some partitions leaves the others where they were.
    const next = new Map(start.kind === 'offsets' ? start.offsets : []);
    for (const { partition, from } of ranges) next.set(partition, from);
    const output = await openRecordOutput(flags.output, flags.json === true);
    try {
      await readRanges(reader, topic, ranges, limit, output, next, stop);
      await output.finish();
    } catch (error) {
      await output.discard();
      throw error;
    }
    if (flags.resume !== undefined) await writeResume(flags.resume, topic.name, topic.id, next);
    process.stderr.write(`goes on at -o ${offsetsText(next)}\n`);
  } finally {
    await reader.close();
  }
}

export function register(program: Command): void {
  addClientOptions(program.command('consume').argument('<topic>').description('print the records of a topic, from both tiers'))
    .option(
      '-o, --offset <position>',
      'beginning, end (default), an offset, offsets by partition (0:120,1:95), s@TIME (from) or e@TIME (to, exclusive); may be repeated',
      repeated,
    )
    .option('-e, --exit', 'stop at what is the end now')
    .option('-n, --count <n>', 'stop after so many records')
    .option('-p, --partition <n>', 'only this partition')
    .option('-J, --json', 'print whole records as JSON')
    .option('--output <file>', 'write whole records to a file: .parquet, .ndjson or .csv')
    .option('--resume <file>', 'begin where the reading before ended that was given the same file, and note there where this one ends')
    .action(run);
}
