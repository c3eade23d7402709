// Asks, and holds every answer against the model: fresh ones against what was acknowledged before and sent by their end, those of
// a kept token against what the same question was answered with before.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type Lake, Refusal } from '../support/lake.js';
import type { Excuses } from './excuses.js';
import { type Extent, type Ledger, View } from './ledger.js';
import { normal, type Question } from './questions.js';

/** Tries of a call that meets what the soak does to the service. */
const triesMax = 60;
const pauseMs = 250;
const tokensKept = 150;
/** Findings that are told; after so many it is no use going on. */
export const findingsMax = 20;

/** A topic that loses rows: where it starts at least, and at most. */
export interface LogStarts {
  /** By partition: no answer to a question asked from now on starts below. */
  lower(topic: string): Promise<readonly number[]>;
  /** By partition: no answer that has ended by now starts above. */
  upper(topic: string): Promise<readonly number[]>;
}

interface Kept {
  readonly question: Question;
  readonly answer: Answer;
  readonly extents: readonly (readonly Extent[])[];
  readonly heldAt: number;
}

export class Asker {
  readonly findings: string[] = [];
  readonly counts = new Map<string, number>();
  tokensRepeated = 0;
  tokensGone = 0;
  readonly #kept: Kept[] = [];
  readonly #lake: Lake;
  readonly #ledgers: ReadonlyMap<string, Ledger>;
  readonly #excuses: Excuses;
  readonly #starts: LogStarts;

  constructor(lake: Lake, ledgers: ReadonlyMap<string, Ledger>, excuses: Excuses, starts: LogStarts) {
    this.#lake = lake;
    this.#ledgers = ledgers;
    this.#excuses = excuses;
    this.#starts = starts;
  }

  get answers(): number {
    return [...this.counts.values()].reduce((sum, one) => sum + one, 0);
  }

  find(text: string): void {
    this.findings.push(text);
    process.stderr.write(`soak: FINDING ${text}\n`);
  }

  count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  /** Tries again what fails for a reason that the soak has given; throws anything else. */
  async excused<T>(what: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const startedMs = performance.now();
      try {
        return await what();
      } catch (error) {
        if (tries >= triesMax || this.#excuses.of(error, startedMs) === undefined) throw error;
        await sleep(pauseMs);
      }
    }
  }

