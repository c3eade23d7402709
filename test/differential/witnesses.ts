// Short sequences by hand: what random ones meet too seldom for each allowed difference to be seen in every run.
import type { Step } from './step.js';

const topic = (name: string): unknown => ({ name: `$topic:${name}`, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] });
const metadataQuorum = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
const twoHoursAhead = { at: 7_200_000, key: 'k', value: 'v' };

function produce(version: number, batch: object): Step {
  const partitionData = [{ index: 0, records: { $batch: { compression: 'none', ...batch } } }];
  return {
    api: 0,
    version,
    body: { transactionalId: null, acks: -1, timeoutMs: 5_000, topicData: [{ name: '$topic:a', partitionData }] },
  };
}

export const witnesses: readonly (readonly Step[])[] = [
  [
    { api: 18, version: 3, body: { clientSoftwareName: 'differ', clientSoftwareVersion: '1.0' } },
    { api: 55, version: 2, body: { topics: metadataQuorum } },
  ],
  [
    { api: 19, version: 7, body: { topics: [topic('a')], timeoutMs: 5_000, validateOnly: false } },
    { api: 19, version: 7, body: { topics: [topic('b')], timeoutMs: 5_000, validateOnly: true } },
    { api: 22, version: 4, body: { transactionalId: null, transactionTimeoutMs: 60_000 }, keep: 'p' },
    produce(9, { records: [{ at: -1_000_000, key: 'k', value: 'v' }], producer: 'p', epoch: 0, sequence: 0 }),
    { api: 61, version: 0, body: { topics: [{ name: '$topic:a', partitionIndexes: [0] }] } },
    produce(9, { records: [twoHoursAhead, twoHoursAhead] }),
    produce(9, { records: [{ at: -1_000_000, key: 'k', value: 'v' }], compression: 'gzip', flaw: 'garbage' }),
  ],
];
