/** The server's configuration: defaults < file (TOML) < environment < flags, every value with where it came from. */
import { LakeError, nearestName } from '../kernel/index.js';
import { parse as parseToml, TomlError } from 'smol-toml';
import { parseValue } from './key.js';
import { environmentName, environmentPrefix, secretShown } from './secrets.js';
import { type ServerKey, serverKeySpecs, type ServerValues } from './server-keys.js';

/** `broker` and `brokers`: set while the server ran, see `DynamicServerConfig`. */
export type ConfigSource = 'default' | 'file' | 'environment' | 'flag' | 'brokers' | 'broker';

export interface ConfigEntry {
  readonly name: string;
  /** As it would stand in a file; of a secret only whether it is set. */
  readonly text: string;
  readonly value: unknown;
  readonly source: ConfigSource;
}

export interface ServerConfig {
  get<K extends ServerKey>(key: K): ServerValues[K];
  /** Any key by name, the server-wide defaults of topic keys among them. */
  entry(name: string): ConfigEntry | undefined;
  entries(): readonly ConfigEntry[];
  /** What was set, as `--set` takes it, secrets among it: to hand the same configuration to a child process. */
  explicit(): Readonly<Record<string, string>>;
  /** A copy with some keys set as by a flag. */
  with(overrides: Readonly<Record<string, string>>): ServerConfig;
}

export interface ConfigSources {
  /** Text of a TOML file, with its path for messages. */
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Keys by name, from flags and `--set`. */
  readonly flags?: Readonly<Record<string, string>>;
}

/** Variables of that prefix that are the client's, the tests' or a child's, not keys. */
const foreignVariables = new Set([
  'THERMOCLINE_SERVER',
  'THERMOCLINE_BOOTSTRAP',
  'THERMOCLINE_TOKEN',
  'THERMOCLINE_BUILT',
  'THERMOCLINE_HISTORY',
]);
const foreignVariablePrefix = 'THERMOCLINE_TEST_';

/** Errors: `config-unknown-key` with the nearest known one, `config-invalid-value`. */
export function loadServerConfig(sources: ConfigSources): ServerConfig {
  const written = new Map<string, { text: string; source: ConfigSource }>();
  if (sources.file !== undefined) {
    for (const [name, text] of flattenToml(sources.file)) note(written, name, text, 'file', sources.file.path);
  }
  const byVariable = new Map([...serverKeySpecs.keys()].map((name) => [environmentName(name), name]));
  for (const [variable, text] of Object.entries(sources.environment ?? {})) {
    if (!variable.startsWith(environmentPrefix) || text === undefined) continue;
    if (foreignVariables.has(variable) || variable.startsWith(foreignVariablePrefix)) continue;
    const name = byVariable.get(variable);
    if (name === undefined) {
      const near = nearestName(variable, byVariable.keys());
      throw new LakeError('config-unknown-key', `environment variable ${variable} names no configuration key`, {
        hint: near === undefined ? '`thermocline config print` lists every key.' : `Did you mean ${near}?`,
        facts: { variable },
      });
    }
    note(written, name, text, 'environment', 'environment');
  }
  for (const [name, text] of Object.entries(sources.flags ?? {})) note(written, name, text, 'flag', 'command line');
  return build(written);
}

function note(
  written: Map<string, { text: string; source: ConfigSource }>,
  name: string,
  text: string,
  source: ConfigSource,
  where: string,
): void {
  if (!serverKeySpecs.has(name)) {
    const near = nearestName(name, serverKeySpecs.keys());
    throw new LakeError('config-unknown-key', `"${name}" (${where}) is not a configuration key`, {
      hint: near === undefined ? '`thermocline config print` lists every key.' : `Did you mean ${near}?`,
      facts: { key: name, source },
    });
  }
  written.set(name, { text, source });
}

function build(written: ReadonlyMap<string, { text: string; source: ConfigSource }>): ServerConfig {
  const all = new Map<string, ConfigEntry>();
  for (const [name, spec] of serverKeySpecs) {
    const set = written.get(name);
    const text = set?.text ?? spec.defaultText;
    const isHidden = spec.isSecret === true && text !== '';
    all.set(name, {
      name,
      text: isHidden ? secretShown : text,
      value: parseValue(name, spec, text),
      source: set?.source ?? 'default',
    });
  }
  return {
    get: (key) => all.get(key)!.value as never,
    entry: (name) => all.get(name),
    entries: () => [...all.values()],
    explicit: () => Object.fromEntries([...written].map(([name, { text }]) => [name, text])),
    with: (overrides) => {
      const next = new Map(written);
      for (const [name, text] of Object.entries(overrides)) note(next, name, text, 'flag', 'override');
      return build(next);
    },
  };
}

/** Tables and dotted keys alike: `[local.retention] ms = 1` is `local.retention.ms`. */
function flattenToml(file: { readonly path: string; readonly text: string }): [string, string][] {
  let parsed: unknown;
  try {
    parsed = parseToml(file.text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new LakeError('config-invalid-value', `${file.path}: line ${error.line}, column ${error.column}: not TOML`, {
      hint: 'Mend the file at that place; each key stands as `name = value`.',
      cause: error,
    });
  }
  const flat: [string, string][] = [];
  const visit = (prefix: string, value: unknown): void => {
    if (Array.isArray(value)) flat.push([prefix, value.map(String).join(',')]);
    else if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) visit(prefix === '' ? name : `${prefix}.${name}`, inner);
    } else flat.push([prefix, String(value)]);
  };
  visit('', parsed);
  return flat;
}
