/** `thermocline produce TOPIC`: lines of stdin as records, through the Kafka port. */
import { createInterface } from 'node:readline';
import { openProducer } from '../../client/index.js';
import { systemClock } from '../../kernel/index.js';
import { type CompressionCodec, compressionCodecs } from '../../wire/index.js';
import { type Command, Option } from 'commander';
import { parseRecords } from '../../gateway/index.js';
import { addClientOptions, type ClientFlags } from '../client-options.js';
import { usageError } from '../exit.js';

interface ProduceFlags extends ClientFlags {
  readonly keySeparator?: string;
  readonly json?: boolean;
  readonly partition?: string;
  readonly compression: CompressionCodec;
}

async function run(topicName: string, flags: ProduceFlags): Promise<void> {
  const partition = flags.partition === undefined ? undefined : Number(flags.partition);
  if (partition !== undefined && !Number.isInteger(partition))
    throw usageError(`-p ${flags.partition} is not a whole number`, 'Write -p 0.');
  const producer = openProducer({ bootstrap: flags.bootstrap, clientId: 'thermocline-produce', compression: flags.compression });
  const topic = await producer.topic(topicName);
  let records = 0;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line === '') continue;
    const record = flags.json === true ? parseRecords(line)[0]! : textRecord(line, flags.keySeparator);
    const to = record.partition ?? partition ?? topic.partitionOf(record.key);
    if (to >= topic.partitions) {
      throw usageError(`partition ${to} of ${topicName} is not there`, `It has the partitions 0 to ${topic.partitions - 1}.`);
    }
    await topic.append(to, record.timestampMs ?? systemClock.nowMs(), record.key, record.value, record.headers);
    records++;
  }
  await producer.close();
  process.stderr.write(`${records} ${records === 1 ? 'record' : 'records'} acknowledged\n`);
}

type Parsed = ReturnType<typeof parseRecords>[number];

function textRecord(line: string, separator: string | undefined): Parsed {
  const at = separator === undefined ? -1 : line.indexOf(separator);
  const key = at < 0 ? null : Buffer.from(line.slice(0, at));
  const value = Buffer.from(at < 0 ? line : line.slice(at + separator!.length));
  return { key, value, headers: [], timestampMs: undefined, partition: undefined };
}

export function register(program: Command): void {
  addClientOptions(program.command('produce').argument('<topic>').description('produce the lines of stdin, acknowledged when on disk'))
    .option('-K, --key-separator <text>', 'what stands between key and value of a line')
    .option('-J, --json', 'each line is {"key","value","headers","timestamp","partition"}')
    .option('-p, --partition <n>', 'produce to this partition (default: by the key)')
    .addOption(new Option('-z, --compression <codec>', 'compression of the batches').choices([...compressionCodecs]).default('lz4'))
    .action(run);
}
