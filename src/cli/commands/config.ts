/** `thermocline config print|lint`: what is set, from where, and whether it can be used. */
import { serverKeySpecs } from '../../config/index.js';
import type { Command } from 'commander';
import { printRows } from '../table.js';
import { addServerOptions, type ServerFlags, serverConfigOf } from '../server-options.js';

function print(flags: ServerFlags): void {
  const config = serverConfigOf(flags);
  printRows(
    config
      .entries()
      .map((entry) => ({ key: entry.name, value: entry.text, source: entry.source, meaning: serverKeySpecs.get(entry.name)?.doc ?? '' })),
  );
}

function lint(flags: ServerFlags): void {
  const config = serverConfigOf(flags);
  const set = config.entries().filter((entry) => entry.source !== 'default').length;
  process.stdout.write(`ok: ${set} ${set === 1 ? 'key' : 'keys'} set\n`);
}

export function register(program: Command): void {
  const config = program.command('config').description('print or check the configuration');
  addServerOptions(config.command('print').description('every key with its value, source and meaning')).action(print);
  addServerOptions(config.command('lint').description('check the configuration without starting anything')).action(lint);
}
