/** One topic's configuration: its own keys over the server's defaults, with the rules that tie keys together. */
import { LakeError, nearestName } from '../kernel/index.js';
import { canonicalText, parseValue } from './key.js';
import type { ServerConfig } from './server-config.js';
import { type TopicKey, topicKeyNames, topicKeys, topicKeySpec, type TopicValues } from './topic-keys.js';

export type TopicConfigSource = 'topic' | 'server' | 'default';

export interface TopicConfigEntry {
  readonly name: TopicKey;
  readonly text: string;
  readonly value: unknown;
  readonly source: TopicConfigSource;
  /** The server-wide default's name, where there is one. */
  readonly serverName: string | undefined;
}

export interface TopicConfig {
  get<K extends TopicKey>(key: K): TopicValues[K];
  entries(): readonly TopicConfigEntry[];
}

function resolve(server: ServerConfig, overrides: ReadonlyMap<TopicKey, string>, isInternal: boolean): TopicConfig {
  const entries = new Map<TopicKey, TopicConfigEntry>();
  const add = (name: TopicKey, byRule?: string): TopicConfigEntry => {
    const spec = topicKeySpec(name);
    const own = overrides.get(name);
    const inherited = spec.server === undefined ? undefined : server.entry(spec.server);
    const isServerSet = inherited !== undefined && inherited.source !== 'default';
    const source: TopicConfigSource = own !== undefined ? 'topic' : isServerSet ? 'server' : 'default';
    const text = own ?? (isServerSet ? inherited.text : (byRule ?? spec.defaultText));
    const value = parseValue(name, spec, text);
    const entry = { name, text: canonicalText(spec, text), value, source, serverName: spec.server };
    entries.set(name, entry);
    return entry;
  };
  const policy = add('cleanup.policy').value as readonly string[];
  const tiered = add('remote.storage.enable', String(!isInternal && !policy.includes('compact'))).value === true;
  add('retention.ms', tiered ? '-1' : undefined);
  for (const name of topicKeyNames) if (!entries.has(name)) add(name);
  return { get: (key) => entries.get(key)!.value as never, entries: () => topicKeyNames.map((name) => entries.get(name)!) };
}

/** `local.retention.*` = −2. */
const asTotal = -2;

const refuse = (key: string, message: string, hint: string): LakeError =>
  new LakeError('config-refused', message, { hint, facts: { key } });

/** What is valid by itself and still cannot be honoured. */
function check(config: TopicConfig, isInternal: boolean): void {
  const isTiered = config.get('remote.storage.enable');
  if (isInternal) return;
  if (isTiered && config.get('cleanup.policy').includes('compact')) {
    throw refuse(
      'remote.storage.enable',
      'remote.storage.enable=true is not supported for a compacted topic: cold files are never rewritten key by key',
      'Set remote.storage.enable=false, or leave cleanup.policy at `delete` and ask SQL for the last of each key (`latest`).',
    );
  }
  if (config.get('min.compaction.lag.ms') > config.get('max.compaction.lag.ms')) {
    throw refuse(
      'min.compaction.lag.ms',
      `min.compaction.lag.ms=${config.get('min.compaction.lag.ms')} is above max.compaction.lag.ms=${config.get('max.compaction.lag.ms')}`,
      'Set min.compaction.lag.ms to at most max.compaction.lag.ms.',
    );
  }
  if (config.get('cleanup.policy').length === 0) {
    throw refuse(
      'cleanup.policy',
      'an empty cleanup.policy is not supported',
      'Leave it at `delete`, and set retention.ms=-1 to keep all.',
    );
  }
  if (config.get('compression.gzip.level') === 0) {
    throw refuse('compression.gzip.level', 'compression.gzip.level=0 does not compress', 'Set it to 1 … 9, or to -1 for zlib’s own.');
  }
  if (config.get('compression.lz4.level') !== 9) {
    throw refuse(
      'compression.lz4.level',
      `compression.lz4.level=${config.get('compression.lz4.level')} is not supported: lz4 is compressed the fast way only, which Kafka calls 9`,
      'Leave compression.lz4.level at 9, or set compression.type to `zstd` for smaller batches.',
    );
  }
  if (config.get('errors.deadletterqueue.group.enable')) {
    throw refuse(
      'errors.deadletterqueue.group.enable',
      'errors.deadletterqueue.group.enable=true is not supported: there are no share groups here',
      'Leave errors.deadletterqueue.group.enable at false.',
    );
  }
  if (isTiered) checkTiering(config);
  if (isTiered) for (const key of ['retention.ms', 'retention.bytes'] as const) checkLocalRetention(config, key);
}

/** What Kafka can hold back, halt or undo of tiering (KIP-405, KIP-950), and is not done here. */
function checkTiering(config: TopicConfig): void {
  if (config.get('remote.copy.lag.ms') !== 0 && config.get('remote.copy.lag.bytes') !== 0) {
    throw refuse(
      'remote.copy.lag.ms',
      `remote.copy.lag.ms=${config.get('remote.copy.lag.ms')} is not supported: a topic is tiered as its records come`,
      'Leave remote.copy.lag.ms at 0; lake.commit.interval.ms says how long records may wait for it.',
    );
  }
  if (config.get('remote.log.copy.disable')) {
    throw refuse(
      'remote.log.copy.disable',
      'remote.log.copy.disable=true is not supported: tiering of a topic cannot be halted',
      'Leave it at false; a topic that is never to be tiered is created with remote.storage.enable=false.',
    );
  }
  if (config.get('remote.log.delete.on.disable')) {
    throw refuse(
      'remote.log.delete.on.disable',
      'remote.log.delete.on.disable=true is not supported: tiering ends only where nothing is cold yet',
      'Leave it at false; what is cold goes with the topic, or by retention and DeleteRecords.',
    );
  }
}

/** What is kept locally is a part of what is kept (KIP-405): −2 is all of it. */
function checkLocalRetention(config: TopicConfig, key: 'retention.ms' | 'retention.bytes'): void {
  const total = config.get(key);
  const local = config.get(`local.${key}`);
  if (total < 0 || local === asTotal || (local >= 0 && local <= total)) return;
  throw refuse(
    `local.${key}`,
    `local.${key}=${local} is more than ${key}=${total}: nothing is kept locally that is not kept at all`,
    `Set local.${key} to at most ${total}, or to -2 to follow ${key}.`,
  );
}

/**
 * A topic's resolved configuration. Errors: `config-unknown-key`, `config-invalid-value`, `config-refused`.
 * Stored overrides of an earlier release that are not known any more must be removed by the caller first.
 */
export function resolveTopicConfig(
  server: ServerConfig,
  overrides: Readonly<Record<string, string>>,
  options: { readonly isInternal?: boolean } = {},
): TopicConfig {
  const known = new Map<TopicKey, string>();
  for (const [name, text] of Object.entries(overrides)) {
    if (!(name in topicKeys)) {
      const near = nearestName(name, topicKeyNames);
      throw new LakeError('config-unknown-key', `"${name}" is not a topic configuration key`, {
        hint: near === undefined ? '`thermocline topic describe` lists every key.' : `Did you mean ${near}?`,
        facts: { key: name },
      });
    }
    known.set(name as TopicKey, text);
  }
  const isInternal = options.isInternal ?? false;
  const config = resolve(server, known, isInternal);
  check(config, isInternal);
  return config;
}
