/** `thermocline sql`: one statement and its rows, statements from a file or a pipe, or a prompt. */
import { type Command, Option } from 'commander';
import { addClientOptions, type ClientFlags } from '../client-options.js';
import { exitCodes, usageError } from '../exit.js';
import { repeated, serverConfigOf } from '../server-options.js';
import { Catalog } from '../sql/catalog.js';
import { streamDestination } from '../sql/destination.js';
import { reportFailure } from '../sql/failure.js';
import { parametersOf } from '../sql/parameters.js';
import { Script, ScriptEnded } from '../sql/script.js';
import { type OutputMode, outputModes, SqlSession, terminalRows } from '../sql/session.js';
import { bucketSource, coldOnly, serverSource, type SqlSource } from '../sql/source.js';

interface SqlFlags extends ClientFlags {
  readonly bucket?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly format?: OutputMode;
  readonly asOf?: string;
  readonly output?: string;
  readonly file?: string;
  readonly param?: readonly string[];
  readonly limit?: string;
}

function rowsMaxOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw usageError(`--limit ${text} is not a whole number`, 'Write --limit 1000, or 0 for all rows.');
}

/** One statement: its error is told with its place in it. */
async function runOne(session: SqlSession, sql: string, signal: AbortSignal): Promise<void> {
  try {
    await session.run(sql, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ScriptEnded(reportFailure((text) => process.stderr.write(text), error, sql));
  }
}

interface Opened {
  readonly source: SqlSource;
  /** A second line for whoever begins to type. */
  readonly remark?: () => Promise<string>;
}

/** The gateway of a running service, or a bucket that is read in this process. */
async function openSource(flags: SqlFlags, isPrompt: boolean): Promise<Opened> {
  if (flags.bucket === undefined) {
    for (const name of ['endpoint', 'region', 'config', 'set'] as const)
      if (flags[name] !== undefined) throw usageError(`--${name} is of use with --bucket only`, 'Name the bucket: sql --bucket URL.');
    return { source: serverSource(flags.server) };
  }
  const [{ openBucketQuery }, { openLogger }] = await Promise.all([import('../../server/index.js'), import('../../telemetry/index.js')]);
  const set = [
    ...(flags.set ?? []),
    ...(flags.endpoint === undefined ? [] : [`bucket.endpoint=${flags.endpoint}`]),
    ...(flags.region === undefined ? [] : [`bucket.region=${flags.region}`]),
  ];
  const config = serverConfigOf({ bucket: flags.bucket, set, ...(flags.config === undefined ? {} : { config: flags.config }) });
  const bucket = await openBucketQuery({ config, concurrency: isPrompt ? 2 : 1, logger: openLogger({ role: 'sql', level: 'error' }) });
  return { source: bucketSource(bucket), remark: () => coldOnly(bucket) };
}

function isPromptDue(sql: string | undefined, flags: SqlFlags): boolean {
  return sql === undefined && flags.file === undefined && process.stdin.isTTY && process.stdout.isTTY;
}

async function runIn(session: SqlSession, opened: Opened, sql: string | undefined, flags: SqlFlags): Promise<void> {
  const { source, remark } = opened;
  const cancel = new AbortController();
  const catalog = new Catalog(source);
  if (isPromptDue(sql, flags)) {
    const [{ runPrompt }, { historyPath }] = await Promise.all([import('../sql/prompt.js'), import('../sql/history.js')]);
    await runPrompt({
      session,
      catalog,
      input: process.stdin,
      output: process.stdout,
      historyPath: historyPath(process.env),
      greeting: [
        `${source.title}${remark === undefined ? '' : `, ${await remark()}`}`,
        'Statements end with ;  .help lists the commands, Ctrl-D leaves.',
      ].join('\n'),
    });
    return;
  }
  process.once('SIGINT', () => cancel.abort(new Error('cancelled')));
  if (sql !== undefined) return runOne(session, sql, cancel.signal);
  const script = new Script(session, catalog);
  if (flags.file !== undefined && flags.file !== '-') await script.runFile(flags.file, cancel.signal);
  else await script.runStream(process.stdin, 'stdin', cancel.signal);
}

async function run(sql: string | undefined, flags: SqlFlags): Promise<void> {
  if (sql !== undefined && flags.file !== undefined) throw usageError('both a query and -f are given', 'Give one of them.');
  const opened = await openSource(flags, isPromptDue(sql, flags));
  const { source } = opened;
  const session = new SqlSession({
    source,
    out: streamDestination(process.stdout),
    notes: process.stderr,
    mode: flags.format,
    asOf: flags.asOf,
    parameters: parametersOf(flags.param),
    rowsMax: rowsMaxOf(flags.limit),
  });
  try {
    if (flags.output !== undefined) await session.redirect(flags.output);
    await runIn(session, opened, sql, flags);
    await session.finish();
  } catch (error) {
    await session.discard();
    if (!(error instanceof ScriptEnded)) throw error;
    process.exitCode = error.exitCode;
  } finally {
    await source.close();
  }
  // What readline or a fetch has left open keeps nobody waiting.
  process.exitCode ??= exitCodes.ok;
}

export function register(program: Command): void {
  addClientOptions(
    program
      .command('sql')
      .argument('[query]')
      .description('one SELECT over both tiers; without one, a prompt (or statements from a file or a pipe)'),
  )
    .addOption(
      new Option(
        '--format <format>',
        "how rows are printed (default: by the output file's name, table on a terminal, else ndjson)",
      ).choices(outputModes),
    )
    .option('-f, --file <file>', 'run the statements of a file, up to the first error (-: of stdin)')
    .option('-o, --output <file>', 'write the rows to a file, which gets its name when it is whole')
    .option('--as-of <token|time>', 'answer as of the snapshot of an earlier answer, or as of a time (ISO 8601 or epoch ms)')
    .option(
      '--param <name[:TYPE]=value>',
      'the value of $name, may be repeated; with a type (TIMESTAMP, BIGINT[] …) exactly that',
      repeated,
    )
    .option('--bucket <url>', 'read a bucket in this process, without a service: file:///path or s3://bucket/prefix; cold data only')
    .option('--endpoint <url>', 'with --bucket: an S3 server that is not Amazon')
    .option('--region <name>', 'with --bucket: its region')
    .option('--config <file>', 'with --bucket: a configuration file (TOML)')
    .option('--set <key=value>', 'with --bucket: a configuration key, may be repeated', repeated)
    .option('--limit <rows>', `print at most so many rows of a table; 0: all (default on a terminal: ${terminalRows})`)
    .action(run);
}
