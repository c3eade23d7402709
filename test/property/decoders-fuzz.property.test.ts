/**
 * Mutated bytes for the decoders of what lies on disk, in the bucket, between the roles or in a client's hand (Kafka's messages have
 * `wire-fuzz`). Each answers with a value or an error of ours, and never with another exception.
 */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeAssignment, decodeSubscription } from '../../src/broker/groups/consumer/consumer-protocol.js';
import { decodeGroupRecord, encodeGroupKey, encodeOffsetKey, encodeOffsetValue } from '../../src/broker/groups/group-records.js';
import { footerLength, parseFooter } from '../../src/columns/parquet-footer.js';
import { readPartLayout } from '../../src/columns/parquet-parts.js';
import { encodeFrameHead, FrameDecoder, frameKinds } from '../../src/control/frames.js';
import { decodeManifest, decodeManifestList } from '../../src/iceberg/manifest.js';
import { parseTableMetadata } from '../../src/iceberg/table-metadata.js';
import { isLakeError } from '../../src/kernel/index.js';
import { formatAppended, parseAppended } from '../../src/lake/append-cuts.js';
import { parseClusterState } from '../../src/lake/cluster-state.js';
import { parseHoles } from '../../src/lake/holes.js';
import { formatPartitions, formatSamples, parsePartitions, parseSamples } from '../../src/lake/partition-vector.js';
import { decodeSpans, encodeSpans, spansFrom } from '../../src/log/append-times.js';
import {
  decodeEpochs,
  decodeOffsets,
  decodePartitionMetadata,
  encodeEpochs,
  encodeOffsets,
  encodePartitionMetadata,
} from '../../src/log/checkpoint-text.js';
import { decodeProducerSnapshot, ProducerSnapshotEncoding } from '../../src/log/producer-snapshot.js';
import { SegmentIndexes } from '../../src/log/segment-indexes.js';
import { soleBatch, validateProduceBatch } from '../../src/log/validate-produce.js';
import { decodeToken, encodeToken } from '../../src/query/token.js';
import { computeBatchCrc, decodeBatch, encodeBatch, walkBatches } from '../../src/wire/index.js';
import { ColumnFiles } from '../support/column-files.js';

interface Decoder {
  readonly name: string;
  samples(): readonly Buffer[];
  decode(bytes: Buffer): unknown;
}

const golden = (path: string): Buffer => readFileSync(new URL(`../golden/${path}`, import.meta.url));
const text = (encoded: string): (() => Buffer[]) => {
  return () => [Buffer.from(encoded)];
};
const topicId = 'AAECAwQFBgcICQoLDA0ODw' as never;

/** A batch in each codec, and one that is not ours to say anything about. */
function batches(): Buffer[] {
  const records = Array.from({ length: 20 }, (_, i) => ({
    timestampMs: 1_700_000_000_000 + i,
    key: i % 3 === 0 ? null : Buffer.from(`k${i}`),
    value: i % 5 === 0 ? null : Buffer.alloc(i * 7, `v${i}`),
    headers: i % 4 === 0 ? [{ key: Buffer.from('h'), value: i % 8 === 0 ? null : Buffer.from('x') }] : [],
  }));
  return (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const).map((compression) => encodeBatch({ records, compression }));
}

/** As if the sender had made the damage: the checksum is right. */
function withCrc(batch: Buffer): Buffer {
  if (batch.length >= 61) batch.writeUInt32BE(computeBatchCrc(batch, 0), 17);
  return batch;
}

const rules = {
  maxMessageBytes: 1 << 20,
  apiVersion: 11,
  nowMs: 1_700_000_000_000,
  timestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
  maxDecompressedBytes: 1 << 20,
};

const manifestEntry = {
  manifestPath: 'm.avro',
  manifestLength: 1,
  partitionSpecId: 0,
  content: 0,
  sequenceNumber: 1,
  minSequenceNumber: 1,
  addedSnapshotId: '1',
  addedFiles: 1,
  existingFiles: 0,
  deletedFiles: 0,
  addedRows: 1,
  existingRows: 0,
  deletedRows: 0,
};

let files: ColumnFiles;
const footers: Buffer[] = [];
beforeAll(async () => {
  files = new ColumnFiles();
  const staged = await files.stageValues(Array.from({ length: 50 }, (_, n) => Buffer.from(JSON.stringify({ n, name: `row ${n}` }))));
  const { path } = await files.encode([staged]);
  const bytes = readFileSync(path);
  footers.push(bytes.subarray(bytes.length - footerLength(path, bytes, bytes.length)));
});
afterAll(() => files.close());

