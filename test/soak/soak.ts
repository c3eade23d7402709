// The soak: the real service, for as long as it is told to, under everything at once. Producers of known content, short commits,
// eviction, compaction, deleted records and retention; every kind of question, fresh and with tokens of long ago; questions given
// up, bad and too many; engines and the gateway killed. Every answer is held against a model; memory, files and children are
// watched for growth.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { alterTopic, deleteRecords } from '../../src/client/index.js';
import { Lake } from '../support/lake.js';
import { eventually, processesBelow } from '../support/processes.js';
import { type Seeded, seeded } from '../support/seed.js';
import { temporaryFolder } from '../support/service.js';
import { Asker, findingsMax, type LogStarts } from './asker.js';
import type { TopicPlan } from './content.js';
import { Disturber } from './disturb.js';
import { Excuses } from './excuses.js';
import { Ledger } from './ledger.js';
import { Producers } from './producers.js';
import { drawQuestion, savedViews, totals } from './questions.js';
import { compareFormats, exportAll, readKey, readRecords } from './reads.js';
import { rowOf, type Sample, sample, type Trend, trends } from './watch.js';

const settings = {
  'lake.file.bytes': '1048576',
  'lake.commit.interval.ms': '1500',
  'log.segment.bytes': '1048576',
  'log.retention.check.interval.ms': '500',
  'log.local.retention.ms': '4000',
  'tier.upkeep.interval.ms': '3000',
  'tier.sweep.interval.ms': '5000',
  'tier.sweep.min.age.ms': '20000',
  'tier.sweep.grace.ms': '15000',
  // Whoever else wants the processors: a question is late then, and not refused. It waits for its turn until those before have ended.
  'query.niceness': '0',
  'query.timeout.ms': '60000',
  'query.queue.wait.ms': '90000',
  'query.memory.bytes': String(256 * 1024 * 1024),
  'query.cache.bytes': String(128 * 1024 * 1024),
  'query.concurrency': '2',
  'log.level': 'warn',
};

/** `clicks` loses its oldest records; the others keep all. */
const losing = 'clicks';
const plans = [
  { name: 'orders', partitions: 3, recordsPerSecond: 250, keys: 200 },
  { name: losing, partitions: 2, recordsPerSecond: 150, keys: 60 },
  { name: 'customers', partitions: 1, recordsPerSecond: 20, keys: 150 },
];

const warmUpRecords = 200;
const sampleEveryMs = 2500;
const tableEverySamples = 12;
/** What is kept shows against this; a heap that may grow to gigabytes is only collected when it has. */
const nodeOptions = '--max-old-space-size=192';
const askers = 3;
/** A broker remembers what was appended when to the second. */
const asOfBehindMs = 1500;
/** Queries end by `query.timeout.ms` at the latest; the tries of one that the soak disturbs take less. */
const loopEndWithinMs = 180_000;
/** Children that may be more at the end than when all had warmed up: a spare on its way. */
const childrenMore = 2;

export interface SoakReport {
  readonly seed: number;
  readonly findings: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly disturbances: Readonly<Record<string, number>>;
  readonly excused: Readonly<Record<string, number>>;
  readonly records: number;
  readonly answers: number;
  readonly tokensRepeated: number;
  readonly tokensGone: number;
  readonly trends: readonly Trend[];
}

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

export async function soak(minutes: number): Promise<SoakReport> {
  const random = seeded('soak');
  const folder = await temporaryFolder();
  try {
    const temporary = join(folder.path, 'tmp');
    mkdirSync(temporary);
    await using lake = await Lake.start({
      dataDir: join(folder.path, 'data'),
      set: settings,
      environment: { TMPDIR: temporary, NODE_OPTIONS: nodeOptions },
    });
    return await new Soak(lake, random, minutes, temporary).run();
  } finally {
    await folder.remove();
  }
}

class Soak {
  readonly #lake: Lake;
  readonly #random: Seeded;
  readonly #minutes: number;
  readonly #folders: Readonly<Record<string, string>>;
  readonly #ledgers = new Map<string, Ledger>();
  readonly #excuses = new Excuses();
  readonly #stop = new AbortController();
  readonly #samples: Sample[] = [];
  /** What each loop is at. */
  readonly #underWay = new Map<number, string>();
  #loops = 0;
  #firstAskedMs = 0;
  readonly #starts: LogStarts;
  #asker: Asker;

