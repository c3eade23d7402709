// What the soak does to the service while it is asked: questions given up, listed ones killed, bad SQL, more questions at once
// than are taken, engines and the gateway killed.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lake, Refusal } from '../support/lake.js';
import { eventually, isRunning, processesBelow } from '../support/processes.js';
import type { Seeded } from '../support/seed.js';
import type { Asker } from './asker.js';
import { codeOf, type Excuses } from './excuses.js';
import { normal, totals } from './questions.js';

/** More than run and wait: some are refused. */
const burst = 60;
const endless = 'SELECT count(*) FROM range(1000000000) a(x), range(1000) b(y) WHERE x % 7 = y';

const badSql: readonly (readonly [sql: string, status: number])[] = [
  ['SELEC 1', 400],
  ['SELECT * FROM no_such_topic', 404],
  ['SELECT no_such_column FROM orders', 400],
  ["SELECT * FROM read_csv('/etc/passwd')", 403],
  ["COPY (SELECT 1) TO '/tmp/soak.csv'", 403],
  ['DROP TABLE orders', 403],
  ['SELECT 1; SELECT 2', 403],
  ['SELECT CAST(region AS INTEGER) FROM orders WHERE region IS NOT NULL', 400],
];

export class Disturber {
  readonly counts = new Map<string, number>();
  /** What it is at, for whoever has to tell why it does not end. */
  doing = 'nothing';
  readonly #lake: Lake;
  readonly #asker: Asker;
  readonly #excuses: Excuses;
  readonly #random: Seeded;

  constructor(lake: Lake, asker: Asker, excuses: Excuses, random: Seeded) {
    this.#lake = lake;
    this.#asker = asker;
    this.#excuses = excuses;
    this.#random = random;
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Each of these is refused, as the client's fault. */
  async askBadly(): Promise<void> {
    const [sql, status] = this.#random.pick(badSql);
    this.doing = `asking badly: ${sql}`;
    const refusal = await this.#asker
      .excused(() =>
        this.#lake.ask(sql).catch((error: unknown) => {
          if (error instanceof Refusal && error.problem.status < 429) return error;
          throw error;
        }),
      )
      .catch((error: unknown) => error);
    if (!(refusal instanceof Refusal)) return this.#asker.find(`${sql} was not refused: ${String(refusal)}`);
    // DuckDB names a conversion late: as an error inside of an answer that began.
    if (refusal.problem.status !== status || !/^(query|topic|request)-/.test(refusal.problem.code))
      this.#asker.find(`${sql} was refused by ${refusal.problem.status} ${refusal.problem.code}, not by ${status}`);
    this.#count('bad SQL');
    return undefined;
  }

  /** A question without end that its asker leaves: it must be gone from the list, and its engine free. */
  async giveUp(): Promise<void> {
    const mark = `gone-${this.#random.whole(0, 2 ** 30)}`;
    this.doing = `giving up ${mark}`;
    const gone = new AbortController();
    const asked = this.#lake.ask(`${endless} -- ${mark}`, {}, gone.signal).then(
      () => 'answered',
      (error: unknown) => (gone.signal.aborted ? undefined : codeOf(error)),
    );
    await Promise.race([asked, sleep(this.#random.whole(0, 600))]);
    gone.abort();
    await asked;
    await this.#isNotRunning(mark);
    this.#count('given up');
  }

  /** A reader of a long answer that stops reading and leaves. */
  async readHalf(topic: string): Promise<void> {
    const mark = `half-${this.#random.whole(0, 2 ** 30)}`;
    await this.#asker.excused(async () => {
      this.doing = `asking for ${mark}`;
      const gone = new AbortController();
      const response = await this.#lake.http('/v1/query', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ sql: `SELECT * FROM ${topic}, range(50) -- ${mark}`, format: 'ndjson' }),
        signal: gone.signal,
      });
      const reader = response.body!.getReader();
      this.doing = `reading ${mark}`;
      for (let chunks = this.#random.whole(0, 4); chunks > 0; chunks--) await reader.read();
      await sleep(this.#random.whole(0, 300));
      gone.abort();
      this.doing = `leaving ${mark}`;
      // An answer that has come whole is no longer aborted, and never closed while some of it is unread.
      await reader.cancel().catch(() => undefined);
    });
    await this.#isNotRunning(mark);
    this.#count('half read');
  }

  async #isNotRunning(mark: string): Promise<void> {
    this.doing = `waiting for the end of ${mark}`;
    const sql = `SELECT count(*) FROM system.queries WHERE state = 'running' AND sql LIKE '%-- ${mark}'`;
    await eventually(`no running query ${mark}`, async () => {
      const [row] = await this.#asker.excused(() => this.#lake.sql(sql));
      return Number(row![0]) === 0 || undefined;
    });
  }

  /** More questions at once than are taken: some are answered, all of those rightly; the others are told to come again. */
  async overload(topic: string): Promise<void> {
    const ended = this.#excuses.begin('overload');
    try {
      const question = totals(topic);
      this.doing = `overloading ${topic}`;
      const answers = await Promise.all(
        Array.from({ length: burst }, async () => {
          const startedMs = performance.now();
          try {
            return (await this.#lake.ask(question.sql)).rows;
          } catch (error) {
            if (this.#excuses.of(error, startedMs) === undefined) throw error;
            this.#count('refused by overload');
            return undefined;
          }
        }),
      );
      // What they hold is checked by those who ask one by one; here only that none is less than one that ended before all began.
      const rows = answers.filter((one) => one !== undefined);
      if (rows.some((one) => normal(one).length < 10)) this.#asker.find(`an overloaded answer has no rows`);
    } finally {
      ended();
    }
    this.#count('overload');
  }

  async killEngine(): Promise<void> {
    const engines = processesBelow(this.#lake.service.pid).filter(({ kind }) => kind === 'query engine');
    if (engines.length === 0) return;
    const { pid } = this.#random.pick(engines);
    const ended = this.#excuses.begin('engine kill');
    try {
      process.kill(pid, 'SIGKILL');
      await eventually(`engine ${pid} gone`, () => !isRunning(pid) || undefined);
    } finally {
      ended();
    }
    this.#count('engine kill');
  }

  async killGateway(): Promise<void> {
    const gateway = processesBelow(this.#lake.service.pid).find(({ kind }) => kind === 'gateway');
    if (gateway === undefined) return;
    const ended = this.#excuses.begin('gateway kill');
    try {
      process.kill(gateway.pid, 'SIGKILL');
      await eventually('the gateway ready again', async () => {
        if (isRunning(gateway.pid)) return undefined;
        return (await fetch(new URL('/readyz', this.#lake.service.http)).catch(() => undefined))?.ok === true || undefined;
      });
    } finally {
      ended();
    }
    this.#count('gateway kill');
  }
}
