/** `thermocline topic`: list, create, describe, describe-storage, alter, trim, scrub, delete. */
import type { Command } from 'commander';
import { alterTopic, createTopics, deleteRecords, deleteTopics, openLogReader } from '../../client/index.js';
import { timeOf } from '../../gateway/index.js';
import { formatBytes, LakeError, type Offset } from '../../kernel/index.js';
import { addClientOptions, type ClientFlags, getJson } from '../client-options.js';
import { exitCodes, usageError } from '../exit.js';
import { runScrub } from '../scrub-lines.js';
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

function configOf(option: string, pairs: readonly string[] | undefined): Record<string, string> {
  const config: Record<string, string> = {};
  for (const pair of pairs ?? []) {
    const at = pair.indexOf('=');
    if (at <= 0) throw usageError(`${option} ${pair} is not KEY=VALUE`, `Write ${option} lake.commit.interval.ms=60000.`);
    config[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return config;
}

async function create(topic: string, flags: ClientFlags & { partitions?: string; config?: readonly string[] }): Promise<void> {
  const config = configOf('--config', flags.config);
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

async function alter(topic: string, flags: ClientFlags & { set?: readonly string[]; unset?: readonly string[] }): Promise<void> {
  const config: Record<string, string | null> = configOf('--set', flags.set);
  for (const key of flags.unset ?? []) config[key] = null;
  const keys = Object.keys(config);
  if (keys.length === 0) throw usageError('nothing is to be changed', 'Write --set retention.ms=604800000, or --unset retention.ms.');
  await alterTopic({ bootstrap: flags.bootstrap, clientId: 'thermocline' }, topic, config);
  process.stdout.write(
    `configured ${topic}: ${keys.map((key) => (config[key] === null ? `${key} by default` : `${key}=${config[key]}`)).join(', ')}\n`,
  );
}

/** Every record there is, for DeleteRecords. */
const allRecords = -1;

async function trim(topic: string, flags: ClientFlags & { before: string; partition?: string }): Promise<void> {
  const client = { bootstrap: flags.bootstrap, clientId: 'thermocline' };
  const reader = openLogReader(client);
  let places: { readonly partition: number; readonly before: Offset }[];
  try {
    const found = (await reader.topics()).find((one) => one.name === topic);
    if (found === undefined) throw new LakeError('topic-unknown', `there is no topic "${topic}"`, { facts: { topic } });
    const partitions = found.partitions.filter((partition) => flags.partition === undefined || String(partition) === flags.partition);
    if (partitions.length === 0) {
      throw new LakeError('partition-unknown', `${topic} has no partition ${flags.partition}`, { facts: { topic } });
    }
    if (flags.before === 'end' || /^\d+$/.test(flags.before)) {
      const before = flags.before === 'end' ? allRecords : Number(flags.before);
      places = partitions.map((partition) => ({ partition, before }));
    } else {
      const ms = timeOf('--before', flags.before)!;
      const listed = await reader.listOffsets(
        found.name,
        partitions.map((partition) => ({ partition, timestampMs: ms })),
      );
      // Where nothing is as late, everything is before.
      places = listed.map(({ partition, offset }) => ({ partition, before: offset < 0 ? allRecords : offset }));
    }
  } finally {
    await reader.close();
  }
  const starts = await deleteRecords(client, topic, places);
  printRows(starts.map(({ partition, logStartOffset }) => ({ topic, partition, log_start: logStartOffset })));
}

interface Found {
  readonly bytes: number;
  readonly findings: number;
}

interface ScrubLine {
  readonly partition?: number;
  readonly offline?: string;
  readonly _progress?: Found;
}

/** Progress on stderr, partitions that are offline on stdout. */
async function scrub(topic: string, flags: ClientFlags): Promise<void> {
  const offline: Record<string, unknown>[] = [];
  const found = await runScrub<Found>(flags.server, pathOf(topic, '/scrub'), (told) => {
    const line = told as ScrubLine;
    if (line.offline !== undefined) offline.push({ partition: line.partition, offline: line.offline });
    // The first is told before anything was read.
    if (line._progress === undefined || line._progress.bytes === 0) return;
    const { bytes, findings } = line._progress;
    process.stderr.write(`${formatBytes(bytes)} read, ${findings} damaged\n`);
  });
  printRows(offline);
  const partitions = `${offline.length} ${offline.length === 1 ? 'partition' : 'partitions'}`;
  process.stderr.write(`${formatBytes(found.bytes)} of the hot log read; ${found.findings} damaged; ${partitions} offline\n`);
  if (found.findings > 0 || offline.length > 0) process.exitCode = exitCodes.unhealthy;
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
  addClientOptions(topic.command('alter').argument('<topic>').description('change the configuration of a topic'))
    .option('--set <key=value>', 'set a key, may be repeated', repeated)
    .option('--unset <key>', 'take a key back to its default, may be repeated', repeated)
    .action(alter);
  addClientOptions(topic.command('trim').argument('<topic>').description('delete the oldest records, hot and cold'))
    .requiredOption('--before <position>', 'an offset, a time (2001-03-04T05:06:07Z: the first record as late stays), or end')
    .option('-p, --partition <n>', 'only this partition')
    .action(trim);
  addClientOptions(
    topic.command('scrub').argument('<topic>').description('read all of its hot log again; exit code 10 where it is damaged'),
  ).action(scrub);
  addClientOptions(topic.command('delete').argument('<topic>').description('delete a topic, its table and its objects')).action(remove);
}
