/** Options that `serve`, the roles and `demo` share, and how they become the server's configuration. */
import { readFileSync } from 'node:fs';
import { loadServerConfig, type ServerConfig, takeSecrets } from '../config/index.js';
import { LakeError } from '../kernel/index.js';
import type { Command } from 'commander';

export interface ServerFlags {
  readonly config?: string;
  readonly dataDir?: string;
  readonly kafkaListen?: string;
  readonly httpListen?: string;
  readonly bucket?: string;
  readonly bootstrap?: string;
  readonly set?: readonly string[];
}

/** Gathers an option that may be given several times. */
export function repeated(one: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), one];
}

export function addServerOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file (TOML)')
    .option('--data-dir <folder>', 'folder of everything local (default: ./data)')
    .option('--kafka-listen <host:port>', 'where the broker speaks Kafka (default: 127.0.0.1:9092)')
    .option('--http-listen <host:port>', 'where the gateway speaks HTTP (default: 127.0.0.1:8080)')
    .option('--bucket <url>', 'file:///path or s3://bucket/prefix (default: the folder bucket in the data folder)')
    .option('--set <key=value>', 'any configuration key, may be repeated', repeated);
}

const flagKeys = {
  dataDir: 'data.dir',
  kafkaListen: 'kafka.listen',
  httpListen: 'http.listen',
  bucket: 'bucket.url',
  bootstrap: 'bootstrap',
} as const satisfies Partial<Record<keyof ServerFlags, string>>;

/** Defaults < file < environment < flags. Errors: `config-*`, naming key, value and place. */
export function serverConfigOf(flags: ServerFlags): ServerConfig {
  const byKey: Record<string, string> = {};
  for (const pair of flags.set ?? []) {
    const at = pair.indexOf('=');
    if (at <= 0) throw new LakeError('usage', `--set ${pair} is not KEY=VALUE`, { hint: 'Write --set num.partitions=6.' });
    byKey[pair.slice(0, at).trim()] = pair.slice(at + 1);
  }
  for (const [flag, key] of Object.entries(flagKeys)) {
    const value = flags[flag as keyof typeof flagKeys];
    if (value !== undefined) byKey[key] = value;
  }
  const environment = { ...process.env };
  // A child process gets a secret from its parent where it needs one.
  takeSecrets(process.env);
  return loadServerConfig({
    file: flags.config === undefined ? undefined : readConfigFile(flags.config),
    environment,
    flags: byKey,
  });
}

function readConfigFile(path: string): { path: string; text: string } {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    throw new LakeError('usage', `configuration file ${path} cannot be read`, { hint: 'Name a TOML file with --config.', cause: error });
  }
}
