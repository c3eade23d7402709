// Runs a sequence at both brokers in step, and makes a failing one short.
import { setTimeout as sleep } from 'node:timers/promises';
import { apiByKey } from '../../src/wire/index.js';
import { type Difference, differences, FirstSight, plain } from './compare.js';
import { names } from './sequences.js';
import { type Answer, Side } from './side.js';
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

const createTopicsKey = 19;
const deleteTopicsKey = 20;
const alterConfigsKey = 44;
/** A broker takes over a change of its configuration a moment after it was answered. */
const configDelayMs = 40;
const settleTriesMax = 200;

let runs = 0;

/** Runs all steps, or up to the first whose answers differ. */
export async function run(pair: Pair, steps: readonly Step[], label: string): Promise<Found | undefined> {
  const runNames = { run: `d${process.pid}-${label}-${++runs}`, runMs: Date.now() };
  const kafka = new Side(pair.kafka, runNames);
  const ours = new Side(pair.ours, runNames);
  const seen = { kafka: new FirstSight(kafka.idNames), ours: new FirstSight(ours.idNames) };
  const there = new Map<string, boolean>();
  try {
    for (const [at, step] of steps.entries()) {
      const [asked, answered] = await Promise.all([kafka.ask(step), ours.ask(step)]);
      const one = plain(asked, seen.kafka, runNames.runMs);
      const other = plain(answered, seen.ours, runNames.runMs);
      const api = apiByKey(step.api)?.name ?? '';
      const found = differences(api, bodyOf(one as Answer), bodyOf(other as Answer));
      if (found.length > 0) return { at, step, differences: found, kafka: one, ours: other };
      if (step.api === createTopicsKey || step.api === deleteTopicsKey) {
        note(there, step, asked);
        await Promise.all([settled(kafka, there), settled(ours, there)]);
      }
      if (step.api === alterConfigsKey) await sleep(configDelayMs);
    }
    return undefined;
  } finally {
    await Promise.all([removed(kafka), removed(ours)]);
    kafka.close();
    ours.close();
  }
}

function bodyOf(answer: Answer): unknown {
  return 'body' in answer ? answer.body : answer;
}

interface Named {
  readonly name: string | null;
  readonly errorCode: number;
}

/** Notes which topics are there after a step that was answered alike. */
function note(there: Map<string, boolean>, step: Step, answer: Answer): void {
  if (!('body' in answer) || (step.body as { validateOnly?: boolean }).validateOnly === true) return;
  const { topics, responses } = answer.body as { topics?: readonly Named[]; responses?: readonly Named[] };
  for (const { name, errorCode } of topics ?? responses ?? []) {
    if (name !== null && errorCode === 0) there.set(name, step.api === createTopicsKey);
  }
}

/** Waits until topics that are there can be used, and deleted ones are gone: a broker hears of both after they were answered. */
async function settled(side: Side, there: ReadonlyMap<string, boolean>): Promise<void> {
  const topics = [...there.keys()].map((name) => ({ name }));
  for (let tries = 0; tries < settleTriesMax; tries++) {
    const listed = await topicsOf(side, topics);
    const isKnown = listed.every(({ name, errorCode }) => errorCode === (there.get(name) === true ? 0 : 3));
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
  throw new Error(`topics did not come or go in time: ${JSON.stringify([...there])}`);
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
  await side.ask({ api: 20, version: 5, body: { topicNames: names.map((name) => `$topic:${name}`), timeoutMs: 5_000 } });
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
      const again = fewer.length < best.steps.length ? await run(pair, fewer, label) : undefined;
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

const shown = (value: unknown): string => JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item));

/** A found difference for people: the steps, what differs, and both answers. */
export function told(seed: number, { steps, found }: { readonly steps: readonly Step[]; readonly found: Found }): string {
  const lines = steps.map(({ api, version, body }) => `  ${apiByKey(api)?.name} v${version} ${shown(body)}`);
  const what = found.differences.map(({ path, kafka, ours }) => `  ${path}: Kafka ${shown(kafka)}, ours ${shown(ours)}`);
  return [
    `seed ${seed}, ${steps.length} steps:`,
    ...lines,
    'differs:',
    ...what,
    `Kafka: ${shown(found.kafka)}`,
    `ours:  ${shown(found.ours)}`,
  ].join('\n');
}
