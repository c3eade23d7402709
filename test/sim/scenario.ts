/**
 * One run: a world and a list of steps, both out of one seed; then the faults stop, and everything that was promised must come true
 * within a bounded time. A step draws from a stream of its own, so that a run with fewer steps is still the same run.
 */
import { stream, type Seeded } from '../support/seed.js';
import { type BucketWeather, weathers } from './bucket.js';
import { Clients, type ClientTopic } from './client.js';
import { hasRot } from './rot.js';
import { Violation } from './scheduler.js';
import { letGoOfSignals } from './signals.js';
import { asksInSql, SqlClient } from './sql.js';
import { type DaemonSlot, type Death, type Plant, upkeepTimes, World, type WorldShape } from './world.js';

export type { Death } from './world.js';

export const stepKinds = [
  'produce',
  'produce-once',
  'seek-time',
  'wait',
  'consume',
  'query',
  'age',
  'flush',
  'evict',
  'kill-daemon',
  'kill-broker',
  'restart-broker',
  'power-cut',
  'pause-daemon',
  'pause-broker',
  'cut-link',
  'weather',
  'create-topic',
  'delete-topic',
  'delete-records',
  'fail-write',
  'fail-fsync',
  'fill-disk',
  'rot',
] as const;
export type StepKind = (typeof stepKinds)[number];

export interface Step {
  readonly kind: StepKind;
  readonly seed: number;
}

export interface RunOptions {
  readonly seed: number;
  readonly steps?: number;
  /** In place of those of the seed. */
  readonly only?: readonly Step[];
  readonly plant?: Plant;
  readonly shape?: WorldShape;
  /** Idempotent producers, and questions for a time, are among the steps: the default. */
  readonly hasProducers?: boolean;
  /** A byte of the hot log changes on the disk; by default as `hasRot` says. */
  readonly hasRot?: boolean;
  readonly death?: Death;
  /** Cold files are real, and the query service is asked; by default in one seed of 41. */
  readonly sql?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly steps: readonly Step[];
  readonly failure: Error | undefined;
  readonly lines: readonly string[];
  /** Of the trace: equal for equal runs. */
  readonly digest: string;
  readonly virtualMs: number;
  readonly events: number;
  readonly figures: {
    readonly acknowledged: number;
    readonly read: number;
    readonly commits: number;
    readonly files: number;
    readonly filesRewritten: number;
    readonly filesRemoved: number;
    readonly requests: number;
    readonly brokerLives: number;
    readonly daemonLives: number;
    /** In SQL. */
    readonly queries: number;
    readonly queriedRows: number;
    /** Calls of ports, of the first lives while there were faults. */
    readonly brokerCalls: number;
    readonly daemonCalls: number;
  };
}

export const defaultSteps = 60;

const weights: Readonly<Record<StepKind, number>> = {
  'produce': 46,
  'produce-once': 0,
  'seek-time': 0,
  'wait': 14,
  'consume': 8,
  'query': 4,
  'age': 1,
  'flush': 4,
  'evict': 5,
  'kill-daemon': 5,
  'kill-broker': 3,
  'restart-broker': 1,
  'power-cut': 2,
  'pause-daemon': 4,
  'pause-broker': 1,
  'cut-link': 3,
  'weather': 5,
  'create-topic': 1,
  'delete-topic': 1,
  'delete-records': 2,
  'fail-write': 1,
  'fail-fsync': 1,
  'fill-disk': 1,
  // Put among the others, in some runs.
  'rot': 0,
};

/** Idempotent producers, and questions for a time: so many beside the others, but where a planted bug was measured without them. */
const weightsOfProducers: Readonly<Partial<Record<StepKind, number>>> = { 'produce-once': 12, 'seek-time': 6 };

/** Faults stop; then everything is cold within so long. Retries pause for at most half a minute. */
const settleMsMax = 600_000;
/** Nothing takes longer than this to come to an end where it is told to. */
const stepMsMax = 120_000;

/** It takes twice the time of a run: so many of them. */
const leftoversLookedFor = 0.2;

