/**
 * cli: the command `thermocline`, one file a sub-command, each loaded only when asked for.
 *
 * Owns: options, output and exit codes. Invariants: data goes to stdout and everything else to stderr; tables on a terminal,
 * NDJSON when piped; an error is a message, a hint and an exit code.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/cli`.
 */
export { exitCodeOf, exitCodes } from './exit.js';
export { commandReference } from './reference.js';
export { renderTable, type TableColumn } from './table.js';
