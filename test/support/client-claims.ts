// What every client of Kafka's users is to find here as at Apache Kafka, whatever its language; a client leaves out what it does not have.
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { batchCompression, compressionCodecs, describeProducersApi, walkBatches } from '../../src/wire/index.js';
import { testBroker, WireClient } from '../unit/broker/broker-fixture.js';
import { ask, type ClientProgram, type GroupMember, joinGroup, type SeenRecord, type WantedRecord } from './client-programs.js';

/** What an administrator sees who makes a topic of three partitions and a group with one position, changes them, and deletes them. */
const administration = {
  created: 0,
  /** TOPIC_ALREADY_EXISTS. */
  createdAgain: 36,
  retention: '86400000',
  set: 0,
  retentionSet: '7200000',
  /** INVALID_CONFIG. */
  setWrong: 40,
  produced: 0,
  /** Of each idempotent producer that the partition knows: ten records came, so the last has number 9. */
  lastSequences: [9],
  grow: 0,
  partitions: 5,
  recordsDeleted: 4,
  start: 4,
  endOfEpoch: 10,
  logDirs: [0, 1, 2, 3, 4],
  commit: 0,
  committed: 10,
  move: 0,
  moved: 6,
  lag: 4,
  listed: 'Empty',
  /** A group that never had a member has none. */
  listedProtocol: '',
  type: 'classic',
  described: 'Empty',
  forget: 0,
  forgotten: -1,
  quorum: { leader: 1, voters: [1] },
  groupDeleted: 0,
  /** GROUP_ID_NOT_FOUND. */
  groupDeletedAgain: 69,
  topicDeleted: 0,
  /** UNKNOWN_TOPIC_OR_PARTITION. */
  topicDeletedAgain: 3,
};

export interface ClientClaims {
  /** Group protocols that the client has; for sarama the versions of Kafka that it is told to speak to. */
  readonly protocols: readonly string[];
  readonly isIdempotent: boolean;
  /** Its members can have an instance id. */
  readonly isStatic: boolean;
  /** It can take another member out of a group by that. */
  readonly removesStatic: boolean;
  /** It can find the offset of the record with the largest timestamp. */
  readonly findsMaxTimestamp: boolean;
  /** It tells what is null from what is empty when it consumes. */
  readonly tellsNull: boolean;
  /** Steps of an administrator that it has no call for. */
  readonly lacks: readonly (keyof typeof administration)[];
  /** Answers that the client changes before it gives them. */
  readonly changed?: Partial<Record<keyof typeof administration, unknown>>;
}

/**
 * Another broker to hold the clients against, `host:port`: Apache Kafka, to see that what is claimed here is what it does.
 */
const elsewhere = process.env['THERMOCLINE_TEST_CLIENTS_BROKER'];
/** Apache Kafka answers an administrator before its brokers have all heard of the change; ours shows what it has answered. */
const settleMs = elsewhere === undefined ? 0 : 1000;

/** Members of groups of KIP-848 hear of what changed with a heartbeat: every five seconds by default. */
const brokerFlags = { 'group.consumer.min.heartbeat.interval.ms': '500', 'group.consumer.heartbeat.interval.ms': '500' };

/** A broker, and a topic and a group that are not there yet. */
async function serve(): Promise<{ bootstrap: string; topic: string; group: string }> {
  const { host, port } = (await testBroker({ flags: brokerFlags })).kafkaAddress;
  return { bootstrap: elsewhere ?? `${host}:${port}`, topic: `t-${randomUUID()}`, group: `g-${randomUUID()}` };
}

async function wireClient(bootstrap: string): Promise<WireClient> {
  const { hostname, port } = new URL(`tcp://${bootstrap}`);
  return await WireClient.open({ kafkaAddress: { host: hostname, port: Number(port) } });
}

/** For clients that come and go as processes, on a busy machine. */
const settled = { timeout: 60_000, interval: 100 };

const valuesOf = (members: readonly GroupMember[]): Set<string | null> =>
  new Set(members.flatMap((member) => member.seen().map(({ value }) => value)));

