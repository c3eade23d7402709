/**
 * What a user would do instead: a Python script that copies the whole topic by a Kafka client into Parquet and asks DuckDB, or a batch of
 * Spark that reads the topic for each question, from our broker and from Apache Kafka 4.4; beside the same questions asked of the service,
 * which needs no copy.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findKafka, startKafka } from './apache-kafka.mjs';
import { Figures, shown, table } from './figures.mjs';
import { treeCpuSeconds } from './processes.mjs';
import { recordsFirstMs } from './sql-records.mjs';
import { mustBeSame, openLake, recordsFor, threads, within } from './sql-lake.mjs';

export const about = 'a script that copies the topic into Parquet and asks DuckDB, and Spark on Kafka, beside asking the log';

const partitions = 4;
const program = promisify(execFile);
const script = fileURLToPath(new URL('sql-instead.py', import.meta.url));
const sparkScript = fileURLToPath(new URL('sql-instead-spark.py', import.meta.url));
const installMs = 120_000;
const scriptMs = 240_000;
const cacheFolder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'thermocline');
/** What Spark reads Kafka with. */
const sparkJars = [
  'org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.1',
  'org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.1.1',
  'org.apache.kafka:kafka-clients:3.9.1',
  'org.apache.commons:commons-pool2:2.12.1',
];

/** A Python with pyspark, which the environment names, and the jars it reads Kafka with, fetched once; or why there is none. */
async function findSpark() {
  const python = process.env.THERMOCLINE_TEST_SPARK;
  if (!python) return { missing: 'set THERMOCLINE_TEST_SPARK to a Python that has pyspark 4.1' };
  const folder = join(cacheFolder, 'bench-spark-kafka');
  mkdirSync(folder, { recursive: true });
  const jars = [];
  try {
    for (const artifact of sparkJars) {
      const [, name, version] = artifact.split(':');
      const jar = join(folder, `${name}-${version}.jar`);
      const copy = ['org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`];
      if (!existsSync(jar)) await program('mvn', ['-q', '-B', ...copy], { timeout: installMs });
      jars.push(jar);
    }
  } catch (error) {
    return { missing: `what Spark reads Kafka with could not be had: ${String(error.message).split('\n')[0]}` };
  }
  return { python, jars: jars.join(',') };
}

/** A Python with what the script needs, made once; or why there is none. */
async function findPython() {
  const folder = join(cacheFolder, 'bench-python');
  const python = join(folder, 'bin/python');
  try {
    if (!existsSync(python)) await program('python3', ['-m', 'venv', folder], { timeout: installMs });
    const wanted = ['confluent-kafka', 'pyarrow', 'duckdb'];
    await program(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...wanted], { timeout: installMs });
    return { python };
  } catch (error) {
    return { missing: `no Python with confluent-kafka, pyarrow and duckdb could be made: ${String(error.message).split('\n')[0]}` };
  }
}

/** What a Python program took and answered, the CPU of the broker that it read from included. Errors: where its rows are others. */
async function answered(name, python, args, pid, rows) {
  const served = treeCpuSeconds(pid);
  const { stdout } = await program(python, args, { timeout: scriptMs, maxBuffer: 2 ** 26 });
  const { answers, cpuSeconds, ...took } = JSON.parse(stdout);
  for (const [at, answer] of answers.entries()) mustBeSame(`${name}, question ${at}`, rows[at], answer);
  return { ...took, cpuSeconds: cpuSeconds + treeCpuSeconds(pid) - served };
}

