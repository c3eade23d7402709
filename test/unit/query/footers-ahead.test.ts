// Footers that are read before anyone asks: of which files, how many at a time, and what a failure costs.
import { describe, expect, it } from 'vitest';
import { LakeError, topicName, zeroTopicId } from '../../../src/kernel/index.js';
import type { ColdFile, TableSnapshot } from '../../../src/lake/index.js';
import { FootersAhead } from '../../../src/query/cold/footers-ahead.js';
import { type Logger, silentLogger } from '../../../src/telemetry/index.js';

function snapshotOf(partitions: number, filesEach: number): TableSnapshot {
  const files = Array.from({ length: partitions }, (_, partition) =>
    Array.from(
      { length: filesEach },
      (__, at): ColdFile => ({
        key: `t/p=${partition}/${at}`,
        partition,
        baseOffset: at * 10,
        lastOffset: at * 10 + 9,
        rows: 10,
        bytes: 1000,
        minTimestampMs: at,
        maxTimestampMs: at,
        fieldIds: [],
      }),
    ),
  ).flat();
  return {
    topic: topicName('t'),
    topicId: zeroTopicId,
    metadataVersion: 1,
    snapshotId: '1',
    schemaId: 0,
    columns: [],
    partitions: Array.from({ length: partitions }, (_, partition) => ({
      partition,
      boundary: filesEach * 10,
      logStartOffset: 0,
      leaderEpoch: 0,
    })),
    samples: [],
    appended: [],
    files,
    holes: [],
  };
}

function open(learn: (file: ColdFile) => Promise<void>, hasRoom = (): boolean => true) {
  const warnings: string[] = [];
  const learned: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (message) => void warnings.push(message) };
  const ahead = new FootersAhead({
    learn: async (file) => {
      learned.push(file.key);
      await learn(file);
    },
    hasRoom,
    logger,
  });
  return { ahead, learned, warnings };
}

describe('footers read ahead', () => {
  it('are those of the last files of every partition, the newest first, each once', async () => {
    const { ahead, learned } = open(async () => undefined);
    ahead.want(snapshotOf(2, 300));
    await ahead.settled();
    expect(learned).toHaveLength(256);
    expect(learned.slice(0, 4)).toEqual(['t/p=0/299', 't/p=1/299', 't/p=0/298', 't/p=1/298']);
    expect(new Set(learned).size).toBe(256);
    ahead.want(snapshotOf(2, 301));
    await ahead.settled();
    expect(learned.slice(256)).toEqual(['t/p=0/300', 't/p=1/300']);
  });

  it('are read two at a time', async () => {
    let [now, most] = [0, 0];
    const { ahead } = open(async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      now--;
    });
    ahead.want(snapshotOf(3, 10));
    ahead.want(snapshotOf(4, 10));
    await ahead.settled();
    expect(most).toBe(2);
  });

  it('leave others in memory where there is no room, but those of new files', async () => {
    const { ahead, learned } = open(
      async () => undefined,
      () => learned.length < 3,
    );
    ahead.want(snapshotOf(1, 10));
    await ahead.settled();
    expect(learned).toEqual(['t/p=0/9', 't/p=0/8', 't/p=0/7']);
    ahead.want(snapshotOf(1, 11));
    await ahead.settled();
    expect(learned.slice(3)).toEqual(['t/p=0/10']);
  });

  it('that cannot be read are told once, and left to the questions', async () => {
    const { ahead, learned, warnings } = open(async () => {
      throw new LakeError('cold-unavailable', 'away');
    });
    ahead.want(snapshotOf(1, 100));
    await ahead.settled();
    expect(learned.length).toBeLessThanOrEqual(2);
    expect(warnings.length).toBeLessThanOrEqual(2);
    expect(warnings[0]).toMatch(/first queries read them/);
  });

  it('are read no more once it is closed', async () => {
    const { ahead, learned } = open(async () => {
      void ahead.close();
    });
    ahead.want(snapshotOf(1, 100));
    await ahead.close();
    ahead.want(snapshotOf(1, 200));
    expect(learned.length).toBeLessThanOrEqual(2);
  });
});
