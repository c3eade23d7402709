/** The prompt's own commands: `.help` lists them. Some go by the names that psql gave them as well. */
import { nearestName } from '../../kernel/index.js';
import { usageError } from '../exit.js';
import { renderTable } from '../table.js';
import type { Catalog } from './catalog.js';
import { parameterValue } from './parameters.js';
import { killQuery, listedQueries } from './queries.js';
import { modeOf, outputModes, type SqlSession } from './session.js';

export interface CommandContext {
  readonly session: SqlSession;
  readonly catalog: Catalog;
  readonly signal: AbortSignal;
  /** Runs the statements of a file. */
  readonly read: (path: string) => Promise<void>;
}

export interface DotCommand {
  readonly names: readonly string[];
  readonly argument: string;
  readonly help: string;
  /** `quit` leaves the prompt. `argument` is the rest of the line. */
  run(context: CommandContext, argument: string): Promise<'quit' | void>;
}

const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function requireArgument(argument: string, usage: string): string {
  if (argument === '') throw usageError(`${usage.split(' ')[0]} needs more`, `Write ${usage}.`);
  return argument;
}

function onOrOff(argument: string, now: boolean, usage: string): boolean {
  if (argument === '') return !now;
  if (argument === 'on') return true;
  if (argument === 'off') return false;
  throw usageError(`"${argument}" is neither on nor off`, `Write ${usage}.`);
}

function wholeNumber(argument: string, usage: string): number {
  const value = Number(argument);
  if (/^\d+$/.test(argument) && Number.isSafeInteger(value)) return value;
  throw usageError(`"${argument}" is not a whole number`, `Write ${usage}.`);
}

/** `%`, `_` and `*` as in LIKE and file names. */
function patternOf(text: string): RegExp {
  const source = text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll(/[%*]/g, '.*');
  return new RegExp(`^${source}$`, 'i');
}

async function listTables({ session, catalog, signal }: CommandContext, argument: string): Promise<void> {
  const tables = await catalog.tables(signal);
  const found = argument === '' ? tables : tables.filter(({ name }) => patternOf(argument).test(name));
  if (found.length === 0) {
    session.note(argument === '' ? 'there are no topics yet' : `no table is like ${argument}`);
    return;
  }
  const columns = [{ name: 'name' }, { name: 'kind' }, { name: 'partitions', isNumeric: true }, { name: 'records', isNumeric: true }];
  const rows = found.map(({ name, kind, partitions, records }) => [name, kind, partitions, records]);
  await session.out.write(`${renderTable(columns, rows)}\n`);
}

/** What a token is for people: its beginning. */
function shortened(token: string): string {
  return token.length <= 40 ? token : `${token.slice(0, 37)}…`;
}