/** A key and a value, told apart by where the value begins. */
const groupRecord = (key: Buffer, value: Buffer): Buffer => Buffer.concat([Buffer.from([key.length]), key, value]);

const decoders: readonly Decoder[] = [
  {
    name: 'batches, their checksums right',
    samples: batches,
    decode: (bytes) => {
      const batch = soleBatch(withCrc(bytes), rules.apiVersion);
      validateProduceBatch(batch, rules);
      // What was let in can be read by whoever comes.
      return walkBatches(batch, (at) => void decodeBatch(batch, at));
    },
  },
  {
    name: 'batches as they are',
    samples: batches,
    decode: (bytes) => walkBatches(bytes, (at) => void decodeBatch(bytes, at)),
  },
  {
    name: 'segment indexes',
    samples: () => {
      const indexes = new SegmentIndexes(100);
      for (let i = 0; i < 50; i++) indexes.note(i * 90, 90, 100 + i, 1_000 + i, 200);
      indexes.finish();
      return [Buffer.concat([indexes.offsets.bytes, indexes.times.bytes])];
    },
    decode: (bytes) => {
      const indexes = new SegmentIndexes(100, { offsets: bytes, times: bytes });
      indexes.nextOffset = 150;
      return [indexes.offsets.isPlausible(4_500), indexes.times.isPlausible(150), indexes.offsets.lookup(120), indexes.times.lookup(1_020)];
    },
  },
  {
    name: 'producer snapshots',
    samples: () => {
      const encoding = new ProducerSnapshotEncoding(
        [1n, 2n ** 60n].map((producerId) => ({
          producerId,
          producerEpoch: 0,
          lastSequence: 5,
          lastOffset: 9,
          offsetDelta: 2,
          timestampMs: 1,
        })),
      );
      encoding.step();
      return [encoding.bytes];
    },
    decode: (bytes) => decodeProducerSnapshot(bytes, 'f'),
  },
  { name: 'append times', samples: () => [encodeSpans(spansFrom(1_000, 50))], decode: (bytes) => decodeSpans(bytes) },
  {
    name: 'checkpoints of offsets',
    samples: () => [
      Buffer.from(
        encodeOffsets(
          new Map([
            ['orders-0', 5],
            ['a.b-12', 0],
          ]),
        ),
      ),
    ],
    decode: (bytes) => decodeOffsets(bytes.toString(), 'f'),
  },
  {
    name: 'leader epochs',
    samples: () => [
      Buffer.from(
        encodeEpochs([
          { epoch: 0, startOffset: 0 },
          { epoch: 3, startOffset: 70 },
        ]),
      ),
    ],
    decode: (bytes) => decodeEpochs(bytes.toString(), 'f'),
  },
  {
    name: 'partition metadata',
    samples: text(encodePartitionMetadata(topicId)),
    decode: (bytes) => decodePartitionMetadata(bytes.toString(), 'f'),
  },
  {
    name: 'boundaries',
    samples: text(formatPartitions([{ partition: 0, boundary: 70, logStartOffset: 3, leaderEpoch: 1 }])),
    decode: (bytes) => parsePartitions(bytes.toString()),
  },
  {
    name: 'samples of boundaries',
    samples: text(formatSamples([{ atMs: 5, boundaries: [1, 2] }])),
    decode: (bytes) => parseSamples(bytes.toString()),
  },
  {
    name: 'append cuts',
    samples: text(formatAppended([{ atMs: 5, endOffsets: [1, 2] }])),
    decode: (bytes) => parseAppended(bytes.toString()),
  },
  { name: 'holes', samples: text('[[0,5,9,1,1000]]'), decode: (bytes) => parseHoles(bytes.toString()) },
  { name: 'states of a cluster', samples: () => [golden('cluster-state/v1.state')], decode: (bytes) => parseClusterState(bytes, 'k') },
  { name: 'metadata of a table', samples: () => [golden('iceberg/v3.metadata')], decode: (bytes) => parseTableMetadata(bytes) },
  {
    name: 'manifests',
    samples: () => [golden('iceberg/manifest-first.avro')],
    decode: (bytes) => decodeManifest(bytes, manifestEntry as never),
  },
  {
    name: 'manifest lists',
    samples: () => [golden('iceberg/manifest-list.avro')],
    decode: (bytes) => decodeManifestList(bytes, 'm'),
  },
  { name: 'footers of cold files', samples: () => footers, decode: (bytes) => parseFooter('f', bytes) },
  { name: 'layouts of cold files', samples: () => footers, decode: (bytes) => readPartLayout('f', bytes) },
  {
    name: 'tokens',
    samples: () => [
      Buffer.from(
        encodeToken({
          clusterId: 'c' as never,
          topics: [
            {
              topicId,
              maxFieldId: 20,
              extraPairs: [{ name: 'n', kind: 'long' }],
              partitions: [{ partition: 0, logStartOffset: 0, endOffset: 9, leaderEpoch: 0 }],
            },
          ],
        }),
      ),
    ],
    decode: (bytes) => decodeToken(bytes.toString('latin1')),
  },
  {
    name: 'records of groups',
    samples: () => [
      groupRecord(
        encodeOffsetKey({ group: 'g', topic: 't', partition: 3 }),
        encodeOffsetValue({ offset: 5, leaderEpoch: 1, metadata: 'm', committedMs: 7 }),
      ),
      groupRecord(encodeGroupKey('g'), encodeOffsetValue({ offset: 5, leaderEpoch: 1, metadata: 'm', committedMs: 7 })),
    ],
    decode: (bytes) => decodeGroupRecord(bytes.subarray(1, 1 + (bytes[0] ?? 0)), bytes.subarray(1 + (bytes[0] ?? 0))),
  },
  {
    name: "a client's subscription and assignment",
    samples: () => [Buffer.from('000100000001000174000000000000000100017400000001000000000000', 'hex')],
    decode: (bytes) => {
      const topics = { topic: () => ({ id: topicId }) } as never;
      return [decodeSubscription(bytes, topics), decodeAssignment(bytes, topics)];
    },
  },
  {
    name: 'control frames',
    samples: () => {
      const payload = Buffer.from('payload');
      const frame = { kind: frameKinds.part, id: 7, json: '{"a":1}', payload };
      return [Buffer.concat([encodeFrameHead(frame), payload, encodeFrameHead(frame), payload])];
    },
    decode: (bytes) => {
      let frames = 0;
      new FrameDecoder(() => void frames++).push(bytes);
      return frames;
    },
  },
];

