/**
 * Keeps `cluster/state` in the bucket up to date with the broker, so that the bucket alone restores the service.
 *
 * | What changed since it was written                            | is in the bucket |
 * |--------------------------------------------------------------|------------------|
 * | topics, their configuration, deletions, views, leader epochs | after the next look: within `stateLookMs`, at once when told |
 * | high watermarks, log starts, committed offsets, producer ids | `stateWriteMs` after the state before it at the latest |
 * | nothing                                                      | no request is made |
 */
import { createHash } from 'node:crypto';
import type { ControlResult, NotedGroup, NotedGroups, NotedTopic } from '../control/index.js';
import { backoffMs, isLakeError, LakeError, Mutex, toLakeError } from '../kernel/index.js';
import { type ClusterState, encodeClusterState, findClusterState, type FoundState, writeClusterState } from '../lake/index.js';
import { Wakeup, withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';

/** Committed offsets in one state: about 100 bytes each, 20 MB. The groups that were made first have room. */
const offsetsMax = 200_000;
/** Times a state is decided anew because others wrote theirs, before it waits for the next look. */
const triesMax = 5;
/** A stop waits no longer for the last state. */
const lastWriteMs = 2_000;

type Look = ControlResult<'broker.cluster-state'>;

/** What was in the bucket when it was last looked at, by the parts that decide when it is written again. */
interface Written {
  readonly number: number;
  /** What is to be there soon. */
  readonly outline: string;
  /** What may wait a little. */
  readonly positions: string;
  readonly digest: string;
  readonly topics: readonly NotedTopic[];
}

export class ClusterNotes {
  readonly #ports: TierPorts;
  readonly #wakeup: Wakeup;
  readonly #turn = new Mutex();
  #written: Written | undefined;
  /** Monotonic. */
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  /** Monotonic time since when the bucket is behind the broker; `undefined` while it is not. */
  #behindSinceMs: number | undefined;
  /** States written since the start. */
  writes = 0;

  constructor(ports: TierPorts) {
    this.#ports = ports;
    this.#wakeup = new Wakeup(ports.clock);
  }

  /** How long something has not been in the bucket that is to be there, in ms. */
  get behindMs(): number {
    return this.#behindSinceMs === undefined ? 0 : this.#ports.clock.monotonicMs() - this.#behindSinceMs;
  }

  /** Look soon: something changed. */
  wake(): void {
    this.#wakeup.wake();
  }

  /** Until the daemon stops. To be called once the bucket is claimed. */
  async run(): Promise<void> {
    const { settings, stop, logger, random } = this.#ports;
    let failures = 0;
    while (!stop.aborted) {
      try {
        await this.note('when-due', stop);
        failures = 0;
      } catch (error) {
        if (stop.aborted) return;
        failures++;
        logger.warn('the state of the cluster could not be brought into the bucket', { error: toLakeError(error) });
      }
      const pause = failures === 0 ? settings.stateLookMs : Math.max(settings.stateLookMs, backoffMs(settings.retry, failures, random));
      await this.#wakeup.wait(pause, stop);
    }
  }

  /** The last state before a stop, as good as two seconds allow. */
  async last(): Promise<void> {
    const never = new AbortController().signal;
    try {
      await withDeadline('the last state of the cluster', lastWriteMs, this.#ports.clock, never, (signal) => this.note('now', signal));
    } catch (error) {
      this.#ports.logger.warn('the last state of the cluster is not in the bucket', { error: toLakeError(error) });
    }
  }

  /**
   * Looks at the broker and writes what has changed: all of it `now`, or what is due. Errors: those of broker and store, `timeout`,
   * `commit-lost` where others wrote again and again, `bucket-in-use` where the bucket knows a later life of the log.
   */
  note(urgency: 'now' | 'when-due', signal: AbortSignal): Promise<void> {
    return this.#turn.run(async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#note(urgency, signal);
        } catch (error) {
          if (!isLakeError(error, 'commit-lost') || attempt === triesMax) throw error;
          this.#written = undefined;
        }
      }
    }, signal);
  }

  async #note(urgency: 'now' | 'when-due', signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#ports;
    this.#written ??= this.#asWritten(await this.#find(signal));
    const written = this.#written;
    const look = await this.#look(signal);
    requireCurrent(look.topics, written.topics);

    const topics = withKnownEnds(look.topics, written.topics);
    const outline = outlineOf(topics, look);
    const positions = positionsOf(topics, look);
    if (outline === written.outline && positions === written.positions) {
      this.#behindSinceMs = undefined;
      return;
    }
    const now = clock.monotonicMs();
    this.#behindSinceMs ??= now;
    const isDue = urgency === 'now' || outline !== written.outline || now - this.#writtenAtMs >= settings.stateWriteMs;
    if (!isDue) return;
    const state = await this.#gather(topics, signal);
    const digest = digestOf(state);
    const number = digest === written.digest ? written.number : await this.#write(written.number, state, signal);
    this.#written = { number, outline, positions, digest, topics };
    this.#writtenAtMs = now;
    this.#behindSinceMs = undefined;
  }

  #find(signal: AbortSignal): Promise<FoundState> {
    const { clock, settings, store } = this.#ports;
    return withDeadline('finding the state of the cluster', settings.bucketTimeoutMs, clock, signal, (inner) =>
      findClusterState(store, inner),
    );
  }

  #asWritten({ newest, current, passedOver }: FoundState): Written {
    for (const error of passedOver) this.#ports.logger.error('a state of the cluster cannot be read; a new one takes its place', { error });
    // Found by another daemon, or this one before its restart: what it says is compared as a whole.
    const digest = current === undefined || current.number !== newest ? '' : digestOf(current.state);
    return { number: newest, outline: '', positions: '', digest, topics: current?.state.topics ?? [] };
  }

  #look(signal: AbortSignal): Promise<Look> {
    const { clock, settings, broker } = this.#ports;
    return withDeadline('broker.cluster-state', settings.brokerTimeoutMs, clock, signal, (inner) =>
      broker.call('broker.cluster-state', { withOffsets: false }, { signal: inner }),
    );
  }

  async #gather(topics: readonly NotedTopic[], signal: AbortSignal): Promise<ClusterState> {
    const { clock, settings, broker, logger } = this.#ports;
    const gathered = new GatheredGroups();
    const look = await withDeadline('broker.cluster-state', settings.brokerTimeoutMs, clock, signal, (inner) =>
      broker.call(
        'broker.cluster-state',
        { withOffsets: true },
        { signal: inner, onPart: (facts) => gathered.add((facts as NotedGroups).groups) },
      ),
    );
    if (!look.areOffsetsWhole) {
      // Of groups that the broker cannot read for now, the bucket keeps what it had.
      const { current } = await this.#find(signal);
      gathered.addMissing(current?.state.groups ?? []);
    }
    if (gathered.leftOut > 0) logger.warn('committed offsets are left out of the state of the cluster', { leftOut: gathered.leftOut });
    return {
      clusterId: look.clusterId,
      writtenAtMs: clock.nowMs(),
      kafka: look.kafka,
      nextProducerId: BigInt(look.nextProducerId),
      topics: withKnownEnds(look.topics, topics),
      dropped: look.dropped,
      views: look.views,
      groups: gathered.groups,
      offsetsLeftOut: gathered.leftOut,
    };
  }

  async #write(after: number, state: ClusterState, signal: AbortSignal): Promise<number> {
    const { clock, settings, store, logger } = this.#ports;
    const number = await withDeadline('writing the state of the cluster', settings.bucketTimeoutMs, clock, signal, (inner) =>
      writeClusterState(store, after, state, inner),
    );
    this.writes++;
    logger.debug('the state of the cluster is in the bucket', { number, topics: state.topics.length, groups: state.groups.length });
    return number;
  }
}

