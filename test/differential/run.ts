// Runs a sequence at both brokers in step, and makes a failing one short.
import { setTimeout as sleep } from 'node:timers/promises';
import { apiByKey } from '../../src/wire/index.js';
import { Chance, type Told } from './chance.js';
import { type Difference, differences, FirstSight, plain } from './compare.js';
import { topicNames } from './shape.js';
import { type Answer, answerDeadlineMs, Side } from './side.js';
import type { Step } from './step.js';

export interface Pair {
  readonly kafka: string;
  readonly ours: string;
}

export interface Found {
  readonly at: number;
  readonly step: Step;
  readonly differences: readonly Difference[];
  readonly kafka: unknown;
  readonly ours: unknown;
}

/** How a sequence went. */
export interface Outcome {
  readonly found?: Found;
  /** The step after which the two could not be compared any more, because each chose by chance. */
  readonly partedAt?: number;
}

const createTopicsKey = 19;
const deleteTopicsKey = 20;
const createPartitionsKey = 37;
/** Who leaves may end a rebalance, in Kafka by a timer of no length. */
const leaveGroupKey = 13;
const changeKeys: ReadonlySet<number> = new Set([createTopicsKey, deleteTopicsKey, createPartitionsKey, 33, 44, leaveGroupKey]);
/** What may let a held answer go. */
const groupKeys: ReadonlySet<number> = new Set([11, 12, 13, 14, 42, 68]);
/** A broker's coordinator takes over a change of topics or configuration a moment after the broker has. */
const changeDelayMs = 40;
const describeConfigsKey = 32;
const alterConfigsKeys: ReadonlySet<number> = new Set([33, 44]);
/** What is described alike by then, or is not described alike at all. */
const describedTriesMax = 30;
const settleTriesMax = 800;
/** A connection that no step uses. */
const probeLane = -1;
/**
 * An answer that has not come from either broker by then waits for others: several times what Kafka takes to write a group's change, before
 * and behind a question to the same coordinator, which a busy machine answers late.
 */
const holdMs = 40;
const describeGroupsKey = 15;

let runs = 0;

/** Runs all steps, or up to the first whose answers differ. */
export async function run(pair: Pair, steps: readonly Step[], label: string): Promise<Outcome> {
  const runNames = { run: `d${process.pid}-${label}-${++runs}`, runMs: Date.now() };
  const kafka = new Side(pair.kafka, runNames);
  const ours = new Side(pair.ours, runNames);
  const seen = { kafka: new FirstSight(kafka.idNames, runNames.run), ours: new FirstSight(ours.idNames, runNames.run) };
  const there = new Map<string, number>();
  const open: Exchange[] = [];
  const chance = new Chance();
  let probed: Promise<unknown> = Promise.resolve();
  // One after the other: a connection waits for one answer.
  const probe = (groups: readonly unknown[]): Promise<unknown> => {
    const question = { api: describeGroupsKey, version: 0, body: { groups }, lane: probeLane };
    probed = probed.then(() => Promise.all([kafka.ask(question), ours.ask(question)]));
    return probed;
  };
  try {
    for (const [at, step] of steps.entries()) {
      // Who waits for an answer asks nothing else: Kafka would never give the older of two joins of one member an answer.
      if (open.some((exchange) => exchange.step.lane === step.lane)) continue;
      chance.ask(step);
      const exchange = new Exchange(at, step, kafka.ask(step), ours.ask(step));
      open.push(exchange);
      for (const { at: askedAt, step: asked, kafka: theirs, ours: mine } of await answered(open, exchange, probe)) {
        const one = plain(theirs, seen.kafka, runNames.runMs);
        const other = plain(mine, seen.ours, runNames.runMs);
        const [body, own] = [bodyOf(one as Answer), bodyOf(other as Answer)];
        const api = apiByKey(asked.api)?.name ?? '';
        const found = differences(api, body, own);
        if (chance.decided(asked, body as Told, own as Told, found)) return { partedAt: askedAt };
        if (found.length > 0) return { found: { at, step: asked, differences: found, kafka: one, ours: other } };
        if (asked.api === createTopicsKey || asked.api === deleteTopicsKey || asked.api === createPartitionsKey) {
          note(there, asked, theirs!);
          await Promise.all([settled(kafka, there), settled(ours, there)]);
        }
        if (alterConfigsKeys.has(asked.api)) await described(kafka, ours, asked);
        if (changeKeys.has(asked.api)) await sleep(changeDelayMs);
      }
    }
    return {};
  } finally {
    await Promise.all([removed(kafka), removed(ours)]);
    kafka.close();
    ours.close();
  }
}