function shapeOf(random: Seeded): WorldShape {
  return {
    daemons: random.pick([1, 1, 2, 2, 3]),
    segmentBytes: random.pick([4_000, 8_000, 30_000]),
    fileBytes: random.pick([600, 3_000, 20_000]),
    commitIntervalMs: random.pick([200, 2_000, 10_000]),
    localRetentionMs: random.pick([-1, 0, 2_000, 20_000]),
    spoolBytes: random.pick([4_000, 100_000, 1_000_000]),
    wallSpeed: random.pick([1, 1, 1_000]),
    retentionMs: random.pick([-1, -1, -1, 30_000]),
    retentionBytes: random.pick([-1, -1, -1, 5_000]),
    snapshotMaxAgeMs: random.pick([1_000, 20_000, 86_400_000]),
    scrubBytesPerSecond: random.pick([8_000, 500]),
  };
}

export function stepsOf(seed: number, count: number, hasProducers = true): Step[] {
  const random = stream(seed ^ 0x5eed);
  const own = hasProducers ? { ...weights, ...weightsOfProducers } : weights;
  const total = Object.values(own).reduce((sum, weight) => sum + weight, 0);
  return Array.from({ length: count }, () => {
    let draw = random.float() * total;
    const kind = stepKinds.find((candidate) => (draw -= own[candidate]) < 0) ?? 'wait';
    return { kind, seed: random.whole(1, 2 ** 31) };
  });
}

/** Between the others, which stay what they are; not at the beginning, when nothing is on the disk. */
function withRot(steps: readonly Step[], seed: number): Step[] {
  const random = stream(seed ^ 0x4207);
  const all = [...steps];
  for (let count = random.whole(1, 3); count > 0; count--) {
    const at = random.whole(Math.floor(steps.length / 4), steps.length + 1);
    all.splice(at, 0, { kind: 'rot', seed: random.whole(1, 2 ** 31) });
  }
  return all;
}

export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, plant = {} } = options;
  const isSql = options.sql ?? asksInSql(seed);
  const drawn = options.only ?? stepsOf(seed, options.steps ?? defaultSteps, options.hasProducers);
  const steps = options.only === undefined && !isSql && (options.hasRot ?? hasRot(seed)) ? withRot(drawn, seed) : drawn;
  const world = new World(seed, options.shape ?? shapeOf(stream(seed)), plant, isSql);
  const sql = isSql ? new SqlClient(world) : undefined;
  const clients = new Clients(world, sql);
  let failure: Error | undefined;
  let calls = { brokerCalls: 0, daemonCalls: 0 };
  try {
    world.scheduler.trace('world', JSON.stringify(world.shape));
    world.start(options.death);
    await until(world, () => world.broker !== undefined, stepMsMax, 'the broker starts');
    const partitions = stream(seed ^ 7).whole(1, 4);
    for (let tries = 0; !clients.topics.has('orders') && tries < 10; tries++) {
      clients.begin(() => clients.createTopic('orders', partitions));
      await until(world, () => clients.pending === 0, stepMsMax, 'a topic is made');
      await pass(world, 1_000);
    }
    for (const step of steps) await take(world, clients, step);
    calls = { brokerCalls: world.firstBroker?.portCalls ?? 0, daemonCalls: world.firstDaemon?.portCalls ?? 0 };
    await settle(world, clients);
  } catch (error) {
    failure = error as Error;
    world.scheduler.trace('world', String(error));
  }
  world.isClosing = true;
  await sql?.close();
  letGoOfSignals();
  const { scheduler } = world;
  return {
    seed,
    steps,
    failure,
    lines: scheduler.lastLines,
    digest: scheduler.digest,
    virtualMs: scheduler.nowMs,
    events: scheduler.events,
    figures: {
      acknowledged: clients.acknowledged,
      read: clients.read,
      commits: world.tables.commits,
      files: world.tables.filesSeen,
      filesRewritten: world.tables.filesRewritten,
      filesRemoved: world.tables.filesRemoved,
      requests: world.bucket.requests,
      brokerLives: world.brokerLives,
      ...calls,
      daemonLives: world.slots.reduce((sum, slot) => sum + slot.lives, 0),
      queries: sql?.asked ?? 0,
      queriedRows: sql?.rows ?? 0,
    },
  };
}

export async function until(world: World, isDone: () => boolean, ms: number, what: string): Promise<void> {
  if (!(await world.scheduler.run(isDone, world.scheduler.nowMs + ms))) throw new Violation('liveness', `never within ${ms} ms: ${what}`);
}