const commands: readonly DotCommand[] = [
  {
    names: ['.as_of'],
    argument: 'TOKEN|TIME|last|off',
    help: 'answer as of an earlier answer or a time; last: as of the last one',
    run: async ({ session }, argument) => {
      if (argument === 'off') session.asOf = undefined;
      else if (argument === 'last') {
        if (session.lastSnapshot === undefined) throw usageError('there is no answer yet', 'Ask something first.');
        session.asOf = session.lastSnapshot;
      } else if (argument !== '') session.asOf = argument;
      session.note(session.asOf === undefined ? 'answers are as of now' : `answers are as of ${shortened(session.asOf)}`);
    },
  },
  {
    names: ['.explain', '\\explain'],
    argument: 'SELECT …',
    help: 'how a statement would be answered, tier by tier',
    run: async ({ session, signal }, argument) => {
      await session.run(`EXPLAIN ${requireArgument(argument, '.explain SELECT …').replace(/;\s*$/, '')}`, signal);
    },
  },
  {
    names: ['.analyze'],
    argument: 'SELECT …',
    help: 'run a statement and show where its time went',
    run: async ({ session, signal }, argument) => {
      await session.run(`EXPLAIN ANALYZE ${requireArgument(argument, '.analyze SELECT …').replace(/;\s*$/, '')}`, signal);
    },
  },
  {
    names: ['.help', '\\?', '\\h'],
    argument: '',
    help: 'these commands',
    run: async ({ session }) => session.out.write(helpText()),
  },
  {
    names: ['.kill'],
    argument: 'ID',
    help: 'end a running query',
    run: async ({ session, signal }, argument) => {
      const id = requireArgument(argument, '.kill ID');
      await killQuery(session.source, id, signal);
      session.note(`query ${id} is ended`);
    },
  },
  {
    names: ['.limit'],
    argument: 'N',
    help: 'print at most so many rows; 0: all (on a terminal 1000 without it)',
    run: async ({ session }, argument) => {
      session.rowsMax = argument === '' || argument === 'off' ? undefined : wholeNumber(argument, '.limit 1000');
    },
  },
  {
    names: ['.mode', '\\x'],
    argument: 'MODE',
    help: `how rows are printed: ${outputModes.join(', ')}`,
    run: async ({ session }, argument) => {
      if (argument === '') session.note(`mode: ${session.modeNow}`);
      else session.mode = argument === 'auto' ? undefined : modeOf(argument);
    },
  },
  {
    names: ['.null'],
    argument: 'TEXT',
    help: 'what stands for NULL in a table',
    run: async ({ session }, argument) => {
      session.nullText = argument.replace(/^(['"])(.*)\1$/s, '$2');
    },
  },
  {
    names: ['.output', '\\o'],
    argument: 'FILE',
    help: 'write rows to a file, which is there once another output or none is named',
    run: async ({ session }, argument) => session.redirect(argument === '' || argument === 'off' ? undefined : argument),
  },
  {
    names: ['.param', '\\set'],
    argument: 'NAME VALUE',
    help: 'the value of $NAME in statements; without a value it is forgotten',
    run: async ({ session }, argument) => {
      const [, name, value] = /^\$?(\w+)(?:[\s=]+(.*))?$/s.exec(argument) ?? [];
      if (argument === '')
        for (const [known, set] of Object.entries(session.parameters)) session.note(`$${known} = ${JSON.stringify(set)}`);
      else if (name === undefined) throw usageError(`"${argument}" names no parameter`, 'Write .param since 2026-01-01.');
      else {
        const { [name]: _, ...others } = session.parameters;
        session.parameters = value === undefined ? others : { ...others, [name]: parameterValue(value) };
      }
    },
  },
  {
    names: ['.queries'],
    argument: '',
    help: 'what is running, with ids for .kill',
    run: async ({ session, signal }) => {
      const queries = await listedQueries(session.source, 'running', signal);
      if (queries.length === 0) session.note('nothing is running');
      else {
        const columns = [{ name: 'id' }, { name: 'elapsed_ms', isNumeric: true }, { name: 'rows', isNumeric: true }, { name: 'sql' }];
        const rows = queries.map(({ id, elapsed_ms: elapsedMs, rows: count, sql }) => [id, elapsedMs, count, sql]);
        await session.out.write(`${renderTable(columns, rows)}\n`);
      }
    },
  },
  {
    names: ['.quit', '.exit', '\\q'],
    argument: '',
    help: 'leave (so does Ctrl-D)',
    run: async () => 'quit',
  },
  {
    names: ['.read', '\\i'],
    argument: 'FILE',
    help: 'run the statements of a file',
    run: async ({ read }, argument) => read(requireArgument(argument, '.read FILE')),
  },
  {
    names: ['.schema', '\\d'],
    argument: 'TABLE',
    help: 'the columns of a topic or view, and where they come from',
    run: async (context, argument) => {
      if (argument === '') return listTables(context, '');
      const [schema, name] = argument.startsWith('system.') ? ['system.', argument.slice('system.'.length)] : ['', argument];
      await context.session.run(`DESCRIBE ${schema}${quoteIdentifier(name.replace(/^"(.*)"$/s, '$1'))}`, context.signal);
    },
  },
  {
    names: ['.tables', '\\dt', '\\dv'],
    argument: 'PATTERN',
    help: 'topics and views; % stands for anything',
    run: listTables,
  },
  {
    names: ['.timer', '\\timing'],
    argument: 'on|off',
    help: 'whether each answer says how long it took and what it read',
    run: async ({ session }, argument) => {
      session.isTimed = onOrOff(argument, session.isTimed, '.timer on');
    },
  },
  {
    names: ['.width'],
    argument: 'N|auto',
    help: 'widest that a cell of a table is',
    run: async ({ session }, argument) => {
      session.cellWidth = argument === '' || argument === 'auto' ? undefined : Math.max(1, wholeNumber(argument, '.width 40'));
    },
  },
];

export const commandNames: readonly string[] = commands.flatMap(({ names }) => names);

function helpText(): string {
  const heads = commands.map(({ names, argument }) => `${names[0]} ${argument}`.trim());
  const width = Math.max(...heads.map((head) => head.length));
  return `${commands.map(({ help }, i) => `${heads[i]!.padEnd(width)}  ${help}`).join('\n')}\nStatements end with ;  Ctrl-C ends a running one, Tab completes.\n`;
}

/** Errors: `usage` with the nearest command, and those of the command. */
export async function runCommand(context: CommandContext, line: string): Promise<'quit' | void> {
  const [, name = line, argument = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  if (name === '\\x' && argument === '') {
    context.session.mode = context.session.modeNow === 'line' ? undefined : 'line';
    return;
  }
  const command = commands.find(({ names }) => names.includes(name.toLowerCase()));
  if (command !== undefined) return command.run(context, argument.trim());
  const near = nearestName(name, commandNames);
  throw usageError(`there is no command ${name}`, near === undefined ? '.help lists them.' : `Did you mean ${near}?`);
}
