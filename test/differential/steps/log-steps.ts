// Steps at the log of a partition: records in, records out, offsets, producers.
import { compressionCodecs } from '../../../src/wire/index.js';
import type { Seeded } from '../../support/seed.js';
import { type Kind, partitionOf, seldom, type Shape, step, topicNames, topicOf } from '../shape.js';
import { batchFlaws, type BatchSpec, type RecordSpec, type Step } from '../step.js';

function recordsOf(random: Seeded): RecordSpec[] {
  const at = (): RecordSpec['at'] => {
    const kind = random.whole(0, 30);
    if (kind === 0) return 'none';
    if (kind === 1) return 2 * 3_600_000;
    if (kind === 2) return 10 * 60_000;
    return -random.whole(100_000, 9_000_000);
  };
  return Array.from({ length: random.whole(1, 5) }, () => ({
    at: at(),
    key: random.whole(0, 4) === 0 ? null : `k${random.whole(0, 4)}`,
    value: random.whole(0, 8) === 0 ? null : 'v'.repeat(random.whole(0, 20) === 0 ? 1_500 : random.whole(0, 9)),
  }));
}

function batchOf(shape: Shape): BatchSpec {
  const { random, producers } = shape;
  const records = recordsOf(random);
  const plainBatch = { records, compression: random.pick([...compressionCodecs, 'none', 'none'] as const) };
  const flawed: Pick<BatchSpec, 'flaw' | 'flip'> = seldom(shape, 5) ? { flaw: random.pick(batchFlaws) } : {};
  if (seldom(shape, 12)) {
    Object.assign(flawed, {
      flip: { at: random.whole(0, 1_000), mask: random.pick([1, 2, 4, 8, 16, 32, 64, 128, 255]), isSealed: random.whole(0, 3) > 0 },
    });
  }
  if (producers.size === 0 || random.whole(0, 2) === 0) return { ...plainBatch, ...flawed };
  const producer = random.pick([...producers.keys()]);
  const next = producers.get(producer) ?? 0;
  const sequence = random.pick([next, next, next, next, 0, next + 1, next - 1, next - records.length, -1, 2_147_483_647]);
  if (sequence === next && flawed.flaw === undefined && flawed.flip === undefined) producers.set(producer, next + records.length);
  return { ...plainBatch, ...flawed, producer, epoch: random.pick([0, 0, 0, 0, 0, 1, -1]), sequence };
}

function produce(shape: Shape): Step {
  const { random } = shape;
  const records = (): unknown => {
    const kind = random.whole(0, 30);
    if (kind < 2) return { $empty: true };
    return kind === 2 ? { $messages: { magic: random.whole(0, 2), records: recordsOf(random) } } : { $batch: batchOf(shape) };
  };
  const partitionData = Array.from({ length: seldom(shape, 6) ? 2 : 1 }, (_one, i) => ({
    index: i === 0 ? partitionOf(shape) : 1,
    records: records(),
  })).filter(({ index }, i, all) => all.findIndex((other) => other.index === index) === i);
  return step(shape, 0, {
    transactionalId: null,
    acks: random.pick([-1, -1, 1, 1, 1, 0, 2, -2]),
    timeoutMs: 5_000,
    topicData: [{ name: topicOf(shape), partitionData }],
  });
}

function fetch(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 1, {
    ...fetchBody(shape, 1),
    sessionId: random.pick([0, 0, 0, 77]),
    sessionEpoch: random.pick([-1, -1, -1, 5, -2]),
    forgottenTopicsData: [],
  });
}

/** A fetch that begins a session, goes on with it, or ends it: mostly at a version that has topics by id. */
function fetchInSession(shape: Shape): Step {
  const { random } = shape;
  const session = random.pick(['s', 's', 's', 't']);
  const sessionEpoch = random.pick([{ $sessionEpoch: session }, { $sessionEpoch: session }, { $sessionEpoch: session }, 0, 0, -1, 3]);
  const isFirst = sessionEpoch === 0;
  const forgotten = Array.from({ length: isFirst || random.whole(0, 3) > 0 ? 0 : 1 }, () => {
    const name = random.pick(topicNames);
    return { topic: `$topic:${name}`, topicId: `$id:${name}`, partitions: random.pick([[0], [1], [0, 1], [7]]) };
  });
  return step(
    shape,
    1,
    { ...fetchBody(shape, isFirst ? 1 : 0), sessionId: { $session: session }, sessionEpoch, forgottenTopicsData: forgotten },
    { keep: session },
    seldom(shape, 4) ? 7 : 13,
  );
}