/** Runs the world until a piece of work has ended. */
export async function within<T>(world: World, work: Promise<T>, ms: number, what: string): Promise<T> {
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
  work.then(
    (value) => (outcome = { value }),
    (error: unknown) => (outcome = { error }),
  );
  await until(world, () => outcome !== undefined, ms, what);
  if (outcome === undefined || 'error' in outcome) throw outcome?.error as Error;
  return outcome.value;
}

export async function pass(world: World, ms: number): Promise<void> {
  await world.scheduler.run(() => false, world.scheduler.nowMs + ms);
}

async function take(world: World, clients: Clients, step: Step): Promise<void> {
  const random = stream(step.seed);
  world.scheduler.trace('step', step.kind);
  steps[step.kind](world, clients, random);
  await world.scheduler.run(() => !world.isAging, Number.MAX_SAFE_INTEGER);
  const draw = random.float();
  await pass(world, draw < 0.5 ? random.float() * 50 : draw < 0.9 ? random.float() * 1_000 : random.float() * 15_000);
}

function topicOf(clients: Clients, random: Seeded): ClientTopic | undefined {
  const topics = [...clients.topics.values()];
  return topics.length === 0 ? undefined : random.pick(topics);
}

const steps: Readonly<Record<StepKind, (world: World, clients: Clients, random: Seeded) => void>> = {
  'produce': (_world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic === undefined) return;
    for (let count = random.whole(1, 5); count > 0; count--) {
      const [partition, acks] = [random.whole(0, topic.partitions), random.pick([1, -1] as const)];
      const own = random.apart();
      clients.begin(() => clients.produce(topic, partition, acks, own));
    }
  },
  'produce-once': (_world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic === undefined) return;
    const [partition, batches] = [random.whole(0, topic.partitions), random.whole(1, 12)];
    const own = random.apart();
    clients.begin(() => clients.produceOnce(topic, partition, batches, own));
  },
  'seek-time': (world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic === undefined) return;
    const partition = random.whole(0, topic.partitions);
    const backMs = random.pick([0, 3_000, 30_000]) * random.float() * world.scheduler.wallSpeed;
    const timestampMs = Math.floor(world.scheduler.wallMs - backMs);
    clients.begin(() => clients.seekTime(topic, partition, timestampMs));
  },
  'wait': (world, _clients, random) => {
    const ms = random.pick([500, 3_000, 40_000]) * random.float();
    world.scheduler.after(ms, () => undefined);
  },
  'consume': (_world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic === undefined) return;
    const partition = random.whole(0, topic.partitions);
    const known = clients.partition(topic, partition);
    const from = known.logStart + random.whole(0, Math.max(1, known.bound.length - known.logStart));
    const fetchBytes = random.pick([1, 300, 5_000]);
    clients.begin(async () => void (await clients.consume(topic, partition, from, { isPatient: false, fetchBytes })));
  },
  'query': (_world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic !== undefined) clients.begin(() => clients.query(topic, random.apart()));
  },
  'age': (world, _clients, random) => {
    world.bucket.weather = weathers.fine;
    world.isAging = true;
    world.scheduler.after(random.float() * upkeepTimes.minAgeMs, () => (world.isAging = false));
  },
  'flush': (world, clients, random) => {
    const topic = topicOf(clients, random);
    const peer = world.broker?.control;
    if (topic === undefined || peer === undefined) return;
    clients.begin(() => world.control('tier.flush', { topic: topic.name }));
  },
  'evict': (world, clients) => {
    clients.begin(() => world.control('broker.evict', {}));
  },
  'kill-daemon': (world, _clients, random) => {
    const slot = random.pick(world.slots);
    world.planDeath(slot.process, random, () => world.killDaemon(slot));
  },
  'kill-broker': (world, _clients, random) => {
    world.planDeath(world.brokerProcess, random, () => world.killBroker());
  },
  'restart-broker': (world, clients) => {
    clients.begin(() => world.stopBroker());
  },
  'power-cut': (world, _clients, random) => {
    world.planDeath(world.brokerProcess, random, () => world.powerCut());
  },
  'pause-daemon': (world, _clients, random) => {
    pauseFor(world, random.pick(world.slots).process, random);
  },
  'pause-broker': (world, _clients, random) => {
    pauseFor(world, world.brokerProcess, random);
  },
  'cut-link': (world, _clients, random) => {
    const link = random.pick([...world.slots.map((slot) => slot.link), world.clientLink]);
    if (random.float() < 0.3) {
      link.reset();
      return;
    }
    link.cut();
    world.scheduler.after(random.float() * 30_000, () => link.heal());
  },
  'weather': (world, _clients, random) => {
    const weather: BucketWeather = random.pick(Object.values(weathers));
    world.bucket.weather = weather;
    world.scheduler.trace('world', `the bucket is ${weather.name}`);
    world.scheduler.after(random.float() * 20_000, () => {
      if (world.bucket.weather === weather) world.bucket.weather = weathers.fine;
    });
  },
  'create-topic': (_world, clients, random) => {
    const name = random.pick(['orders', 'events']);
    if (clients.topics.has(name)) return;
    const partitions = random.whole(1, 4);
    clients.begin(() => clients.createTopic(name, partitions));
  },
  'delete-topic': (_world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic === undefined) return;
    const partitions = random.whole(1, 4);
    // At once, so that the new one meets what is left of the old one.
    clients.begin(async () => {
      await clients.deleteTopic(topic);
      await clients.createTopic(topic.name, partitions);
    });
  },
  'delete-records': (_world, clients, random) => {
    const topic = topicOf(clients, random);
    if (topic === undefined) return;
    const partition = random.whole(0, topic.partitions);
    const known = clients.partition(topic, partition);
    const offset = random.float() < 0.1 ? known.bound.length : known.logStart + random.whole(0, 20);
    if (offset <= known.bound.length) clients.begin(() => clients.deleteRecords(topic, partition, offset));
  },
  'fail-write': (world, _clients, random) => {
    const disk = random.pick([world.diskA, world.diskB]);
    disk.faults.nextWrite = {
      code: random.pick(['ENOSPC', 'EIO'] as const),
      suffix: random.pick(['.log', '.batches', '.parquet', '.tmp', '']),
    };
  },
  'fail-fsync': (world, _clients, random) => {
    world.diskA.faults.nextFsync = { suffix: random.pick(['.log', '.tmp', '']) };
  },
  'fill-disk': (world, _clients, random) => {
    const disk = random.pick([world.diskA, world.diskB]);
    const { capacityBytes } = disk;
    disk.capacityBytes = disk.usedBytes + random.pick([0, 2_000, 60_000]);
    world.scheduler.after(random.float() * 20_000, () => {
      disk.capacityBytes = Math.max(disk.capacityBytes, capacityBytes);
    });
  },
  'rot': (world, clients, random) => {
    const draw = random.float();
    const mendsInMs = random.float() * 120_000;
    world.rot.begin(random.apart(), () => {
      if (draw < 0.2) world.killBroker();
      else if (draw < 0.3) world.powerCut();
      else if (draw < 0.5) clients.begin(() => world.stopBroker());
      // What they have fetched they fetch again: damaged now.
      else if (draw < 0.75) for (const slot of world.slots) world.killDaemon(slot);
      if (mendsInMs < 60_000) world.rot.mendIn(mendsInMs);
    });
  },
};

