/** `__consumer_offsets` as a log of group records: appended to under acks=all, and replayed at start. */
import type { Clock, Offset, PartitionId } from '../../kernel/index.js';
import { isLakeError, LakeError, MiB, topicName } from '../../kernel/index.js';
import type { PartitionLog } from '../../log/index.js';
import type { Logger } from '../../telemetry/index.js';
import { batchLastOffset, decodeBatch, encodeBatch, isBatchCrcValid, isControl, walkBatches } from '../../wire/index.js';
import { decodeGroupRecord, groupPartition, type GroupRecord } from './group-records.js';

export const offsetsTopic = topicName('__consumer_offsets');

/** Records of one batch while many groups are written at once: with the longest metadata some 4 MB. */
const recordsPerBatch = 1_000;
/** Bytes of one read while replaying. */
const replayReadBytes = 4 * MiB;

export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export interface GroupLogPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of `__consumer_offsets`, by id; empty until the topic is there. */
  readonly partitions: () => ReadonlyMap<PartitionId, PartitionLog>;
  /** Creates the topic if it is not there. */
  readonly ensureTopic: () => Promise<void>;
  /** Whether an append is answered only once it is on disk. */
  readonly isFlushed: boolean;
}

export class GroupLog {
  readonly #ports: GroupLogPorts;
  readonly #unreadable = new Set<PartitionId>();

  constructor(ports: GroupLogPorts) {
    this.#ports = ports;
  }

  /** Resolves when the records stand as one batch in the group's partition. Errors: `log-offline`, `disk-full`. */
  async append(group: string, records: readonly KeyValue[]): Promise<void> {
    await this.#ports.ensureTopic();
    const partitions = this.#ports.partitions();
    const log = partitions.get(groupPartition(group, partitions.size));
    if (log === undefined || !this.isServed(group))
      throw new LakeError('log-offline', `${offsetsTopic} has no partition that can be used for group ${group}`);
    const nowMs = this.#ports.clock.nowMs();
    const batch = encodeBatch({ records: records.map(({ key, value }) => ({ timestampMs: nowMs, key, value })) });
    const { lastOffset } = log.append(batch, nowMs);
    if (this.#ports.isFlushed) await log.flush(lastOffset + 1);
  }

  /** As `append` for many groups at once, each after what it has; on disk when it resolves. Errors: as `append`. */
  async appendAll(groups: readonly { readonly group: string; readonly records: readonly KeyValue[] }[]): Promise<void> {
    if (groups.length === 0) return;
    await this.#ports.ensureTopic();
    const partitions = this.#ports.partitions();
    const waiting = new Map<PartitionId, KeyValue[]>();
    const write = (partition: PartitionId, records: readonly KeyValue[]): void => {
      const log = partitions.get(partition);
      if (log === undefined) throw new LakeError('log-offline', `${offsetsTopic} has no partition ${partition}`);
      const nowMs = this.#ports.clock.nowMs();
      log.append(encodeBatch({ records: records.map(({ key, value }) => ({ timestampMs: nowMs, key, value })) }), nowMs);
    };
    for (const { group, records } of groups) {
      const partition = groupPartition(group, partitions.size);
      const gathered = [...(waiting.get(partition) ?? []), ...records];
      while (gathered.length >= recordsPerBatch) write(partition, gathered.splice(0, recordsPerBatch));
      waiting.set(partition, gathered);
    }
    for (const [partition, records] of waiting) if (records.length > 0) write(partition, records);
    await Promise.all([...partitions.values()].map((log) => log.flush()));
  }

  /**
   * Hands over every record in the order it was written. A partition that cannot be read is reported, and its groups are not
   * served: to say that they have committed nothing would send their consumers to the beginning.
   */
  async replay(onRecord: (record: GroupRecord) => void): Promise<void> {
    for (const log of this.#ports.partitions().values()) {
      try {
        await replayPartition(log, onRecord);
      } catch (error) {
        if (!isLakeError(error)) throw error;
        this.#unreadable.add(log.partition);
        this.#ports.logger.error('a partition of __consumer_offsets cannot be read; its groups are not served', {
          partition: log.partition,
          error: error.message,
        });
      }
    }
  }

  /** Whether everything that was written could be read. */
  get isWhole(): boolean {
    return this.#unreadable.size === 0;
  }

  /** Whether what the group committed is known. */
  isServed(group: string): boolean {
    return this.#unreadable.size === 0 || !this.#unreadable.has(groupPartition(group, this.#ports.partitions().size));
  }
}

async function replayPartition(log: PartitionLog, onRecord: (record: GroupRecord) => void): Promise<void> {
  let next: Offset | undefined = log.localStartOffset;
  while (next !== undefined) next = await replayFrom(log, next, onRecord);
}

/** Replays one read; resolves to where the next begins, `undefined` at the end. */
async function replayFrom(log: PartitionLog, from: Offset, onRecord: (record: GroupRecord) => void): Promise<Offset | undefined> {
  const { chunks, bytes } = await log.read(from, replayReadBytes, { isMinOneBatch: true });
  if (bytes === 0) return undefined;
  const run = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  let next = from;
  walkBatches(run, (at) => {
    if (!isBatchCrcValid(run, at))
      throw new LakeError('log-damaged', `the batch at offset ${next} of ${log.topic}-${log.partition} is damaged`);
    next = batchLastOffset(run, at) + 1;
    if (isControl(run, at)) return;
    for (const { key, value } of decodeBatch(run, at)) {
      const record = decodeGroupRecord(key, value);
      if (record !== undefined) onRecord(record);
    }
  });
  return next;
}
