/** Log lines as JSON on stderr. Rooms take the small `Logger` interface; only this file knows the library behind it. */
import pino from 'pino';

export type LogFacts = Readonly<Record<string, unknown>>;

/** A line is a sentence and its facts: `logger.warn('segment damaged', { topic, partition, offset })`. */
export interface Logger {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
  /** The same logger with facts on every line. */
  child(facts: LogFacts): Logger;
}

function wrap(logger: pino.Logger): Logger {
  return {
    debug: (message, facts) => logger.debug(facts ?? {}, message),
    info: (message, facts) => logger.info(facts ?? {}, message),
    warn: (message, facts) => logger.warn(facts ?? {}, message),
    error: (message, facts) => logger.error(facts ?? {}, message),
    child: (facts) => wrap(logger.child(facts)),
  };
}

/** Writes synchronously to stderr, so that the last line before an exit is never lost. */
export function openLogger(options: { readonly role: string; readonly level: string }): Logger {
  const settings = {
    level: options.level,
    base: { role: options.role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
  };
  return wrap(pino(settings, pino.destination({ dest: 2, sync: true })));
}

/** For tests and for callers that want silence. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
