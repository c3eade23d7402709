/**
 * A server configuration some of whose keys are changed while the server runs (KIP-226): the server-wide defaults of topic keys, by which
 * topics go that do not set a key themselves. Stronger first: this broker's own, all brokers', what it was started with, the default.
 */
import { LakeError, nearestName, toLakeError } from '../kernel/index.js';
import { canonicalText, parseValue } from './key.js';
import type { ConfigEntry, ConfigSource, ServerConfig } from './server-config.js';
import { type ServerKey, serverKeySpecs, type ServerValues, topicDefaultNames } from './server-keys.js';

/** `broker`: this one; `brokers`: all of the cluster. */
export type DynamicLevel = Extract<ConfigSource, 'broker' | 'brokers'>;

type Overrides = Readonly<Record<string, string>>;
type Levels = Readonly<Record<DynamicLevel, Overrides>>;

const strongestFirst: readonly DynamicLevel[] = ['broker', 'brokers'];

export class DynamicServerConfig implements ServerConfig {
  readonly #started: ServerConfig;
  #levels: Levels;

  constructor(started: ServerConfig, levels: Levels = { broker: {}, brokers: {} }) {
    this.#started = started;
    this.#levels = levels;
  }

  get<K extends ServerKey>(key: K): ServerValues[K] {
    return this.#started.get(key);
  }

  entry(name: string): ConfigEntry | undefined {
    return this.settings(name)[0];
  }

  entries(): readonly ConfigEntry[] {
    return this.#started.entries().map(({ name }) => this.entry(name)!);
  }

  explicit(): Overrides {
    return this.#started.explicit();
  }

  with(overrides: Overrides): ServerConfig {
    return new DynamicServerConfig(this.#started.with(overrides), this.#levels);
  }

  /** Everywhere a key is set, strongest first, its default last; nothing for a key that is not known. */
  settings(name: string): readonly ConfigEntry[] {
    const started = this.#started.entry(name);
    const spec = serverKeySpecs.get(name);
    if (started === undefined || spec === undefined) return [];
    const dynamic = strongestFirst.flatMap((level): ConfigEntry[] => {
      const text = this.#levels[level][name];
      return text === undefined ? [] : [{ name, text: canonicalText(spec, text), value: parseValue(name, spec, text), source: level }];
    });
    const byDefault: ConfigEntry = { name, text: spec.defaultText, value: parseValue(name, spec, spec.defaultText), source: 'default' };
    return started.source === 'default' ? [...dynamic, byDefault] : [...dynamic, started, byDefault];
  }

  overridesAt(level: DynamicLevel): Overrides {
    return this.#levels[level];
  }

  /** What it would be with other keys at a level. */
  preview(level: DynamicLevel, overrides: Overrides): ServerConfig {
    return new DynamicServerConfig(this.#started, { ...this.#levels, [level]: overrides });
  }

  set(level: DynamicLevel, overrides: Overrides): void {
    this.#levels = { ...this.#levels, [level]: overrides };
  }
}

/** Whether a key can be changed while the server runs. */
export function isDynamicKey(name: string): boolean {
  return topicDefaultNames.has(name);
}

/**
 * Whether keys can be set while the server runs, each by itself. Errors: `config-unknown-key`; `message-invalid`, as in Kafka, for keys
 * that are read at the start only, all of them named, and for a value that cannot be used.
 */
export function checkDynamicKeys(overrides: Overrides): void {
  const names = Object.keys(overrides);
  for (const name of names) {
    if (serverKeySpecs.has(name)) continue;
    const near = nearestName(name, topicDefaultNames.keys());
    throw new LakeError('config-unknown-key', `"${name}" is not a configuration key of brokers`, {
      hint: near === undefined ? '`thermocline config print` lists every key.' : `Did you mean ${near}?`,
      facts: { key: name },
    });
  }
  const fixed = names.filter((name) => !isDynamicKey(name)).toSorted();
  if (fixed.length > 0) {
    throw new LakeError('message-invalid', `cannot update these configs dynamically: ${fixed.join(', ')}`, {
      hint: 'They are read at the start: set them in the file, the environment or by `--set`, and start again.',
      facts: { keys: fixed.join(',') },
    });
  }
  for (const [name, text] of Object.entries(overrides)) checkValue(name, text);
}

function checkValue(name: string, text: string): void {
  try {
    parseValue(name, serverKeySpecs.get(name)!, text);
  } catch (cause) {
    const { message, hint, facts } = toLakeError(cause);
    throw new LakeError('message-invalid', message, { cause, facts, ...(hint === undefined ? {} : { hint }) });
  }
}
