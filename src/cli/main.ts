/** The command `thermocline`: runs the sub-command that is named, each loaded only when it is asked for. */
import { LakeError } from '../kernel/index.js';
import { CommanderError } from 'commander';
import { exitCodes, reportError } from './exit.js';
import { programOf, subCommands } from './program.js';

/** Names that are promised and not there yet, so that nobody takes the refusal for a typing error. */
const later = new Set(['group', 'bench']);

async function main(): Promise<void> {
  const asked = process.argv.slice(2).find((word) => !word.startsWith('-'));
  if (asked !== undefined && later.has(asked)) {
    const error = new LakeError('unsupported', `\`thermocline ${asked}\` is not there yet`, { hint: '`thermocline help` lists what is.' });
    process.exit(reportError(error));
  }
  const isKnown = asked !== undefined && Object.hasOwn(subCommands, asked);
  const program = await programOf(isKnown ? [asked] : Object.keys(subCommands));
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? exitCodes.ok : exitCodes.usage);
    process.exit(reportError(error));
  }
}

// A reader that closes early (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
await main();