export async function run({ work, quick, rounds, note, gib }) {
  const found = await findPython();
  if (found.missing !== undefined) return { tables: [], notes: [], skipped: [found.missing], figures: {} };
  const records = recordsFor(gib, quick ? 20_000 : 500_000);
  const [fromMs, toMs] = [recordsFirstMs + records * 400, recordsFirstMs + records * 500];
  const range = within(fromMs, toMs);
  const select = 'SELECT service, count(*) AS n, sum(bytes_out) AS bytes FROM records';
  const questions = [`${select} GROUP BY service ORDER BY service`, `${select}${range} GROUP BY service ORDER BY service`];
  // Its literals of time are named otherwise.
  const [whole, part] = questions.map((sql) => ({ sql: sql.replaceAll('TIMESTAMPTZ', 'TIMESTAMP') }));
  const sparkQuestions = JSON.stringify([whole, { ...part, fromMs, toMs }]);
  const figures = new Figures();
  const skipped = [];
  const spark = await findSpark();
  if (spark.missing !== undefined) skipped.push(`Spark: ${spark.missing}`);
  const lake = await openLake(work);
  let kafka;
  try {
    note('filling');
    await lake.prepareRecords('records', partitions, { to: records }, false);
    await lake.fill('records', partitions, 0.85);
    const sources = { 'this broker': { bootstrap: lake.service.kafka, pid: lake.service.pid } };
    const peer = findKafka();
    if (peer.missing !== undefined) skipped.push(`Apache Kafka: ${peer.missing}`);
    else {
      kafka = await startKafka(peer, join(work, 'kafka'));
      const bootstrap = kafka.kafka;
      // The records are of 2021, which Kafka's own retention would remove at once.
      await lake.load.ask('create', { bootstrap, topic: 'records', partitions, config: { 'retention.ms': '-1' } });
      await lake.load.ask('produce', { bootstrap, topic: 'records', name: 'records', acks: -1 });
      sources['Apache Kafka'] = { bootstrap, pid: kafka.pid };
    }
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`);
      const before = treeCpuSeconds(lake.service.pid);
      const ours = [];
      let ms = 0;
      for (const sql of questions) {
        const answer = await lake.ask(sql);
        ours.push(answer.rows);
        ms += answer.ms;
      }
      figures.add('asking the log', { seconds: ms / 1000, cpuSeconds: treeCpuSeconds(lake.service.pid) - before });
      for (const [source, { bootstrap, pid }] of Object.entries(sources)) {
        const path = join(work, 'copy.parquet');
        const args = [script, bootstrap, 'records', path, JSON.stringify(questions), String(threads)];
        const { count, ...copied } = await answered(`script, from ${source}`, found.python, args, pid, ours);
        if (count !== records) throw new Error(`script, from ${source}: ${count} of ${records} records came`);
        figures.add(`script, from ${source}`, copied);
        rmSync(path);
      }
      if (spark.missing !== undefined) continue;
      for (const [source, { bootstrap, pid }] of Object.entries(sources)) {
        const args = [sparkScript, bootstrap, 'records', spark.jars, sparkQuestions, String(threads)];
        figures.add(`Spark, from ${source}`, await answered(`Spark, from ${source}`, spark.python, args, pid, ours));
      }
    }
  } finally {
    await lake.stop();
    await kafka?.stop();
  }
  const spreads = figures.spreads();
  const own = spreads['asking the log'];
  const ratio = (row, figure) => (row[figure].median / own[figure].median).toFixed(1);
  const rows = Object.entries(spreads).map(([name, row]) => [
    name,
    shown(row.seconds),
    ratio(row, 'seconds'),
    shown(row.copySeconds),
    shown(row.cpuSeconds),
    ratio(row, 'cpuSeconds'),
  ]);
  const columns = ['how', 's', '÷ ours', 'copying s', 'CPU s', '÷ ours'];
  return {
    tables: [table(`${records.toLocaleString('en-US')} records of 1 KiB, two aggregates; median (min–max)`, columns, rows)],
    notes: [
      'CPU: the script or Spark, and the broker it reads, or the service; the first round of ours is the first question ever asked. Same rows. Spark with as many threads, a new session for the two questions, the second read from its first time to its last only.',
    ],
    skipped,
    figures: { spreads, records, threads },
  };
}
