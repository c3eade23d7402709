/** `thermocline topic`: list, create, describe, describe-storage, delete. */
import type { Command } from 'commander';
import { createTopics, deleteTopics } from '../../client/index.js';
import { formatBytes } from '../../kernel/index.js';
import { addClientOptions, type ClientFlags, getJson } from '../client-options.js';
import { usageError } from '../exit.js';
import { repeated } from '../server-options.js';
import { printRows } from '../table.js';

const pathOf = (topic: string, rest = ''): string => `/v1/topics/${encodeURIComponent(topic)}${rest}`;

async function list(flags: ClientFlags): Promise<void> {
  const { topics } = await getJson<{ topics: Record<string, unknown>[] }>(flags.server, '/v1/topics');
  printRows(
    topics.map(({ name, partitions, records, hot_bytes, tiered, internal, id }) => ({
      name,
      partitions,
      records,
      hot_bytes,
      tiered,
      internal,
      id,
    })),
  );
}

async function create(topic: string, flags: ClientFlags & { partitions?: string; config?: readonly string[] }): Promise<void> {
  const config: Record<string, string> = {};
  for (const pair of flags.config ?? []) {
    const at = pair.indexOf('=');
    if (at <= 0) throw usageError(`--config ${pair} is not KEY=VALUE`, 'Write --config lake.commit.interval.ms=60000.');
    config[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const partitions = flags.partitions === undefined ? -1 : Number(flags.partitions);
  if (!Number.isInteger(partitions)) throw usageError(`--partitions ${flags.partitions} is not a whole number`, 'Write --partitions 6.');
  const [made] = await createTopics({ bootstrap: flags.bootstrap, clientId: 'thermocline' }, [{ name: topic, partitions, config }]);
  process.stdout.write(`created ${topic} (${made?.topicId})\n`);
}

async function describe(topic: string, flags: ClientFlags): Promise<void> {
  const state = await getJson<{
    id: string;
    tiered: boolean;
    config: Record<string, string>;
    overrides: Record<string, string>;
    partitions: Record<string, unknown>[];
  }>(flags.server, pathOf(topic));
  if (!process.stdout.isTTY) {
    process.stdout.write(`${JSON.stringify(state)}\n`);
    return;
  }
  process.stdout.write(`${topic} · id ${state.id} · ${state.tiered ? 'tiered' : 'local only'}\n\n`);
  printRows(state.partitions);
  process.stdout.write('\n');
  printRows(
    Object.entries(state.config).map(([key, value]) => ({ key, value, set: state.overrides[key] === undefined ? '' : 'on the topic' })),
  );
}

async function describeStorage(topic: string, flags: ClientFlags): Promise<void> {
  const storage = await getJson<{
    tiered: boolean;
    hot_bytes: number;
    cold_bytes: number | null;
    note?: string;
    partitions: Record<string, unknown>[];
  }>(flags.server, pathOf(topic, '/storage'));
  if (process.stdout.isTTY) {
    const cold = storage.cold_bytes === null ? (storage.note ?? 'unknown') : formatBytes(storage.cold_bytes);
    process.stdout.write(`${topic} · hot ${formatBytes(storage.hot_bytes)} · cold ${cold}\n\n`);
  }
  printRows(storage.partitions);
}

async function remove(topic: string, flags: ClientFlags): Promise<void> {
  await deleteTopics({ bootstrap: flags.bootstrap, clientId: 'thermocline' }, [topic]);
  process.stdout.write(`deleted ${topic}\n`);
}

export function register(program: Command): void {
  const topic = program.command('topic').description('topics and where their records lie');
  addClientOptions(topic.command('list').description('every topic with its size')).action(list);
  addClientOptions(topic.command('create').argument('<topic>').description('create a topic'))
    .option('-p, --partitions <count>', "number of partitions (default: the broker's num.partitions)")
    .option('-c, --config <key=value>', 'topic configuration, may be repeated', repeated)
    .action(create);
  addClientOptions(topic.command('describe').argument('<topic>').description('configuration and partitions')).action(describe);
  addClientOptions(
    topic.command('describe-storage').argument('<topic>').description('what lies hot and what cold, partition by partition'),
  ).action(describeStorage);
  addClientOptions(topic.command('delete').argument('<topic>').description('delete a topic, its table and its objects')).action(remove);
}