function fetchBody(shape: Shape, topicsMin: number): Readonly<Record<string, unknown>> {
  const { random } = shape;
  const topics = Array.from({ length: random.whole(topicsMin, 3) }, () => {
    const name = random.pick(topicNames);
    return {
      topic: `$topic:${name}`,
      topicId: `$id:${name}`,
      partitions: random
        .shuffled([0, 1, 2, 7])
        .slice(0, random.whole(1, 3))
        .map((index) => ({
          partition: index,
          currentLeaderEpoch: random.pick([-1, -1, -1, 0, 1]),
          fetchOffset: random.pick([0, 0, 0, 1, 2, 3, 5, 8, 13, -1, 1000]),
          lastFetchedEpoch: random.pick([-1, -1, -1, 0, 1]),
          partitionMaxBytes: random.pick([1_000_000, 1_000_000, 1, 0, 100, 250]),
          logStartOffset: -1,
        })),
    };
  });
  // A partition that is named twice too, now and then.
  const isOnce = random.whole(0, 10) > 0;
  return {
    maxWaitMs: 0,
    minBytes: random.pick([0, 1]),
    maxBytes: random.pick([10_000_000, 10_000_000, 1, 0, 150, 400]),
    isolationLevel: random.whole(0, 2),
    topics: isOnce ? topics.filter(({ topic }, i, all) => all.findIndex((other) => other.topic === topic) === i) : topics,
  };
}

function listOffsets(shape: Shape): Step {
  const { random } = shape;
  const timestamp = random.pick([
    -1,
    -2,
    -3,
    -4,
    -5,
    // Not −6, the first offset that is not tiered yet: a lake tiers its topics by default, Kafka does not.
    -7,
    -7,
    0,
    '$time:-9000001',
    `$time:-${random.whole(100_000, 9_000_000)}`,
    '$time:7200001',
  ]);
  return step(shape, 2, {
    replicaId: -1,
    isolationLevel: random.whole(0, 2),
    topics: [
      {
        name: topicOf(shape),
        partitions: [{ partitionIndex: partitionOf(shape), currentLeaderEpoch: random.pick([-1, -1, -1, 0, 1]), timestamp }],
      },
    ],
  });
}

function deleteRecords(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 21, {
    topics: [
      {
        name: topicOf(shape),
        partitions: [{ partitionIndex: partitionOf(shape), offset: random.pick([-1, 0, 1, 2, 3, 5, 100, -2]) }],
      },
    ],
    timeoutMs: 5_000,
  });
}

export function initProducerId(shape: Shape): Step {
  const { random, producers } = shape;
  const keep = random.pick(['p', 'q']);
  const isPlain = random.whole(0, 4) > 0;
  if (isPlain) producers.set(keep, 0);
  const more = isPlain ? {} : { producerId: random.pick([{ $pid: keep }, -1n, 5n]), producerEpoch: random.pick([-1, 0, 3]) };
  return step(
    shape,
    22,
    { transactionalId: null, transactionTimeoutMs: random.pick([60_000, 2_147_483_647, 0, -1]), ...more },
    { keep },
    isPlain ? 0 : 3,
  );
}

function offsetForLeaderEpoch(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 23, {
    replicaId: random.pick([-1, -1, -1, -2, 1]),
    topics: [
      {
        topic: topicOf(shape),
        partitions: [
          {
            partition: partitionOf(shape),
            currentLeaderEpoch: random.pick([-1, -1, -1, 0, 1]),
            leaderEpoch: random.pick([0, 0, 0, 1, -1, 5, -2]),
          },
        ],
      },
    ],
  });
}

function describeProducers(shape: Shape): Step {
  return step(shape, 61, {
    topics: [{ name: topicOf(shape), partitionIndexes: shape.random.pick([[0], [0], [0, 1], [7], [-1], []]) }],
  });
}

function describeLogDirs(shape: Shape): Step {
  const { random } = shape;
  const topics = random.pick([null, [{ topic: topicOf(shape), partitions: random.pick([[0], [0, 1], [7], []]) }], []]);
  return step(shape, 35, { topics });
}

export const logKinds: readonly (readonly [number, Kind])[] = [
  [30, produce],
  [14, fetch],
  [14, fetchInSession],
  [10, listOffsets],
  [5, deleteRecords],
  [6, initProducerId],
  [3, offsetForLeaderEpoch],
  [3, describeProducers],
  [2, describeLogDirs],
];
