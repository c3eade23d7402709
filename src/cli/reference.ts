/** The page of the reference about the command line, written from the very help that commander prints. */
import type { Argument, Command, Option } from 'commander';
import { programOf, subCommands } from './program.js';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function optionRow(option: Option): string {
  const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
  const isShown = option.defaultValue !== undefined && option.defaultValue !== false;
  return `| \`${cell(option.flags)}\` | ${cell(option.description)}${cell(choices)} | ${isShown ? `\`${cell(String(option.defaultValue))}\`` : ''} |`;
}

function usageOf(path: string, command: Command): string {
  const argument = (one: Argument): string => {
    const name = `${one.name()}${one.variadic ? '…' : ''}`;
    return one.required ? ` <${name}>` : ` [${name}]`;
  };
  return `${path}${command.registeredArguments.map(argument).join('')}${command.options.length > 0 ? ' [options]' : ''}`;
}

function sectionOf(path: string, command: Command, depth: number): string[] {
  const own = [`${'#'.repeat(depth)} ${path}`, '', `\`${usageOf(path, command)}\``, '', `${command.description()}.`, ''];
  if (command.options.length > 0) own.push('| Option | Meaning | Default |', '|---|---|---|', ...command.options.map(optionRow), '');
  return [...own, ...command.commands.flatMap((child) => sectionOf(`${path} ${child.name()}`, child, Math.min(depth + 1, 4)))];
}

/** Markdown. What the environment says of servers is left out. */
export async function commandReference(): Promise<string> {
  delete process.env['THERMOCLINE_SERVER'];
  delete process.env['THERMOCLINE_BOOTSTRAP'];
  delete process.env['THERMOCLINE_TOKEN'];
  const program = await programOf(Object.keys(subCommands));
  return [
    '# Command line',
    '',
    program.description(),
    '',
    'Data goes to stdout, everything else to stderr; tables on a terminal, NDJSON when piped. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict,',
    '10 unhealthy. `THERMOCLINE_SERVER`, `THERMOCLINE_BOOTSTRAP` and `THERMOCLINE_TOKEN` stand for `--server`, `--bootstrap` and `--token`. Every command takes `--help`.',
    '',
    ...program.commands.flatMap((command) => sectionOf(`thermocline ${command.name()}`, command, 2)),
  ].join('\n');
}