interface Mutation {
  readonly kind: 'set' | 'cut' | 'drop' | 'repeat';
  readonly at: number;
  readonly byte: number;
}

const mutations = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'set', 'set', 'cut', 'drop', 'repeat'),
    at: fc.nat(),
    byte: fc.oneof(fc.constantFrom(0, 1, 0x22, 0x2d, 0x39, 0x5b, 0x7f, 0x80, 0xff), fc.nat(255)),
  }),
  { minLength: 1, maxLength: 5 },
) as fc.Arbitrary<Mutation[]>;

function mutated(sample: Buffer, changes: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(sample);
  for (const { kind, at, byte } of changes) {
    if (bytes.length === 0) break;
    const place = at % bytes.length;
    if (kind === 'set') bytes[place] = byte;
    else if (kind === 'cut') bytes = bytes.subarray(0, place);
    else if (kind === 'drop') bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1 + (byte % 8))]);
    else bytes = Buffer.concat([bytes.subarray(0, place + 1), bytes.subarray(place)]);
  }
  return bytes;
}

async function outcome(decoder: Decoder, bytes: Buffer): Promise<'value' | 'refused'> {
  try {
    await decoder.decode(bytes);
    return 'value';
  } catch (error) {
    if (!isLakeError(error)) throw error;
    return 'refused';
  }
}

describe.each(decoders.map((decoder) => [decoder.name, decoder] as const))('%s', (_name, decoder) => {
  it('are read as they were written', async () => {
    for (const sample of decoder.samples()) expect(await outcome(decoder, Buffer.from(sample))).toBe('value');
  });

  it('end in a value or an error of ours, however they were changed', async () => {
    const samples = decoder.samples();
    await fc.assert(
      fc.asyncProperty(fc.nat(), mutations, async (pick, changes) => {
        await outcome(decoder, mutated(samples[pick % samples.length] as Buffer, changes));
      }),
      { numRuns: 600 },
    );
  });

  it('end so where they never were one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await outcome(decoder, Buffer.from(bytes));
      }),
      { numRuns: 200 },
    );
  });
});
