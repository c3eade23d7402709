/** `thermocline tier`: the daemon alone; with a word behind it, what the running one does. */
import type { Command } from 'commander';
import { formatBytes, nearestName } from '../../kernel/index.js';
import { addClientOptions, type ClientFlags, getJson } from '../client-options.js';
import { usageError } from '../exit.js';
import { printRows } from '../table.js';
import { addServerOptions, type ServerFlags } from '../server-options.js';
import { runRoleAlone } from './role.js';
import { scrub } from './tier-scrub.js';

interface Storage {
  readonly topic: string;
  readonly tiered: boolean;
  readonly note?: string;
  readonly partitions: readonly {
    readonly partition: number;
    readonly log_start_offset: number;
    readonly local_start_offset: number;
    readonly boundary: number;
    readonly high_watermark: number;
    readonly hot_bytes: number;
    readonly cold_bytes: number | null;
    readonly cold_files: number | null;
    readonly lag_records: number | null;
    readonly error?: string;
  }[];
}

interface Evicted {
  readonly evicted_segments: number;
  readonly evicted_bytes: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly Pick<Storage['partitions'][number], 'partition' | 'local_start_offset' | 'boundary' | 'high_watermark'>[];
  }[];
}

const onTopic = (path: string, topic: string | undefined): string =>
  topic === undefined ? path : `${path}?topic=${encodeURIComponent(topic)}`;

async function status(flags: ClientFlags): Promise<void> {
  const { topics } = await getJson<{ topics: { name: string; tiered: boolean }[] }>(flags.server, '/v1/topics');
  const isTerminal = process.stdout.isTTY;
  const rows: Record<string, unknown>[] = [];
  for (const { name } of topics.filter((topic) => topic.tiered)) {
    const storage = await getJson<Storage>(flags.server, `/v1/topics/${encodeURIComponent(name)}/storage`);
    if (storage.note !== undefined) process.stderr.write(`${name}: ${storage.note}\n`);
    for (const p of storage.partitions) {
      rows.push({
        topic: name,
        partition: p.partition,
        log_start: p.log_start_offset,
        local_start: p.local_start_offset,
        boundary: p.boundary,
        high_watermark: p.high_watermark,
        lag: p.lag_records,
        hot: isTerminal ? formatBytes(p.hot_bytes) : p.hot_bytes,
        cold: isTerminal && p.cold_bytes !== null ? formatBytes(p.cold_bytes) : p.cold_bytes,
        files: p.cold_files,
        ...(p.error === undefined ? {} : { error: p.error }),
      });
    }
  }
  printRows(rows);
}

async function flush(topic: string | undefined, flags: ClientFlags): Promise<void> {
  const answer = await getJson<{ topics: { topic: string; partitions: { partition: number; boundary: number }[] }[] }>(
    flags.server,
    onTopic('/v1/tier/flush', topic),
    { method: 'POST' },
  );
  printRows(
    answer.topics.flatMap((one) => one.partitions.map((p) => ({ topic: one.topic, partition: p.partition, boundary: p.boundary }))),
  );
}

async function evict(topic: string | undefined, flags: ClientFlags): Promise<void> {
  const answer = await getJson<Evicted>(flags.server, onTopic('/v1/tier/evict', topic), { method: 'POST' });
  printRows(
    answer.topics.flatMap((one) =>
      one.partitions.map((p) => ({
        topic: one.topic,
        partition: p.partition,
        local_start: p.local_start_offset,
        boundary: p.boundary,
        high_watermark: p.high_watermark,
      })),
    ),
  );
  const { evicted_segments: segments, evicted_bytes: bytes } = answer;
  process.stderr.write(`${segments} ${segments === 1 ? 'segment' : 'segments'}, ${formatBytes(bytes)} evicted\n`);
}

export function register(program: Command): void {
  const tier = addServerOptions(program.command('tier').description('run the tier daemon alone, or ask the running one'))
    .option('--bootstrap <host:port>', "the broker's Kafka address (default: asked over the control socket)")
    .argument('[word]')
    .action((word: string | undefined, flags: ServerFlags) => {
      if (word === undefined) return runRoleAlone('tier', flags);
      const words = tier.commands.map((command) => command.name());
      const near = nearestName(word, words);
      throw usageError(
        `"${word}" is nothing that tier can do`,
        near === undefined ? `It can ${words.join(', ')}.` : `Did you mean ${near}?`,
      );
    });
  addClientOptions(tier.command('status').description('boundary, lag, hot and cold bytes of each partition')).action(
    (_: unknown, command: Command) => status(command.optsWithGlobals<ClientFlags>()),
  );
  addClientOptions(tier.command('flush').argument('[topic]').description('cut and commit everything acknowledged so far')).action(
    (topic: string | undefined, _: unknown, command: Command) => flush(topic, command.optsWithGlobals<ClientFlags>()),
  );
  addClientOptions(tier.command('evict').argument('[topic]').description('drop local copies of what is committed')).action(
    (topic: string | undefined, _: unknown, command: Command) => evict(topic, command.optsWithGlobals<ClientFlags>()),
  );
  addClientOptions(
    tier.command('scrub').argument('[topic]').description('read all cold files again and compare them with what was committed'),
  ).action((topic: string | undefined, _: unknown, command: Command) => scrub(topic, command.optsWithGlobals<ClientFlags>()));
}
