/** Levels of the broker's loggers (KIP-412): there is one, `root`, for all that this process logs. A change ends with the process. */
import { LakeError } from '../../kernel/index.js';
import type { LogLevel } from '../../telemetry/index.js';
import type { BrokerCore } from '../core.js';
import { configSources, type DescribedConfig, requireThisBroker } from './resource.js';

export const rootLogger = 'root';

/** By Kafka's names. Nothing here is logged as fatal: that level writes nothing. */
const levels: Readonly<Record<string, LogLevel>> = {
  DEBUG: 'debug',
  ERROR: 'error',
  FATAL: 'fatal',
  INFO: 'info',
  TRACE: 'trace',
  WARN: 'warn',
};
/** What the service was started with and Kafka has no level for. */
const silent = 'OFF';

export interface LoggerChange {
  readonly name: string;
  readonly configOperation: number;
  readonly value: string | null;
}

const operations = { set: 0, delete: 1 } as const;

/** Errors: `message-invalid` for another broker's id. */
export function describeLoggers(core: BrokerCore, name: string): readonly DescribedConfig[] {
  requireThisBroker(core, name);
  const { level } = core.logger;
  if (level === undefined) return [];
  const value = Object.keys(levels).find((label) => levels[label] === level.get()) ?? silent;
  return [
    {
      name: rootLogger,
      value,
      readOnly: false,
      configSource: configSources.brokerLogger,
      isSensitive: false,
      synonyms: [],
      documentation: '',
    },
  ];
}

/**
 * Errors: `message-invalid` (another broker's id, a key twice or without a value, the root logger's level taken back, an operation on
 * lists), `config-invalid-value` (a logger or a level that is not there).
 */
export function alterLoggers(core: BrokerCore, name: string, changes: readonly LoggerChange[], isValidateOnly: boolean): void {
  requireThisBroker(core, name);
  const asked = changes.map((change) => levelOf(core, change));
  if (isValidateOnly) return;
  for (const level of asked) core.logger.level?.set(level);
}

function levelOf(core: BrokerCore, { name, configOperation, value }: LoggerChange): LogLevel {
  if (configOperation !== operations.set && configOperation !== operations.delete)
    throw new LakeError('message-invalid', 'a logger has a level, no list: set it, do not append to or subtract from it');
  if (name !== rootLogger || core.logger.level === undefined) {
    throw new LakeError('config-invalid-value', `logger ${name} does not exist`, { hint: 'There is one logger, `root`.' });
  }
  if (configOperation === operations.delete) {
    throw new LakeError('message-invalid', 'removing the log level of the root logger is not allowed', { hint: 'Set another level.' });
  }
  const level = levels[value ?? ''];
  if (level !== undefined) return level;
  throw new LakeError('config-invalid-value', `cannot set the log level of ${name} to ${value}: it is not a supported log level`, {
    hint: `Set one of ${Object.keys(levels).join(', ')}.`,
  });
}