/** A request at both brokers, and what has come back so far. */
class Exchange {
  readonly at: number;
  readonly step: Step;
  readonly both: Promise<unknown>;
  readonly any: Promise<unknown>;
  kafka: Answer | undefined;
  ours: Answer | undefined;

  constructor(at: number, step: Step, kafka: Promise<Answer>, ours: Promise<Answer>) {
    this.at = at;
    this.step = step;
    const noted = [
      kafka.then((answer) => {
        this.kafka ??= answer;
      }),
      ours.then((answer) => {
        this.ours ??= answer;
      }),
    ];
    this.both = Promise.all(noted);
    this.any = Promise.race(noted);
  }

  get isAnswered(): boolean {
    return this.kafka !== undefined && this.ours !== undefined;
  }

  get isHalfAnswered(): boolean {
    return !this.isAnswered && (this.kafka !== undefined || this.ours !== undefined);
  }

  /** The other side has the time that any answer has. */
  async complete(): Promise<void> {
    await Promise.race([this.both, sleep(answerDeadlineMs)]);
    this.kafka ??= { none: 'silent' };
    this.ours ??= { none: 'silent' };
  }
}

/** Takes out of `open` what both brokers have answered after a step, in the order of the steps; what neither answers is held. */
async function answered(open: Exchange[], last: Exchange, probe: (groups: readonly unknown[]) => Promise<unknown>): Promise<Exchange[]> {
  const done: Exchange[] = [];
  if (last.step.mayBeHeld !== true) await last.both;
  for (;;) {
    for (const half of open.filter(({ isHalfAnswered }) => isHalfAnswered)) await half.complete();
    done.push(...open.filter(({ isAnswered }) => isAnswered));
    open.splice(0, open.length, ...open.filter(({ isAnswered }) => !isAnswered));
    if (open.length === 0 || !groupKeys.has(last.step.api)) break;
    const groups = open.map(({ step }) => (step.body as { readonly groupId: unknown }).groupId);
    const quiet = async (): Promise<boolean> => {
      await sleep(holdMs);
      await probe(groups);
      return sleep(holdMs, false);
    };
    const isMore = await Promise.race([...open.map(({ any }) => any.then(() => true)), quiet()]);
    if (!isMore) break;
  }
  return done.toSorted((a, b) => a.at - b.at);
}

function bodyOf(answer: Answer): unknown {
  return 'body' in answer ? answer.body : answer;
}

interface Named {
  readonly name: string | null;
  readonly errorCode: number;
}

/** Notes which topics are there, and with how many partitions at least, after a step that was answered alike. */
function note(there: Map<string, number>, step: Step, answer: Answer): void {
  if (!('body' in answer) || (step.body as { validateOnly?: boolean }).validateOnly === true) return;
  const { topics, responses, results } = answer.body as { [list in 'topics' | 'responses' | 'results']?: readonly Named[] };
  for (const { name, errorCode } of topics ?? responses ?? results ?? []) {
    if (name === null || errorCode !== 0) continue;
    if (step.api !== createPartitionsKey) there.set(name, step.api === createTopicsKey ? 1 : 0);
    else there.set(name, (step.body as { topics: { count: number }[] }).topics[0]!.count);
  }
}

/** Waits until topics that are there can be used, and deleted ones are gone: a broker hears of both after they were answered. */
async function settled(side: Side, there: ReadonlyMap<string, number>): Promise<void> {
  const topics = [...there.keys()].map((name) => ({ name }));
  for (let tries = 0; tries < settleTriesMax; tries++) {
    const listed = await topicsOf(side, topics);
    const isKnown = listed.every(({ name, errorCode, partitions }) => {
      const count = there.get(name) ?? 0;
      return errorCode === (count > 0 ? 0 : 3) && partitions.length >= count;
    });
    const asked = listed.filter(({ errorCode }) => errorCode === 0);
    const partitions = asked.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, timestamp: -1 })),
    }));
    const answer = await side.ask({ api: 2, version: 5, body: { replicaId: -1, topics: partitions } });
    const offsets = 'body' in answer ? (answer.body as { topics: { partitions: { errorCode: number }[] }[] }).topics : [];
    if (isKnown && offsets.every(({ partitions }) => partitions.every(({ errorCode }) => errorCode === 0))) return;
    await sleep(10);
  }
  throw new Error(`topics did not come or go in time at ${side.address}: ${JSON.stringify([...there])}`);
}