function pauseFor(world: World, process: DaemonSlot['process'], random: Seeded): void {
  if (process === undefined) return;
  process.pause();
  process.trace('pauses');
  world.scheduler.after(random.pick([300, 5_000, 100_000]) * random.float(), () => {
    process.trace('goes on');
    process.resume();
  });
}

/** The faults stop: everything produced is cold soon, and can be read from the beginning through the cold side. */
export async function settle(world: World, clients: Clients): Promise<void> {
  world.scheduler.trace('world', 'the faults stop');
  world.heal();
  await until(world, () => clients.pending === 0, settleMsMax, 'every request ends');
  await until(world, () => world.isAllUp(), settleMsMax, 'broker and daemons are up');
  // A flush that was under way may have failed already, and its partition not heard of it.
  await pass(world, 1_000);
  await world.restartOffline();
  await until(world, () => world.isAllUp(), settleMsMax, 'the broker is up again');
  await requireDamageFound(world);
  for (const topic of world.broker?.core.topics.all ?? []) {
    const { name, id, partitions } = topic.record;
    // The request was lost.
    if (world.deletedTopics.has(id)) clients.begin(() => clients.deleteTopic({ name, id, partitions }));
  }
  await within(world, clients.askInSql(), settleMsMax, 'queries are answered while some is hot');
  await until(world, () => world.isAllCold(), settleMsMax, 'everything is cold');
  let isEvicted = false;
  const evict = (): void => {
    world.control('broker.evict', {}).then(
      () => (isEvicted = true),
      () => world.scheduler.after(1_000, evict),
    );
  };
  evict();
  await until(world, () => isEvicted, settleMsMax, 'segments are evicted');
  for (const topic of clients.topics.values()) {
    for (let partition = 0; partition < topic.partitions; partition++) {
      const log = world.broker?.core.topics.byId(topic.id)?.partitions.get(partition);
      if (log === undefined) throw new Violation('topic-lost', `${topic.name}-${partition} is not there at the end`);
      const { logStartOffset, logEndOffset } = log;
      const known = clients.partition(topic, partition);
      if (known.bound.length > logEndOffset)
        throw new Violation('lost', `${known.where} ends at ${logEndOffset}, ${known.bound.length} were seen`);
      const read = clients.consume(topic, partition, logStartOffset, { isPatient: true, fetchBytes: 5_000 });
      const next = await within(world, read, settleMsMax, `${known.where} is read from the beginning`);
      if (next < logEndOffset) throw new Violation('lost', `${known.where} was read to ${next}, it ends at ${logEndOffset}`);
      known.requireChains();
    }
  }
  await within(world, clients.askInSql(), settleMsMax, 'queries are answered when all is cold');
  await until(world, () => world.droppedTopics().length === 0, settleMsMax, 'deleted topics are forgotten');
  if (stream(world.scheduler.seed ^ 0xa6e).float() < leftoversLookedFor) await requireNoLeftovers(world);
  const random = stream(world.scheduler.seed ^ 0xa50f);
  for (const topic of clients.topics.values())
    await clients.appended.hold(world, topic, (partition) => clients.partition(topic, partition), random, settleMsMax);
}