  /** Asks as of now, and checks. */
  async fresh(question: Question): Promise<void> {
    try {
      const ledgers = question.topics.map((topic) => this.#ledgers.get(topic)!);
      const lower = await Promise.all(question.topics.map((topic) => this.#starts.lower(topic)));
      // A try that fails is asked anew: what is acknowledged counts from the last try on.
      const { acked, answer } = await this.excused(async () => ({
        acked: ledgers.map((ledger) => ledger.acked()),
        answer: await this.#ask(question),
      }));
      const sent = ledgers.map((ledger) => ledger.sent());
      const extents = await this.#extents(question, answer, lower);
      if (extents === undefined) return;
      for (const [at, topic] of question.topics.entries()) {
        // The table may say that rows are gone before the broker has heard of it.
        const upper = await this.#startsAt(topic, extents[at]!);
        for (const [partition, { start, end }] of extents[at]!.entries()) {
          const bounds = {
            acked: acked[at]![partition]!,
            sent: sent[at]![partition]!,
            from: lower[at]![partition]!,
            to: upper[partition]!,
          };
          // A partition of which nothing is left says nothing of where it starts.
          const isEmpty = end <= start && bounds.acked <= bounds.to;
          if (!isEmpty && (end < bounds.acked || end > bounds.sent || start < bounds.from || start > bounds.to))
            this.find(
              `${question.kind}: saw ${topic}-${partition} [${start}, ${end}), not within ${JSON.stringify(bounds)}: ${question.sql}`,
            );
        }
        await ledgers[at]!.until(extents[at]!);
      }
      if (!this.#check(question, answer, extents)) return;
      this.count(question.kind);
      this.#keep({ question, answer, extents, heldAt: performance.now() });
    } catch (error) {
      this.find(`${question.kind}: ${String(error)}: ${question.sql}`);
    }
  }

  /** Asks as of a time, and holds the answer against what was sent and acknowledged then. */
  async asOfTime(question: Question, atMs: number): Promise<void> {
    const asked = `${question.sql} as of ${new Date(atMs).toISOString()}`;
    try {
      const [topic] = question.topics;
      const ledger = this.#ledgers.get(topic!)!;
      const answer = await this.excused(() => this.#ask(question, new Date(atMs).toISOString()));
      const { as_of_ms: foundMs } = answer.stats;
      if (foundMs === undefined || foundMs > atMs) this.find(`as of a time: ${asked}: it is as of ${foundMs}`);
      const extents = this.#extentsIn(
        topic!,
        answer.rows,
        ledger.acked().map(() => 0),
      );
      const { acked, sent } = ledger.between(foundMs ?? atMs, foundMs ?? atMs);
      for (const [partition, { end }] of extents.entries()) {
        if (end < acked[partition]! || end > sent[partition]!)
          this.find(`as of a time: ${asked}: ${topic}-${partition} ends at ${end}, not within [${acked[partition]}, ${sent[partition]}]`);
      }
      await ledger.until(extents);
      if (!this.#check(question, answer, [extents])) return;
      this.count('as of a time');
      this.#keep({ question, answer, extents: [extents], heldAt: performance.now() });
    } catch (error) {
      this.find(`as of a time: ${String(error)}: ${asked}`);
    }
  }

  #ask(question: Question, asOf?: string): Promise<Answer> {
    return this.#lake.ask(question.sql, {
      ...(question.params === undefined ? {} : { params: question.params }),
      ...(asOf === undefined ? {} : { as_of: asOf }),
    });
  }

  /** Where the topic starts when everyone knows of what an answer has shown to be gone, or has had time enough to. */
  async #startsAt(topic: string, extents: readonly Extent[]): Promise<readonly number[]> {
    for (let tries = 1; ; tries++) {
      const upper = await this.#starts.upper(topic);
      if (tries >= triesMax || extents.every(({ start }, partition) => start <= upper[partition]!)) return upper;
      await sleep(pauseMs);
    }
  }

  #check(question: Question, answer: Answer, extents: readonly (readonly Extent[])[]): boolean {
    const views = question.topics.map((topic, at) => new View(this.#ledgers.get(topic)!, extents[at]!));
    const [found, due] = [normal(answer.rows), normal(question.expected(views))];
    if (found === due) return true;
    this.find(
      `${question.kind}: WRONG ANSWER\n  asked    ${question.sql} ${JSON.stringify(question.params ?? [])}\n  answered ${found.slice(0, 1500)}\n  due      ${due.slice(0, 1500)}\n  extents  ${JSON.stringify(extents)}\n  token    ${answer.snapshot}\n  stats    ${JSON.stringify(answer.stats)}`,
    );
    return false;
  }

  /** What an answer saw, by its own token; undefined where retention has taken it since. */
  async #extents(question: Question, answer: Answer, lower: readonly (readonly number[])[]): Promise<Extent[][] | undefined> {
    if (question.kind === 'totals') return [this.#extentsIn(question.topics[0]!, answer.rows, lower[0]!)];
    const all: Extent[][] = [];
    for (const [at, topic] of question.topics.entries()) {
      const sql = `SELECT _partition_id, min(_offset), max(_offset) + 1, count(*) FROM ${topic} GROUP BY 1 ORDER BY 1`;
      try {
        const { rows } = await this.excused(() => this.#lake.ask(sql, { as_of: answer.snapshot }));
        all.push(this.#extentsIn(topic, rows, lower[at]!));
      } catch (error) {
        if (await this.#isGone(topic, error)) return undefined;
        throw error;
      }
    }
    return all;
  }

  #extentsIn(topic: string, rows: readonly (readonly unknown[])[], lower: readonly number[]): Extent[] {
    return lower.map((start, partition) => {
      const found = rows.find((row) => Number(row[0]) === partition);
      if (found === undefined) return { start, end: start };
      const extent = { start: Number(found[1]), end: Number(found[2]) };
      if (Number(found[3]) !== extent.end - extent.start)
        this.find(`${topic}-${partition}: ${String(found[3])} rows in [${extent.start}, ${extent.end})`);
      return extent;
    });
  }

  /** Whether rows of a token are rightly no longer kept: its error names ranges that end where the log starts. */
  async #isGone(topic: string, error: unknown, extents?: readonly Extent[]): Promise<boolean> {
    if (!(error instanceof Refusal) || error.problem.code !== 'token-gone') return false;
    const ranges = [...error.problem.detail.matchAll(/(\w+)-(\d+) \[(\d+), (\d+)\)/g)];
    if (ranges.length === 0) this.find(`token-gone names no range: ${error.problem.detail}`);
    const named = (await this.#starts.lower(topic)).map((_start, at) => {
      const start = Number(ranges.find(([, , partition]) => Number(partition) === at)?.[4] ?? 0);
      return { start, end: start };
    });
    const upper = await this.#startsAt(topic, named);
    for (const [text, , partition, from, to] of ranges) {
      const extent = extents?.[Number(partition)];
      if (Number(to) > upper[Number(partition)]! || Number(from) >= Number(to) || (extent !== undefined && Number(from) !== extent.start))
        this.find(`token-gone names ${text}; the log starts at ${upper[Number(partition)]}, the token at ${extent?.start}`);
    }
    this.tokensGone++;
    return true;
  }

  #keep(kept: Kept): void {
    this.#kept.push(kept);
    // The oldest ones stay: they have the most behind them.
    if (this.#kept.length > tokensKept) this.#kept.splice(Math.floor(tokensKept / 2), 1);
  }

  /** Asks a question again with the token it was answered with. */
  async again(at: number): Promise<void> {
    if (this.#kept.length === 0) return;
    const kept = this.#kept[Math.floor(at * this.#kept.length)]!;
    const { question, answer } = kept;
    try {
      const repeated = await this.excused(() => this.#ask(question, answer.snapshot));
      this.tokensRepeated++;
      if (JSON.stringify([repeated.columns, repeated.rows]) === JSON.stringify([answer.columns, answer.rows])) return;
      this.find(
        `${question.kind}: ANOTHER ANSWER with the same token, ${Math.round((performance.now() - kept.heldAt) / 1000)} s later\n  asked ${question.sql}\n  first ${JSON.stringify(answer.rows).slice(0, 1500)}\n  now   ${JSON.stringify(repeated.rows).slice(0, 1500)}\n  token ${answer.snapshot}\n  stats ${JSON.stringify(answer.stats)} then, ${JSON.stringify(repeated.stats)} now`,
      );
    } catch (error) {
      for (const [topicAt, topic] of question.topics.entries()) {
        if (!(await this.#isGone(topic, error, question.topics.length === 1 ? kept.extents[topicAt] : undefined))) continue;
        this.#kept.splice(this.#kept.indexOf(kept), 1);
        return;
      }
      this.find(`${question.kind} with a kept token: ${String(error)}: ${question.sql}`);
    }
  }
}