/** Waits until both describe alike what a step altered: a broker takes over a change of its configuration after it was answered. */
async function described(kafka: Side, ours: Side, step: Step): Promise<void> {
  const { resources } = step.body as { readonly resources: readonly AlteredResource[] };
  const asked = resources.map(({ configs, ...resource }) => ({ ...resource, configurationKeys: configs.map(({ name }) => name) }));
  const question = { api: describeConfigsKey, version: 1, body: { resources: asked, includeSynonyms: false } };
  for (let tries = 0; tries < describedTriesMax; tries++) {
    const [theirs, own] = await Promise.all([kafka, ours].map(async (side) => shown(valuesIn(await side.ask(question)))));
    if (theirs === own) return;
    await sleep(10);
  }
}

interface AlteredResource {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly configs: readonly { readonly name: string }[];
}

/** The values of each resource that a broker describes, by name. */
function valuesIn(answer: Answer): unknown {
  if (!('body' in answer)) return answer;
  const { results } = answer.body as { readonly results: readonly { readonly configs: readonly { name: string; value: unknown }[] }[] };
  return results.map(({ configs }) => configs.map(({ name, value }) => `${name}=${String(value)}`).toSorted());
}

interface Listed {
  readonly name: string;
  readonly errorCode: number;
  readonly partitions: readonly { readonly partitionIndex: number }[];
}

async function topicsOf(side: Side, topics: readonly { readonly name: string }[]): Promise<readonly Listed[]> {
  const answer = await side.ask({ api: 3, version: 10, body: { topics, allowAutoTopicCreation: false } });
  return 'body' in answer ? (answer.body as { topics: Listed[] }).topics : [];
}

async function removed(side: Side): Promise<void> {
  await side.ask({ api: 20, version: 5, body: { topicNames: topicNames.map((name) => `$topic:${name}`), timeoutMs: 5_000 } });
}

/** Leaves out steps for as long as the same field still differs. */
export async function shrink(
  pair: Pair,
  steps: readonly Step[],
  found: Found,
  label: string,
): Promise<{ steps: readonly Step[]; found: Found }> {
  let best = { steps: steps.slice(0, found.at + 1), found };
  const isSame = (other: Found | undefined): other is Found =>
    other !== undefined && other.step.api === found.step.api && other.differences[0]?.path === found.differences[0]?.path;
  for (let size = Math.max(1, best.steps.length >> 1); size >= 1; size >>= 1) {
    for (let from = 0; from < best.steps.length - 1; ) {
      const fewer = best.steps.filter((_step, i) => i < from || i >= from + size || i === best.steps.length - 1);
      const again = fewer.length < best.steps.length ? (await run(pair, fewer, label)).found : undefined;
      if (isSame(again)) best = { steps: fewer.slice(0, again.at + 1), found: again };
      else from += size;
    }
  }
  return best;
}

/** What is the same about two findings of the same cause, as far as one can see. */
export function signature({ step, differences }: Found): string {
  const [first] = differences;
  return `${step.api} ${first?.path} ${shown(first?.kafka)} ${shown(first?.ours)}`;
}

const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'string') return item.replaceAll(/(.)\1{40,}/g, (all, each: string) => `${each}×${all.length}`);
    return typeof item === 'bigint' ? `${item}n` : item;
  });

const differencesTold = 12;

/** A found difference for people: the steps, what differs, and both answers. */
export function told(seed: number, { steps, found }: { readonly steps: readonly Step[]; readonly found: Found }): string {
  const lines = steps.map(({ api, version, body }) => `  ${apiByKey(api)?.name} v${version} ${shown(body)}`);
  const what = found.differences
    .slice(0, differencesTold)
    .map(({ path, kafka, ours }) => `  ${path}: Kafka ${shown(kafka)}, ours ${shown(ours)}`);
  return [
    `npm run differ -- --seeds ${seed} --failures 1`,
    `seed ${seed}, ${steps.length} steps:`,
    ...lines,
    'differs:',
    ...what,
    `Kafka: ${shown(found.kafka)}`,
    `ours:  ${shown(found.ours)}`,
  ].join('\n');
}