class GatheredGroups {
  readonly #groups = new Map<string, NotedGroup['offsets'][number][]>();
  #count = 0;
  leftOut = 0;

  add(groups: readonly NotedGroup[]): void {
    for (const { group, offsets } of groups) {
      const room = Math.max(0, offsetsMax - this.#count);
      const taken = offsets.slice(0, room);
      this.leftOut += offsets.length - taken.length;
      this.#count += taken.length;
      if (taken.length > 0) this.#groups.set(group, [...(this.#groups.get(group) ?? []), ...taken]);
    }
  }

  addMissing(groups: readonly NotedGroup[]): void {
    this.add(groups.filter(({ group }) => !this.#groups.has(group)));
  }

  get groups(): readonly NotedGroup[] {
    return [...this.#groups].map(([group, offsets]) => ({ group, offsets }));
  }
}

/** A partition that is offline does not know its end: the last known one stays. */
function withKnownEnds(topics: readonly NotedTopic[], before: readonly NotedTopic[]): readonly NotedTopic[] {
  const isAnyOffline = topics.some((topic) => topic.partitions.some((partition) => partition.isOffline === true));
  if (!isAnyOffline) return topics;
  const known = new Map(before.map((topic) => [topic.id, topic]));
  return topics.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map((partition, index) => {
      const last = known.get(topic.id)?.partitions[index];
      if (partition.isOffline !== true || last === undefined) return partition;
      return {
        ...partition,
        highWatermark: Math.max(partition.highWatermark, last.highWatermark),
        leaderEpoch: Math.max(partition.leaderEpoch, last.leaderEpoch),
      };
    }),
  }));
}

/**
 * The epoch of a log never goes back. Where the bucket knows a later one, ours is not the log any more: it was recovered elsewhere,
 * or the data directory is an old copy. What it says must not take the place of what is newer. Errors: `bucket-in-use`.
 */
function requireCurrent(topics: readonly NotedTopic[], noted: readonly NotedTopic[]): void {
  const known = new Map(noted.map((topic) => [topic.id, topic]));
  for (const topic of topics) {
    for (const [partition, { leaderEpoch, isOffline }] of topic.partitions.entries()) {
      const later = known.get(topic.id)?.partitions[partition]?.leaderEpoch ?? leaderEpoch;
      if (later <= leaderEpoch || isOffline === true) continue;
      throw new LakeError('bucket-in-use', `the bucket knows ${topic.name}-${partition} in leader epoch ${later}; ours is ${leaderEpoch}`, {
        hint: 'Another service of this cluster works on the bucket, or this data directory is an old copy: stop one of them.',
        facts: { topic: topic.name, partition, leaderEpoch, later },
      });
    }
  }
}

function outlineOf(topics: readonly NotedTopic[], { dropped, views }: Look): string {
  return JSON.stringify([
    topics.map(({ id, name, isInternal, isTiered, overrides, partitions }) => [
      id,
      name,
      isInternal,
      isTiered,
      overrides,
      partitions.map((partition) => partition.leaderEpoch),
    ]),
    dropped.map(({ id }) => id),
    views,
  ]);
}

function positionsOf(topics: readonly NotedTopic[], { nextProducerId, offsetsRevision, kafka }: Look): string {
  const positions = topics.map(({ partitions }) => partitions.map((p) => [p.logStartOffset, p.boundary, p.highWatermark]));
  return JSON.stringify([positions, nextProducerId, offsetsRevision, kafka]);
}

/** Of all but the time of writing. */
function digestOf(state: ClusterState): string {
  return createHash('sha256')
    .update(encodeClusterState({ ...state, writtenAtMs: 0 }))
    .digest('base64');
}
