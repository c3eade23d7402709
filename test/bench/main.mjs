/**
 * `npm run bench`: runs the benches one after the other, prints medians of the rounds with the smallest and largest, and writes
 * each one's figures as JSON. Peers run in the same run, by turns; a peer that is not installed is named and left out.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as backfill from './backfill.mjs';
import * as brokerLoad from './broker-load.mjs';
import * as coldFetch from './cold-fetch.mjs';
import * as groupCommit from './group-commit.mjs';
import * as latency from './latency.mjs';
import * as memory from './memory.mjs';
import * as produceConsume from './produce-consume.mjs';
import * as query from './query.mjs';
import * as restore from './restore.mjs';
import * as s3Requests from './s3-requests.mjs';
import { root } from './service.mjs';
import * as smallQueries from './small-queries.mjs';
import * as sqlEmptyCache from './sql-empty-cache.mjs';
import * as sqlExport from './sql-export.mjs';
import * as sqlInstead from './sql-instead.mjs';
import * as sqlKeys from './sql-keys.mjs';
import * as sqlProduce from './sql-produce.mjs';
import * as sqlRanges from './sql-ranges.mjs';
import * as sqlTail from './sql-tail.mjs';
import * as sqlWindow from './sql-window.mjs';
import * as start from './start.mjs';
import * as tier from './tier.mjs';

const benches = {
  'produce-consume': produceConsume,
  latency,
  'group-commit': groupCommit,
  load: brokerLoad,
  tier,
  query,
  'small-queries': smallQueries,
  'cold-fetch': coldFetch,
  backfill,
  's3-requests': s3Requests,
  memory,
  start,
  restore,
  'sql-ranges': sqlRanges,
  'sql-empty-cache': sqlEmptyCache,
  'sql-window': sqlWindow,
  'sql-tail': sqlTail,
  'sql-keys': sqlKeys,
  'sql-produce': sqlProduce,
  'sql-export': sqlExport,
  'sql-instead': sqlInstead,
};
/** Whatever hangs, it ends: all benches together. */
const deadlineMinutes = { quick: 12, full: 90 };
const tmpfs = 0x01021994;

const help = `Usage: npm run bench -- [options]

Measures the service and prints medians; each bench's figures go to a JSON file of its name.
Runs on an otherwise idle machine say the most.

  --only NAME     one bench, or several with commas between
  --quick         one round with less data: does it work, not how fast is it
  --gib N         GiB of 1 KiB records, in the benches of SQL (or THERMOCLINE_BENCH_GIB)
  --rounds N      rounds of which the median is taken (default 3)
  --out FOLDER    where the JSON files go (default .cache/bench)
  --work FOLDER   where data is put meanwhile (default: the system's folder for temporary files)
  --help          this text

${Object.entries(benches)
  .map(([name, { about }]) => `  ${name.padEnd(16)}${about}`)
  .join('\n')}

Peers: THERMOCLINE_TEST_KAFKA44 names a folder with Apache Kafka 4.4, THERMOCLINE_TEST_TOOLS the one with kafka44-start.sh,
THERMOCLINE_TEST_RDKAFKA_PERFORMANCE librdkafka's rdkafka_performance, THERMOCLINE_TEST_VERSITYGW the versitygw program.
`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        quick: { type: 'boolean', default: false },
        gib: { type: 'string', default: process.env.THERMOCLINE_BENCH_GIB },
        rounds: { type: 'string' },
        out: { type: 'string', default: join(root, '.cache/bench') },
        work: { type: 'string', default: tmpdir() },
        help: { type: 'boolean', default: false },
      },
    });
    const names = values.only.flatMap((one) => one.split(','));
    const unknown = names.find((name) => benches[name] === undefined);
    if (unknown !== undefined) throw new Error(`there is no bench ${unknown}; there are ${Object.keys(benches).join(', ')}`);
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds is a whole number above 0');
    const gib = values.gib === undefined ? undefined : Number(values.gib);
    if (gib !== undefined && !(gib > 0)) throw new Error('--gib is a number above 0');
    return { ...values, gib, rounds, names: names.length > 0 ? names : Object.keys(benches) };
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${help}`);
    process.exit(2);
  }
}

function machine(work) {
  const [first] = cpus();
  let commit;
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    // Not a checkout.
  }
  const isInMemory = statfsSync(work).type === tmpfs;
  return {
    cores: cpus().length,
    cpu: first?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    linux: release(),
    node: process.version,
    commit,
    isInMemory,
  };
}

const say = (text = '') => process.stdout.write(`${text}\n`);

async function main() {
  const { help: isHelp, names, quick, rounds, gib, out, work: workParent } = options();
  if (isHelp) {
    say(help);
    return 0;
  }
  mkdirSync(resolve(out), { recursive: true });
  const parent = mkdtempSync(join(resolve(workParent), 'thermocline-bench-'));
  process.on('exit', () => rmSync(parent, { recursive: true, force: true }));
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => process.exit(130));
  const minutes = quick ? deadlineMinutes.quick : deadlineMinutes.full;
  setTimeout(() => {
    process.stderr.write(`the benches did not end within ${minutes} minutes\n`);
    process.exit(1);
  }, minutes * 60_000).unref();

  const about = machine(parent);
  say(
    `${about.cores} × ${about.cpu} · ${about.memoryGiB} GiB · Linux ${about.linux} · Node ${about.node}${about.commit === undefined ? '' : ` · ${about.commit}`}`,
  );
  if (about.isInMemory)
    say('The data lies in memory (tmpfs): what waits for the disk here waits for nothing. Name another folder with --work.');
  let failures = 0;
  for (const name of names) {
    const work = join(parent, name);
    mkdirSync(work);
    const startedMs = performance.now();
    const loadBefore = loadavg()[0];
    say(`\n━━ ${name}: ${benches[name].about}`);
    const note = (text) => process.stderr.write(`   ${name}: ${text}\n`);
    try {
      const { tables, notes, skipped, figures } = await benches[name].run({ work, quick, rounds, gib, note });
      const seconds = Math.round((performance.now() - startedMs) / 1000);
      say(`\n${tables.join('\n\n')}\n`);
      for (const line of [...notes, ...skipped.map((one) => `left out: ${one}`)]) say(`  ${line}`);
      const load = { before: loadBefore, after: loadavg()[0] };
      say(
        `  ${seconds} s, load ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after${quick ? ', quick: not to be quoted' : ''}`,
      );
      const path = join(resolve(out), `${name}.json`);
      writeFileSync(
        path,
        `${JSON.stringify({ name, at: new Date().toISOString(), machine: about, quick, rounds, seconds, load, skipped, figures }, null, 1)}\n`,
      );
    } catch (error) {
      failures++;
      process.stderr.write(`${name} failed: ${error.stack ?? error}\n`);
    }
    rmSync(work, { recursive: true, force: true });
  }
  return failures > 0 ? 1 : 0;
}

process.exit(await main());
