/** What Tab offers: by what stands before the cursor, and which tables the statement names so far. */
import { commandNames } from './dot-commands.js';
import { outputModes } from './session.js';
import { functionNames, keywords, systemTables } from './words.js';

/** Where names come from; a failure offers nothing. */
export interface CompletionNames {
  tables(): Promise<readonly string[]>;
  columns(table: string): Promise<readonly string[]>;
}

/** `line`: the part that the candidates stand for, as readline wants it. */
export type Completed = readonly [candidates: string[], part: string];

const plainName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const reserved = new Set(keywords.map((word) => word.toLowerCase()));
const tableWords = /\b(?:from|join|describe|desc|table)\s+(?:[\w."-]+\s*,\s*)*$/i;
/** Columns are looked up of so many tables. */
const tablesMax = 4;

/** As it must be written in SQL. */
export function sqlName(name: string): string {
  return plainName.test(name) && !reserved.has(name.toLowerCase()) ? name : `"${name.replaceAll('"', '""')}"`;
}

function starting(names: readonly string[], part: string): string[] {
  const wanted = part.replace(/^"/, '').toLowerCase();
  return names.filter((name) => name.toLowerCase().startsWith(wanted));
}

/** Tables named after FROM and JOIN, without quotes. */
export function namedTables(statement: string): string[] {
  const found = statement.matchAll(/\b(?:from|join|describe|desc)\s+(?:latest\s*\(\s*)?("(?:[^"]|"")+"|[\w.-]+)/gi);
  return [...new Set([...found].map((match) => match[1]!))];
}

const commandArguments: Readonly<Record<string, readonly string[]>> = {
  '.mode': outputModes,
  '.timer': ['on', 'off'],
  '\\timing': ['on', 'off'],
  '.as_of': ['last', 'off'],
  '.output': ['off'],
  '.width': ['auto'],
};
const tableCommands = new Set(['.schema', '\\d', '.tables', '\\dt']);

async function completeCommand(line: string, names: CompletionNames): Promise<Completed> {
  const [, name = '', part] = /^(\S*)(?:\s+(\S*))?$/.exec(line) ?? [];
  if (part === undefined) return [commandNames.filter((command) => command.startsWith(line)).map((command) => `${command} `), line];
  if (tableCommands.has(name)) return [starting(await names.tables(), part), part];
  return [starting(commandArguments[name] ?? [], part), part];
}

/** `statement` is what was entered before this line. Errors: none; what cannot be looked up is not offered. */
export async function complete(statement: string, line: string, names: CompletionNames): Promise<Completed> {
  const safely: CompletionNames = {
    tables: () => names.tables().catch(() => []),
    columns: (table) => names.columns(table).catch(() => []),
  };
  if (statement.trim() === '' && /^\s*[.\\]/.test(line) && !/^\.(?:explain|analyze)\s/.test(line))
    return completeCommand(line.trimStart(), safely);
  const part = /"?[\w.$-]*$/.exec(line)?.[0] ?? '';
  const before = `${statement}${line.slice(0, line.length - part.length)}`;
  if (tableWords.test(before)) {
    const tables = starting([...(await safely.tables()), ...systemTables], part);
    return [tables.map((name) => (name.startsWith('system.') ? name : sqlName(name))), part];
  }
  const tables = namedTables(`${statement}${line}`).slice(0, tablesMax);
  const columns = (await Promise.all(tables.map((table) => safely.columns(table)))).flat();
  const offered = [...new Set(starting(columns, part).map(sqlName))];
  if (part === '') return [offered, part];
  // Keywords as they are typed: in capitals or not.
  const isUpper = part === part.toUpperCase();
  offered.push(...starting(keywords, part).map((word) => (isUpper ? word : word.toLowerCase())));
  offered.push(...starting(functionNames, part).map((name) => `${name}(`));
  return [[...new Set(offered)], part];
}
