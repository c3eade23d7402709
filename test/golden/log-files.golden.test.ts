// Bytes of every file the hot log writes, as they have been since the first release. Never edit the right-hand sides.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  decodeDamagedSegments,
  decodeEpochs,
  decodeOffsets,
  decodePartitionMetadata,
  encodeDamagedSegments,
  encodeEpochs,
  encodeOffsets,
  encodePartitionMetadata,
} from '../../src/log/checkpoint-text.js';
import { decodeProducerSnapshot, ProducerSnapshotEncoding } from '../../src/log/producer-snapshot.js';
import { OffsetIndex, TimeIndex } from '../../src/log/sparse-index.js';
import { batch, clockAt, files, partitionFolder, topicKey, world } from '../unit/log/hot-world.js';

it('writes offset index entries', () => {
  const index = new OffsetIndex(1000);
  index.append(1003, 0);
  index.append(1_000_000, 65_537);
  expect(index.bytes.toString('hex')).toBe('0000000300000000' + '000f3e5800010001');
});

it('writes time index entries', () => {
  const index = new TimeIndex(1000);
  index.appendIfLarger(1_700_000_000_123, 1003);
  index.appendIfLarger(1_700_000_000_123, 1009);
  index.appendIfLarger(1_700_000_000_999, 1010);
  expect(index.bytes.toString('hex')).toBe('0000018bcfe5687b00000003' + '0000018bcfe56be70000000a');
});

const entries = [
  { producerId: 7n, producerEpoch: 1, lastSequence: 599, lastOffset: 1202, offsetDelta: 2, timestampMs: 1_700_000_000_123 },
  { producerId: 2n ** 40n, producerEpoch: 0, lastSequence: -1, lastOffset: -1, offsetDelta: 0, timestampMs: -1 },
];

it('writes producer snapshots', () => {
  const encoding = new ProducerSnapshotEncoding(entries);
  expect(encoding.step()).toBe(false);
  const { bytes } = encoding;
  expect(bytes.toString('hex')).toBe(
    '0001' +
      '272c33f6' +
      '00000002' +
      '0000000000000007' +
      '0001' +
      '00000257' +
      '00000000000004b2' +
      '00000002' +
      '0000018bcfe5687b' +
      'ffffffff' +
      'ffffffffffffffff' +
      '0000010000000000' +
      '0000' +
      'ffffffff' +
      'ffffffffffffffff' +
      '00000000' +
      'ffffffffffffffff' +
      'ffffffff' +
      'ffffffffffffffff',
  );
  expect(decodeProducerSnapshot(bytes, 'x')).toEqual(entries);
  // As it was written with one entry a producer, and as Kafka writes it.
  const former = '00014b2465c20000000100000000000000070000000000010000000000000001000000000000018bcfe56800ffffffffffffffffffffffff';
  expect(decodeProducerSnapshot(Buffer.from(former, 'hex'), 'x')).toMatchObject([{ producerId: 7n, lastSequence: 1, lastOffset: 1 }]);
  bytes[20] = 1;
  expect(() => decodeProducerSnapshot(bytes, 'x')).toThrow(expect.objectContaining({ code: 'log-damaged' }));
});

it('writes checkpoints', () => {
  const offsets = new Map([
    ['flights-0', 1200],
    ['a-b-c-11', 0],
  ]);
  const text = '0\n2\nflights 0 1200\na-b-c 11 0\n';
  expect(encodeOffsets(offsets)).toBe(text);
  expect(decodeOffsets(text, 'x')).toEqual(offsets);
  const epochs = [
    { epoch: 0, startOffset: 0 },
    { epoch: 3, startOffset: 1187 },
  ];
  expect(encodeEpochs(epochs)).toBe('0\n2\n0 0\n3 1187\n');
  expect(decodeEpochs('0\n2\n0 0\n3 1187\n', 'x')).toEqual(epochs);
  const damaged = [{ baseOffset: 42, endOffset: 1187 }];
  expect(encodeDamagedSegments(damaged)).toBe('0\n1\n42 1187\n');
  expect(decodeDamagedSegments('0\n1\n42 1187\n', 'x')).toEqual(damaged);
  expect(encodePartitionMetadata(topicKey)).toBe('version: 0\ntopic_id: 7Qm0V4nQTMmTsA3nU8qR2w');
  expect(decodePartitionMetadata('version: 0\ntopic_id: 7Qm0V4nQTMmTsA3nU8qR2w', 'x')).toBe(topicKey);
});

it.each([
  '',
  '1\n0\n',
  '0\n',
  '0\n2\nflights 0 1\n',
  '0\n1\nflights 0 1\nflights 1 2\n',
  '0\n1\nflights 0 -1\n',
  '0\n1\nflights 0 1 2\n',
  '0\n1\n../x 0 1\n',
])('refuses the checkpoint %j', (text) => {
  expect(() => decodeOffsets(text, 'x')).toThrow(expect.objectContaining({ code: 'log-damaged' }));
});

it('writes the folder of a partition', async () => {
  const { dir, log, partition } = await world({ segmentBytes: 200, indexIntervalBytes: 60 }, undefined, {
    clock: clockAt(1_700_000_000_000),
  });
  for (let i = 0; i < 4; i++) {
    partition.append(
      batch({ value: `value ${i}`, timestampMs: 1000 + i, producerId: 7n, producerEpoch: 0, baseSequence: i }),
      1_700_000_000_000,
    );
  }
  await log.close();
  const names = ['index', 'log', 'snapshot', 'timeindex'];
  expect(await files(dir)).toEqual([
    ...names.filter((name) => name !== 'snapshot').map((name) => `00000000000000000000.${name}`),
    ...names.map((name) => `00000000000000000002.${name}`),
    '00000000000000000004.snapshot',
    'append-times',
    'leader-epoch-checkpoint',
    'partition.metadata',
  ]);
  const hex = async (name: string): Promise<string> => (await readFile(join(dir, partitionFolder, name))).toString('hex');
  expect(await hex('00000000000000000002.log')).toBe(
    '00000000000000020000003f00000000021fefe1ea00000000000000000000000003ea00000000000003ea0000000000000007000000000002000000011a000000010e76616c756520320000000000000000030000003f000000000256a6fba500000000000000000000000003eb00000000000003eb0000000000000007000000000003000000011a000000010e76616c7565203300',
  );
  expect(await hex('00000000000000000002.index')).toBe('000000010000004b');
  expect(await hex('00000000000000000002.timeindex')).toBe('00000000000003eb00000001');
  // Both batches of the producer, the newest last: the other bears its own time.
  expect(await hex('00000000000000000002.snapshot')).toBe(
    '000110d4ce00' +
      '00000002' +
      '000000000000000700000000000000000000000000000000000000000000000003e8ffffffffffffffffffffffff' +
      '00000000000000070000000000010000000000000001000000000000018bcfe56800ffffffffffffffffffffffff',
  );
  // Begun at the moment, and all four appended in the next.
  expect(await hex('append-times')).toBe(
    '4154494d00000001a220a7ba0000018bcfe568000000018bcfe568000000000000000000ce603ab20000018bcfe568010000018bcfe568010000000000000004',
  );
  expect((await readFile(join(dir, '.kafka_cleanshutdown'))).toString()).toBe('{"version":0,"brokerEpoch":-1}');
});
