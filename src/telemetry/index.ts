/**
 * telemetry: how the service speaks of itself. Log lines and metrics.
 *
 * Owns: the list of metric names. Invariants: logs go to stderr, stdout is for data; every metric is declared once.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/telemetry`.
 */
export { type LevelSwitch, type LogFacts, type Logger, type LogLevel, logLevels, openLogger, silentLogger } from './logger.js';
export { type MetricName, type MetricSample, metricSpecs, processSamples, renderMetrics } from './metrics.js';
