// A service that loses its data directory: killed without warning, its folder gone, and the bucket all that is left.
import { rm } from 'node:fs/promises';
import { connectBroker } from '../../src/client/index.js';
import { findClusterState } from '../../src/lake/index.js';
import { openObjectStore } from '../../src/objects/index.js';
import type { RecoveredRow } from '../../src/tier/index.js';
import { offsetCommitApi, offsetFetchApi } from '../../src/wire/index.js';
import type { Lake } from './lake.js';
import { eventually, isRunning, processesBelow } from './processes.js';
import { runCommand } from './service.js';

/** kill -9 of the supervisor and every role at once, and the end of its data directory. */
export async function loseDataDir(lake: Lake): Promise<void> {
  const pids = [lake.service.pid, ...processesBelow(lake.service.pid).map(({ pid }) => pid)];
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended with those before it.
    }
  }
  await lake.service.ended;
  await eventually('all roles gone', () => pids.every((pid) => !isRunning(pid)) || undefined);
  await rm(lake.service.dataDir, { recursive: true, force: true });
}

/** `thermocline recover`, which is to work. */
export async function recoverTo(dataDir: string, bucket: string): Promise<{ readonly rows: RecoveredRow[]; readonly told: string }> {
  const { code, stdout, stderr } = await runCommand(['recover', '--bucket', bucket, '--data-dir', dataDir]);
  if (code !== 0) throw new Error(`recover ended with ${code}: ${stderr}`);
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RecoveredRow);
  return { rows, told: stderr };
}

/** Positions are committed without a member, as a simple consumer does. */
export async function commitOffset(lake: Lake, group: string, topic: string, partition: number, offset: number): Promise<void> {
  const connection = await connectBroker(lake.client);
  try {
    const { id: topicId } = await lake.topic(topic);
    const { topics } = await connection.request(offsetCommitApi, {
      groupId: group,
      generationIdOrMemberEpoch: -1,
      topics: [{ name: topic, topicId, partitions: [{ partitionIndex: partition, committedOffset: offset, committedMetadata: 'here' }] }],
    });
    const code = topics[0]?.partitions[0]?.errorCode;
    if (code !== 0) throw new Error(`the offset was not committed: ${code}`);
  } finally {
    connection.close();
  }
}

export async function committedOffset(lake: Lake, groupId: string, topic: string, partition: number): Promise<number> {
  const connection = await connectBroker(lake.client);
  try {
    const { id: topicId } = await lake.topic(topic);
    const asked = { groups: [{ groupId, topics: [{ name: topic, topicId, partitionIndexes: [partition] }] }] };
    const { groups } = await connection.request(offsetFetchApi, asked, { minVersion: 8 });
    return groups[0]!.topics[0]!.partitions[0]!.committedOffset;
  } finally {
    connection.close();
  }
}

/**
 * Waits until the bucket has what groups have committed. A new topic is noted within seconds, and everything else with it.
 */
export async function notedInBucket(lake: Lake, bucket: string, fresh: string): Promise<void> {
  await lake.createTopic(fresh);
  const store = await openObjectStore(bucket);
  try {
    await eventually(`${fresh} is noted in the bucket`, async () => {
      const { current } = await findClusterState(store);
      return current?.state.topics.some(({ name }) => name === fresh) === true || undefined;
    });
  } finally {
    await store.close();
  }
}
