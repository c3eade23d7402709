/** One group's configuration: its own keys over the broker's, within the bounds that the broker sets to all groups. */
import { LakeError, nearestName } from '../kernel/index.js';
import { type GroupKey, groupKeyNames, groupKeys, groupKeySpec } from './group-keys.js';
import { canonicalText, parseValue } from './key.js';
import type { ServerConfig } from './server-config.js';
import type { ServerKey } from './server-keys.js';

/** The keys that groups here obey. */
export type ObeyedGroupKey = 'consumer.session.timeout.ms' | 'consumer.heartbeat.interval.ms' | 'consumer.assignment.interval.ms';

type NumberKey = Extract<ServerKey, `group.consumer.${string}.ms`>;

interface Bounded {
  readonly server: NumberKey;
  readonly min: NumberKey;
  readonly max: NumberKey;
}

const bounded: Readonly<Record<ObeyedGroupKey, Bounded>> = {
  'consumer.session.timeout.ms': {
    server: 'group.consumer.session.timeout.ms',
    min: 'group.consumer.min.session.timeout.ms',
    max: 'group.consumer.max.session.timeout.ms',
  },
  'consumer.heartbeat.interval.ms': {
    server: 'group.consumer.heartbeat.interval.ms',
    min: 'group.consumer.min.heartbeat.interval.ms',
    max: 'group.consumer.max.heartbeat.interval.ms',
  },
  'consumer.assignment.interval.ms': {
    server: 'group.consumer.assignment.interval.ms',
    min: 'group.consumer.min.assignment.interval.ms',
    max: 'group.consumer.max.assignment.interval.ms',
  },
};
const boundedKeys = Object.keys(bounded) as ObeyedGroupKey[];

export interface GroupConfigEntry {
  readonly name: GroupKey;
  /** As it was set, whatever the broker's bounds have become since. */
  readonly text: string;
  readonly value: unknown;
  readonly source: 'group' | 'server' | 'default';
  /** What it would be without the group's own key, strongest first: the broker's key where that is set, then the default. */
  readonly below: readonly { readonly name: string; readonly text: string; readonly source: 'server' | 'default' }[];
}

export interface GroupConfig {
  /** What counts, in milliseconds: a value that was set before the broker's bounds were drawn closer is moved within them. */
  get(key: ObeyedGroupKey): number;
  entries(): readonly GroupConfigEntry[];
}

/** A group's configuration, from keys that `checkGroupOverrides` has passed at some time. */
export function resolveGroupConfig(server: ServerConfig, overrides: Readonly<Record<string, string>>): GroupConfig {
  const entries = groupKeyNames.map((name) => entryOf(server, name, overrides[name]));
  const values = new Map<string, unknown>(entries.map(({ name, value }) => [name, value]));
  return {
    get: (key) => {
      const { min, max } = bounded[key];
      const value = values.get(key) as number;
      return overrides[key] === undefined ? value : Math.min(Math.max(value, server.get(min)), server.get(max));
    },
    entries: () => entries,
  };
}

function entryOf(server: ServerConfig, name: GroupKey, own: string | undefined): GroupConfigEntry {
  const spec = groupKeySpec(name);
  const below: GroupConfigEntry['below'][number][] = [{ name: spec.server ?? name, text: spec.defaultText, source: 'default' }];
  const set = spec.server === undefined ? undefined : server.entry(spec.server);
  if (set !== undefined && set.source !== 'default') below.unshift({ name: set.name, text: set.text, source: 'server' });
  const text = own ?? below[0]!.text;
  const source = own === undefined ? below[0]!.source : 'group';
  return { name, text: canonicalText(spec, text), value: parseValue(name, spec, text), source, below };
}

/**
 * Whether a group may have these keys now. Errors: `config-unknown-key`, `config-invalid-value` (its form, or outside the broker's
 * bounds), `config-refused` (a key of groups that are not here, or a session no longer than a heartbeat).
 */
export function checkGroupOverrides(server: ServerConfig, overrides: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(overrides)) checkKey(server, name, text);
  const config = resolveGroupConfig(server, overrides);
  const session = config.get('consumer.session.timeout.ms');
  const heartbeat = config.get('consumer.heartbeat.interval.ms');
  const isEitherSet = 'consumer.session.timeout.ms' in overrides || 'consumer.heartbeat.interval.ms' in overrides;
  if (!isEitherSet || session > heartbeat) return;
  throw new LakeError(
    'config-refused',
    `consumer.session.timeout.ms=${session} is not greater than consumer.heartbeat.interval.ms=${heartbeat}`,
    {
      hint: 'Give members time for some heartbeats: set the session to several intervals.',
      facts: { key: 'consumer.session.timeout.ms' },
    },
  );
}

function checkKey(server: ServerConfig, name: string, text: string): void {
  if (!Object.hasOwn(groupKeys, name)) {
    const near = nearestName(name, groupKeyNames);
    throw new LakeError('config-unknown-key', `"${name}" is not a configuration key of groups`, {
      hint: near === undefined ? `Those are ${boundedKeys.join(', ')}.` : `Did you mean ${near}?`,
      facts: { key: name },
    });
  }
  const spec = groupKeySpec(name as GroupKey);
  const value = parseValue(name, spec, text) as number;
  if (spec.absent !== undefined) {
    throw new LakeError('config-refused', `${name} cannot be set: there are no ${spec.absent} groups here`, {
      hint: `Leave it out; groups here obey ${boundedKeys.join(', ')}.`,
      facts: { key: name },
    });
  }
  const { min, max } = bounded[name as ObeyedGroupKey];
  if (value >= server.get(min) && value <= server.get(max)) return;
  throw new LakeError(
    'config-invalid-value',
    `${name} must be in the range ${server.get(min)} to ${server.get(max)} inclusive, not ${value}`,
    {
      hint: `The bounds are the broker’s: ${min} and ${max}.`,
      facts: { key: name, value: text },
    },
  );
}

/** What the broker sets to all groups must be within its own bounds. Errors: `config-refused`, naming the keys. */
export function checkGroupBounds(server: ServerConfig): void {
  for (const key of boundedKeys) {
    const names = bounded[key];
    requireAtMost(server, names.min, names.max);
    requireAtMost(server, names.min, names.server);
    requireAtMost(server, names.server, names.max);
  }
}

function requireAtMost(server: ServerConfig, lower: NumberKey, upper: NumberKey): void {
  if (server.get(lower) <= server.get(upper)) return;
  throw new LakeError('config-refused', `${lower}=${server.get(lower)} is above ${upper}=${server.get(upper)}`, {
    hint: `Set ${lower} to at most ${upper}.`,
    facts: { key: lower },
  });
}