  constructor(lake: Lake, random: Seeded, minutes: number, temporary: string) {
    this.#lake = lake;
    this.#random = random;
    this.#minutes = minutes;
    const inData = (name: string): string => join(lake.service.dataDir, name);
    this.#folders = {
      leases: inData('query/leases'),
      tail: inData('query/tail'),
      'cold cache': inData('query/cold'),
      'key filters': inData('query/key-filters'),
      spool: inData('tier'),
      tmp: temporary,
    };
    const kafkaStarts = async (topic: string): Promise<number[]> => (await lake.ends(topic)).map(([start]) => start);
    const starts = async (topic: string): Promise<readonly number[]> =>
      topic === losing ? await kafkaStarts(topic) : Array.from({ length: this.#ledgers.get(topic)!.plan.partitions }, () => 0);
    this.#starts = { lower: starts, upper: starts };
    this.#asker = new Asker(lake, this.#ledgers, this.#excuses, this.#starts);
  }

  async run(): Promise<SoakReport> {
    const { service } = this.#lake;
    const firstMs = Date.now();
    for (const { name, partitions, ...plan } of plans) {
      await this.#lake.createTopic(name, partitions);
      const salt = this.#random.whole(1, 2 ** 31);
      this.#ledgers.set(name, new Ledger({ ...plan, name, partitions, salt, firstMs } satisfies TopicPlan));
    }
    const ledgers = [...this.#ledgers.values()];
    const producers = new Producers(this.#lake, ledgers);
    const disturber = new Disturber(this.#lake, this.#asker, this.#excuses, this.#random.apart());
    const startedMs = performance.now();
    const look = (): Sample => {
      const taken = sample(service.pid, this.#folders, startedMs);
      this.#samples.push(taken);
      return taken;
    };
    try {
      await eventually('the first records', () => ledgers.every((ledger) => ledger.records >= warmUpRecords) || undefined);
      // A view is tried when it is saved: its columns must be there.
      for (const [name, sql] of savedViews(plans.map((plan) => plan.name))) await this.#lake.saveView(name, sql);
      this.#firstAskedMs = Date.now();
      const loops = [
        ...Array.from({ length: askers }, () => this.#again('asking', 60, this.#random.apart(), (draw) => this.#ask(draw))),
        this.#again('reading', 700, this.#random.apart(), (draw) => this.#read(draw)),
        this.#again('evicting', 2500, this.#random.apart(), (draw) => this.#evict(draw)),
        this.#again('deleting', 4000, this.#random.apart(), (draw) => this.#delete(draw)),
        this.#again('disturbing', 1500, this.#random.apart(), (draw) => this.#disturb(disturber, draw)),
        this.#killing(disturber, startedMs),
      ];
      const untilMs = startedMs + this.#minutes * 60_000;
      for (let at = 1; performance.now() < untilMs && this.#asker.findings.length < findingsMax; at++) {
        await sleep(sampleEveryMs);
        const taken = look();
        if (at % tableEverySamples === 0) this.#tell(taken);
      }
      this.#stop.abort();
      await this.#ended(loops, disturber);
    } finally {
      this.#stop.abort();
      await producers.stop();
    }
    for (const failure of producers.failures.slice(0, 3)) this.#asker.find(`a record was not taken: ${String(failure)}`);
    for (const ledger of ledgers) for (const text of ledger.contradictions.slice(0, 3)) this.#asker.find(text);
    await this.#finalAnswers(ledgers);
    await this.#rest(look);
    return this.#report(disturber, ledgers);
  }

  /** Does something again and again, with pauses of about so long, until told to stop. */
  async #again(what: string, pauseMs: number, draw: Seeded, work: (draw: Seeded) => Promise<void>): Promise<void> {
    const loop = this.#loops++;
    while (!this.#stop.signal.aborted) {
      try {
        this.#underWay.set(loop, what);
        await work(draw);
        this.#underWay.delete(loop);
      } catch (error) {
        this.#asker.find(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
      await sleep(draw.whole(0, 2 * pauseMs));
    }
  }

  /** Waits for all loops, and tells which of them hang and what the service says it is doing. */
  async #ended(loops: readonly Promise<void>[], disturber: Disturber): Promise<void> {
    const gaveUp = new AbortController();
    const hanging = sleep(loopEndWithinMs, 'hang' as const, { signal: gaveUp.signal }).catch(() => 'ended' as const);
    const how = await Promise.race([Promise.all(loops), hanging]);
    gaveUp.abort();
    if (how !== 'hang') return;
    const running = await this.#lake.sql(`SELECT id, state, rows, sql FROM system.queries WHERE state = 'running'`).catch(String);
    this.#asker.find(
      `loops did not end: ${[...this.#underWay.values()].join(', ')}; the disturber is ${disturber.doing}; running queries: ${JSON.stringify(running)}`,
    );
  }

  async #ask(draw: Seeded): Promise<void> {
    if (draw.float() < 0.3) return this.#asker.again(draw.float());
    if (draw.float() < 0.08) return this.#askThen(draw);
    const topic = draw.pick(plans);
    if (topic.name === losing && draw.float() < 0.5) return this.#asker.fresh(totals(losing));
    const firstMs = this.#ledgers.get(topic.name)!.plan.firstMs;
    const other = draw.pick(['customers', 'orders'].filter((name) => name !== topic.name));
    const about = { topic: topic.name, keys: topic.keys, partitions: topic.partitions, other, firstMs, nowMs: Date.now() };
    return this.#asker.fresh(drawQuestion(about, draw));
  }

  /** Of a topic that keeps its records, as of a time since there were some. */
  async #askThen(draw: Seeded): Promise<void> {
    const topic = draw.pick(['orders', 'customers']);
    const sinceMs = this.#firstAskedMs;
    await this.#asker.asOfTime(totals(topic), draw.whole(sinceMs, Math.max(sinceMs + 1, Date.now() - asOfBehindMs)));
  }

  async #read(draw: Seeded): Promise<void> {
    const ledger = this.#ledgers.get(draw.pick(['orders', 'customers']))!;
    const [kind, work] = draw.pick([
      ['records route', () => readRecords(this.#lake, ledger, draw)],
      ['records route', () => readRecords(this.#lake, ledger, draw)],
      ['export', () => exportAll(this.#lake, ledger)],
      ['key route', () => readKey(this.#lake, ledger, draw)],
      ['key route', () => readKey(this.#lake, ledger, draw)],
      ['formats', () => compareFormats(this.#lake, ledger, draw)],
    ] as const);
    const wrong = await this.#asker.excused(work);
    if (wrong === undefined) this.#asker.count(kind);
    else this.#asker.find(wrong);
  }

  async #evict(draw: Seeded): Promise<void> {
    await this.#asker.excused(() => this.#lake.evict(draw.pick(plans).name));
  }

  /** Deletes what is older than some place in the older half, of a partition; sometimes retention does. */
  async #delete(draw: Seeded): Promise<void> {
    const partition = draw.whole(0, 2);
    const [start, end] = (await this.#lake.ends(losing))[partition]!;
    if (draw.float() < 0.3) {
      await alterTopic(this.#lake.client, losing, { 'retention.ms': String(draw.whole(20_000, 60_000)) });
      return;
    }
    const before = start + Math.floor(((end - start) / 2) * draw.float());
    if (before <= start) return;
    // Retention may have gone further meanwhile.
    const [deleted] = await deleteRecords(this.#lake.client, losing, [{ partition, before }]).catch(() => []);
    if (deleted !== undefined && deleted.logStartOffset < before)
      this.#asker.find(`${losing}-${partition} was deleted before ${before} and starts at ${deleted.logStartOffset}`);
  }

  async #disturb(disturber: Disturber, draw: Seeded): Promise<void> {
    await draw.pick([
      () => disturber.askBadly(),
      () => disturber.askBadly(),
      () => disturber.giveUp(),
      () => disturber.giveUp(),
      () => disturber.readHalf('orders'),
      () => disturber.overload(draw.pick(plans).name),
    ])();
  }

  /**
   * Engines die all the time; the gateway early, so that the one that follows lives long enough to be watched, and once at the
   * end, so that it is asked after that as well.
   */
  async #killing(disturber: Disturber, startedMs: number): Promise<void> {
    const draw = this.#random.apart();
    const due = this.#minutes < 2 ? [0.2] : [0.12, 0.25, 0.93];
    const kinds = Math.max(2000, this.#minutes * 2500);
    while (!this.#stop.signal.aborted) {
      await sleep(draw.whole(500, kinds));
      if (this.#stop.signal.aborted) return;
      try {
        const share = (performance.now() - startedMs) / (this.#minutes * 60_000);
        if (due.length > 0 && share >= due[0]!) {
          due.shift();
          await disturber.killGateway();
        } else {
          await disturber.killEngine();
        }
      } catch (error) {
        this.#asker.find(`killing: ${String(error)}`);
      }
    }
  }

  /** Nothing disturbs any more: every topic to its last record, hot and cold, then all of it cold. */
  async #finalAnswers(ledgers: readonly Ledger[]): Promise<void> {
    for (const isCold of [false, true]) {
      for (const ledger of ledgers) {
        const { name } = ledger.plan;
        if (isCold) await this.#lake.cool(name);
        await this.#asker.fresh(totals(name));
        if (name === losing) continue;
        const wrong = await exportAll(this.#lake, ledger);
        if (wrong !== undefined) this.#asker.find(wrong);
      }
    }
  }

  /** When nobody asks, nothing is left of what was asked. */
  async #rest(look: () => Sample): Promise<void> {
    const settled = async (what: string, is: () => boolean | Promise<boolean>): Promise<void> => {
      await eventually(what, async () => (await is()) || undefined).catch((error: unknown) =>
        this.#asker.find(`at rest: ${String(error)}`),
      );
    };
    await settled(
      'no query runs',
      async () => Number((await this.#lake.sql(`SELECT count(*) FROM system.queries WHERE state = 'running'`))[0]![0]) <= 1,
    );
    await settled('leases are empty', () => look().folders['leases']!.files === 0);
    await settled('temporary files are gone', () => look().folders['tmp']!.files === 0);
    const middle = this.#samples[this.#samples.length >> 1]!;
    await settled('no more children than half-way', () => look().processes.length <= middle.processes.length + childrenMore);
    const last = look();
    this.#tell(last);
    const cache = (last.folders['tail']!.MiB + last.folders['cold cache']!.MiB) * 1024 * 1024;
    if (cache > 2 * Number(settings['query.cache.bytes'])) this.#asker.find(`caches hold ${cache} bytes`);
    const engines = processesBelow(this.#lake.service.pid).filter(({ kind }) => kind === 'query engine').length;
    say(`soak: ${engines} engines at rest`);
  }

  #tell(taken: Sample): void {
    const { answers, findings, tokensRepeated, tokensGone } = this.#asker;
    const records = [...this.#ledgers.values()].reduce((sum, ledger) => sum + ledger.records, 0);
    const row = {
      ...rowOf(taken),
      records: String(records),
      answers: String(answers),
      tokens: `${tokensRepeated} again, ${tokensGone} gone`,
      findings: String(findings.length),
    };
    say(
      Object.entries(row)
        .map(([name, value]) => `${name}: ${value}`)
        .join(' · '),
    );
  }

  #report(disturber: Disturber, ledgers: readonly Ledger[]): SoakReport {
    const found = trends(this.#samples);
    for (const { what, growth, bound } of found)
      if (growth > bound) this.#asker.find(`${what} grew by ${growth.toFixed(0)}, bound ${bound.toFixed(0)}`);
    const { answers, counts, findings, tokensRepeated, tokensGone } = this.#asker;
    return {
      seed: this.#random.seed,
      findings,
      counts: Object.fromEntries(counts),
      disturbances: Object.fromEntries(disturber.counts),
      excused: Object.fromEntries(this.#excuses.counts),
      records: ledgers.reduce((sum, ledger) => sum + ledger.records, 0),
      answers,
      tokensRepeated,
      tokensGone,
      trends: found,
    };
  }
}

/** What a person reads at the end. */
export function verdict(report: SoakReport): string {
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return [
    `soak ${report.findings.length === 0 ? 'held' : 'FAILED'} (THERMOCLINE_TEST_SEED=${report.seed})`,
    `  records ${report.records} · answers checked ${report.answers}: ${list(report.counts)}`,
    `  tokens asked again ${report.tokensRepeated}, rightly gone ${report.tokensGone}`,
    `  disturbances: ${list(report.disturbances)} · excused errors: ${list(report.excused)}`,
    ...report.trends.map(
      ({ what, median, growth, bound }) =>
        `  ${what}: median ${median.toFixed(0)}, trend ${growth >= 0 ? '+' : ''}${growth.toFixed(1)} (bound ${bound.toFixed(0)})`,
    ),
    ...report.findings.map((text) => `  FOUND ${text}`),
  ].join('\n');
}