const inOrder = (records: readonly SeenRecord[]): SeenRecord[] =>
  [...records].sort((one, other) => one.partition - other.partition || one.offset - other.offset);

/** Of several kinds at the beginning, and enough of them that compressing pays. */
function variousRecords(partition: number): WantedRecord[] {
  return [
    {
      partition,
      key: 'k',
      value: 'v'.repeat(300),
      headers: [
        ['h', 'x'],
        ['h', 'again'],
        ['empty', ''],
      ],
    },
    { partition, key: null, value: 'no key' },
    { partition, key: '', value: '' },
    { partition, key: 'tombstone', value: null },
    ...Array.from({ length: 200 }, (_, i) => ({
      partition,
      key: `key ${i % 10}`,
      value: `äöü€😀 ${i}`,
      timestampMs: 1_700_000_000_000 + i,
    })),
  ];
}

export function keepsItsClaims(client: ClientProgram, claims: ClientClaims): void {
  describe.skipIf(client.tool.path === undefined)(`${client.name}${client.tool.note}`, () => {
    it('produces with each codec, which is stored so, and consumes keys, nulls and headers as they were produced', async () => {
      const { bootstrap, topic, group } = await serve();
      const wire = await wireClient(bootstrap);
      const topicId = await wire.createTopic(topic, compressionCodecs.length);
      const wanted = compressionCodecs.map((_, partition) => variousRecords(partition));
      for (const [partition, codec] of compressionCodecs.entries()) {
        await ask(client, { scenario: 'produce', bootstrap, topic, codec, records: wanted[partition]! });
        const { records } = await wire.fetch(topicId, 0, { partition });
        const stored: string[] = [];
        walkBatches(records!, (at) => void stored.push(batchCompression(records!, at)));
        expect(stored).toContain(codec);
      }
      const { records } = await ask(client, { scenario: 'read', bootstrap, topic, group, count: wanted.flat().length });
      const nullOf = (text: string | null | undefined): string | null => (claims.tellsNull || text !== '' ? (text ?? null) : null);
      expect(
        inOrder(records!).map(({ timestampMs, ...record }) => ({
          ...record,
          timestampMs: timestampMs > 1_700_000_001_000 ? 'now' : timestampMs,
        })),
      ).toEqual(
        wanted.flatMap((part) =>
          part.map(({ partition, key, value, headers = [], timestampMs = 'now' }, offset) => ({
            partition,
            offset,
            timestampMs,
            key: nullOf(key),
            value: nullOf(value),
            headers,
          })),
        ),
      );
    });

    it.skipIf(!claims.isIdempotent)('produces idempotently', async () => {
      const { bootstrap, topic, group } = await serve();
      await ask(client, { scenario: 'create', bootstrap, topic });
      const numbers = Array.from({ length: 500 }, (_, i) => i);
      const records = numbers.map((i) => ({ partition: 0, value: String(i) }));
      const { offsets } = await ask(client, { scenario: 'produce', bootstrap, topic, records, idempotent: true });
      expect(offsets).toEqual(numbers);
      const wire = await wireClient(bootstrap);
      const { topics } = await wire.call(describeProducersApi, 0, { topics: [{ name: topic, partitionIndexes: [0] }] });
      expect(topics[0]!.partitions[0]!.activeProducers.map(({ lastSequence }) => lastSequence)).toEqual([499]);
      const read = await ask(client, { scenario: 'read', bootstrap, topic, group, count: 500 });
      expect(read.records!.map(({ value }) => value)).toEqual(numbers.map(String));
    });

    it('finds offsets for times and both ends', async () => {
      const { bootstrap, topic } = await serve();
      await ask(client, { scenario: 'create', bootstrap, topic });
      const nowMs = Date.now();
      // The largest timestamp is not of the last record.
      const records = [1000, 3000, 2000].map((ms) => ({ partition: 0, value: String(ms), timestampMs: nowMs + ms }));
      await ask(client, { scenario: 'produce', bootstrap, topic, records });
      const times = [1, 1000, 1500, 3000].map((ms) => nowMs + ms);
      expect(await ask(client, { scenario: 'offsets', bootstrap, topic, times })).toEqual({
        earliest: 0,
        latest: 3,
        forTimes: [0, 0, 1, 1],
        ...(claims.findsMaxTimestamp ? { maxTimestamp: 1 } : {}),
      });
    });

    it.each(claims.protocols)(
      'shares a topic among three (%s), goes on when one leaves, and resumes from what was committed',
      async (protocol) => {
        const { bootstrap, topic, group } = await serve();
        const asked = { bootstrap, topic, group, protocol, partitions: 6 };
        const produce = async (text: string, count: number): Promise<string[]> => {
          const records = Array.from({ length: count }, (_, i) => ({ partition: i % 6, value: `${text} ${i}` }));
          await ask(client, { ...asked, scenario: 'produce', records });
          return records.map(({ value }) => value);
        };
        await ask(client, { ...asked, scenario: 'create' });
        const members = [0, 1, 2].map(() => joinGroup(client, asked));
        const shares = (): number[] => members.map((member) => member.assigned().length);
        await expect.poll(shares, settled).toEqual([2, 2, 2]);
        const first = await produce('of three', 60);
        await expect.poll(() => valuesOf(members), settled).toEqual(new Set(first));
        const gone = members.pop()!;
        await gone.leave();
        await expect.poll(shares, settled).toEqual([3, 3]);
        const second = await produce('of two', 60);
        await expect.poll(() => valuesOf([...members, gone]), settled).toEqual(new Set([...first, ...second]));
        const committed = async (): Promise<unknown> => (await ask(client, { ...asked, scenario: 'committed' })).offsets;
        // While they are there: who is in the middle of a commit when another leaves is refused it, and would consume again.
        await expect.poll(committed, settled).toEqual([20, 20, 20, 20, 20, 20]);
        // One after the other has settled: a client that closes while it joins anew may leave its member behind, until that expires.
        await members.pop()!.leave();
        await expect.poll(shares, settled).toEqual([6]);
        await members.pop()!.leave();
        const third = await produce('of one', 6);
        const again = joinGroup(client, asked);
        await expect.poll(() => again.seen().length, settled).toBeGreaterThanOrEqual(6);
        await again.leave();
        expect(inOrder(again.seen()).map(({ value }) => value)).toEqual(third);
      },
    );

    it.skipIf(!claims.isStatic)('gives a static member that comes back what it had, and tells nobody', async () => {
      const { bootstrap, topic, group } = await serve();
      const asked = { bootstrap, topic, group, protocol: claims.protocols.at(-1) === '4.3.1' ? '4.3.1' : 'classic', partitions: 6 };
      await ask(client, { ...asked, scenario: 'create' });
      const member = (instance: string): GroupMember => joinGroup(client, { ...asked, instance });
      const members = ['one', 'two', 'three'].map(member);
      const shares = (): number[] => members.map(({ assigned }) => assigned().length);
      await expect.poll(shares, settled).toEqual([2, 2, 2]);
      const told = members.slice(0, 2).map((other) => other.assignments());
      const had = members[2]!.assigned();
      await members[2]!.leave();
      members[2] = member('three');
      await expect.poll(() => members[2]!.assigned(), settled).toEqual(had);
      expect(members.slice(0, 2).map((other) => other.assignments())).toEqual(told);
      if (!claims.removesStatic) return;
      await members.pop()!.leave();
      await ask(client, { ...asked, scenario: 'remove', instance: 'three' });
      await expect.poll(shares, settled).toEqual([3, 3]);
    });

    it('administers topics, configs, records and groups', async () => {
      const { bootstrap, topic, group } = await serve();
      const seen = await ask(client, { scenario: 'admin', bootstrap, topic, group, settleMs });
      const expected = Object.entries({ ...administration, ...claims.changed }).filter(
        ([step]) => !(claims.lacks as string[]).includes(step),
      );
      expect(seen).toEqual(Object.fromEntries(expected));
    });
  });
}