/** What has rotted is found, known after a restart, and sound again when the sound byte is back. */
async function requireDamageFound(world: World): Promise<void> {
  const { rot } = world;
  await until(world, () => rot.isAllFound(), settleMsMax, 'the damage of a segment is found');
  if (rot.rotten().length === 0) return;
  // Until it is noted.
  await pass(world, 1_000);
  rot.noteFound();
  world.killBroker();
  await until(world, () => world.isAllUp(), settleMsMax, 'the broker is up, with a damaged partition');
  rot.mend();
  await until(world, () => world.isAllUp(), settleMsMax, 'the broker is up, with the sound byte');
}

/** Nothing that nobody needs outlives its age. */
async function requireNoLeftovers(world: World): Promise<void> {
  world.scheduler.trace('world', 'what nobody needs grows old');
  const { minAgeMs, sweepIntervalMs, graceMs, droppedAgeMs } = upkeepTimes;
  // Old snapshots leave with one sweep, their objects with one behind the grace; folders of the deleted are looked at in quarters.
  await pass(world, Math.max(minAgeMs, droppedAgeMs * 1.25) + graceMs + 4 * sweepIntervalMs);
  const left = await world.tables.leftovers();
  if (left.length > 0) throw new Violation('leftovers', `nobody needs, and nobody has removed: ${left.join(', ')}`);
}

/** Takes steps out for as long as the same promise is broken without them. */
export async function shrink(failed: RunResult, options: Omit<RunOptions, 'seed'>, tell: (steps: number) => void): Promise<RunResult> {
  let best = failed;
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.steps.length; ) {
      const only = [...best.steps.slice(0, at), ...best.steps.slice(at + size)];
      const tried = await run({ ...options, seed: failed.seed, only });
      if (isSameFailure(tried.failure, failed.failure)) {
        best = tried;
        tell(best.steps.length);
      } else {
        at += size;
      }
    }
  }
  return best;
}

function isSameFailure(a: Error | undefined, b: Error | undefined): boolean {
  return a instanceof Violation && b instanceof Violation ? a.oracle === b.oracle : a?.message === b?.message;
}
