/** Log lines as JSON on stderr. Rooms take the small `Logger` interface; only this file knows the library behind it. */
import pino from 'pino';

export type LogFacts = Readonly<Record<string, unknown>>;

/** From chatty to severe; `fatal` and `silent` write nothing of ours. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** The least severe level that is written, of a logger and all that came of it by `child`. */
export interface LevelSwitch {
  get(): LogLevel;
  set(level: LogLevel): void;
}

/** A line is a sentence and its facts: `logger.warn('segment damaged', { topic, partition, offset })`. */
export interface Logger {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
  /** The same logger with facts on every line. */
  child(facts: LogFacts): Logger;
  /** Absent where the level cannot be changed. */
  readonly level?: LevelSwitch;
}

/** The library's own threshold is that of each child apart; this one is shared. */
class SharedLevel implements LevelSwitch {
  #level: LogLevel;

  constructor(level: LogLevel) {
    this.#level = level;
  }

  get(): LogLevel {
    return this.#level;
  }

  set(level: LogLevel): void {
    this.#level = level;
  }

  writes(level: LogLevel): boolean {
    return logLevels.indexOf(level) >= logLevels.indexOf(this.#level);
  }
}

function wrap(logger: pino.Logger, shared: SharedLevel): Logger {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, facts?: LogFacts): void => {
      if (shared.writes(level)) logger[level](facts ?? {}, message);
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (facts) => wrap(logger.child(facts), shared),
    level: shared,
  };
}

/** Writes synchronously to stderr, so that the last line before an exit is never lost. */
export function openLogger(options: { readonly role: string; readonly level: LogLevel }): Logger {
  const settings = {
    level: 'trace',
    base: { role: options.role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
  };
  return wrap(pino(settings, pino.destination({ dest: 2, sync: true })), new SharedLevel(options.level));
}

/** For tests and for callers that want silence. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
