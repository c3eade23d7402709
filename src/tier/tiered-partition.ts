/**
 * One partition on its way into the table: where it stands, and what may happen next.
 *
 *              opened            cut              verified            committed
 *     opening ────────► following ────► cutting ───────────► ready ─────────────┐
 *        ▲  ▲               ▲  ▲           │  │                │                │
 *        │  └── rewound ────┘  └── failed, ┘  │                └── moved ──► following
 *        │                         moved      │
 *        └──────────────── rewound ───────────┘          alarm, from anywhere ──► alarmed
 *
 * *moved*: another daemon committed the range. *rewound*: the log is shorter than what was fetched, or has a new leader epoch.
 * A range that is ready stays so when the log is rewound: it was flushed before, and such an end is never cut.
 */
import {
  type BackoffPolicy,
  backoffMs,
  invariant,
  isLakeError,
  type LakeError,
  type LeaderEpoch,
  type Offset,
  type PartitionId,
  type Random,
} from '../kernel/index.js';
import type { PartitionState } from '../control/index.js';
import type { PreparedCut } from './cut.js';
import type { PartitionSpool } from './partition-spool.js';

export type PartitionPhase = 'opening' | 'following' | 'cutting' | 'ready' | 'alarmed';
export type PartitionEvent = 'opened' | 'cut' | 'verified' | 'failed' | 'committed' | 'moved' | 'rewound' | 'alarm';

/** `null`: cannot happen, a programmer error. */
export const partitionTransitions: Readonly<Record<PartitionPhase, Readonly<Record<PartitionEvent, PartitionPhase | null>>>> = {
  opening: {
    opened: 'following',
    cut: null,
    verified: null,
    failed: null,
    committed: null,
    moved: 'opening',
    rewound: 'opening',
    alarm: 'alarmed',
  },
  following: {
    opened: null,
    cut: 'cutting',
    verified: null,
    failed: null,
    committed: null,
    moved: 'following',
    rewound: 'opening',
    alarm: 'alarmed',
  },
  cutting: {
    opened: null,
    cut: null,
    verified: 'ready',
    failed: 'following',
    committed: null,
    moved: 'following',
    rewound: 'opening',
    alarm: 'alarmed',
  },
  ready: {
    opened: null,
    cut: null,
    verified: null,
    failed: 'following',
    committed: 'following',
    moved: 'following',
    rewound: 'ready',
    alarm: 'alarmed',
  },
  alarmed: {
    opened: null,
    cut: null,
    verified: null,
    failed: null,
    committed: null,
    moved: 'alarmed',
    rewound: 'alarmed',
    alarm: 'alarmed',
  },
};

export class TieredPartition {
  readonly partition: PartitionId;
  readonly spool: PartitionSpool;
  /** The table's, as last seen. */
  boundary: Offset = 0;
  /** The broker's, as last heard; never goes back. */
  logStartOffset: Offset = 0;
  /** Hot bytes at or above what the broker held for the boundary, as last heard. */
  tail: { readonly boundary: Offset; readonly bytes: number } = { boundary: 0, bytes: 0 };
  /** As the broker said before the first of the spooled batches was fetched. */
  leaderEpoch: LeaderEpoch = -1;
  /** End of the log as last seen; 0 before the broker has said. */
  highWatermark: Offset = 0;
  /** What somebody waits for: everything below is cut as soon as it is fetched. */
  cutTarget: Offset = 0;
  /** While cutting: ends the work. */
  cutAbort: AbortController | undefined;
  /** While ready. */
  prepared: PreparedCut | undefined;
  readySinceMs = 0;
  /** Not tried again before, monotonic. */
  retryAtMs = 0;
  fetchAtMs = 0;
  /** Since the last success. */
  failures = 0;
  /** Ever; those who wait for a flush compare it. */
  failuresTotal = 0;
  error: LakeError | undefined;
  #phase: PartitionPhase = 'opening';
  /** Raised whenever the spool starts anew: answers to fetches that began before are dropped. */
  #generation = 0;

  constructor(partition: PartitionId, spool: PartitionSpool) {
    this.partition = partition;
    this.spool = spool;
  }

  get phase(): PartitionPhase {
    return this.#phase;
  }

  get generation(): number {
    return this.#generation;
  }

  get isFollowed(): boolean {
    return this.#phase === 'following' || this.#phase === 'cutting' || this.#phase === 'ready';
  }

  /** Its log is not read, which is all that keeps it from being opened. */
  get isOffline(): boolean {
    return this.#phase === 'opening' && isLakeError(this.error, 'log-offline');
  }

  #step(event: PartitionEvent): void {
    const next = partitionTransitions[this.#phase][event];
    invariant(next !== null, 'a partition event came in the wrong phase', { partition: this.partition, phase: this.#phase, event });
    this.#phase = next;
    if (next !== 'cutting') this.cutAbort = undefined;
    if (next !== 'ready') this.prepared = undefined;
  }

  /** Takes over what the broker says of the log. What was spooled and is deleted by now need not be cut. */
  told(state: Pick<PartitionState, 'logStartOffset' | 'boundary' | 'tailBytes' | 'highWatermark'>): void {
    this.logStartOffset = Math.max(this.logStartOffset, state.logStartOffset);
    this.tail = { boundary: state.boundary, bytes: state.tailBytes };
    this.trim();
    // While nothing may be fetched, the lag grows all the same.
    this.highWatermark = Math.max(state.highWatermark, this.spool.nextOffset);
  }

  /** Below the high watermark and not in the table. What the broker knows to be there is, though nothing was loaded yet. */
  get lagRecords(): number {
    return Math.max(0, this.highWatermark - Math.max(this.boundary, this.tail.boundary));
  }

  /** Only what no cut is about: that one ends as it began, and its commit drops what lies below the log start. */
  trim(): void {
    if (this.#phase !== 'following') return;
    const next = this.spool.nextOffset;
    this.spool.trimBelow(this.logStartOffset);
    if (this.spool.nextOffset !== next) this.#generation++;
  }

  opened(from: { readonly boundary: Offset; readonly start: Offset; readonly leaderEpoch: LeaderEpoch }): void {
    this.#step('opened');
    this.boundary = from.boundary;
    this.leaderEpoch = from.leaderEpoch;
    this.#generation++;
    this.spool.restart(from.start);
    this.succeeded();
  }

  cutBegan(abort: AbortController): void {
    this.#step('cut');
    this.cutAbort = abort;
  }

  verified(prepared: PreparedCut, nowMs: number): void {
    this.#step('verified');
    this.prepared = prepared;
    this.readySinceMs = nowMs;
  }

  /** What was spooled stays and is cut again. */
  cutFailed(): void {
    this.#step('failed');
  }

  committed(to: Offset): void {
    this.#step('committed');
    this.boundary = to;
    this.spool.dropBelow(to);
    this.succeeded();
  }

  /** The table's boundary is ahead of ours: what lies below it is somebody else's, and done. */
  moved(boundary: Offset): void {
    const before = this.#phase;
    this.cutAbort?.abort();
    this.#step('moved');
    this.boundary = boundary;
    if (before === 'opening' || before === 'alarmed') return;
    const next = this.spool.nextOffset;
    this.spool.dropBelow(boundary);
    if (this.spool.nextOffset !== next) this.#generation++;
  }

  /** What was fetched is no longer what the log holds: it is dropped and the partition opened again. */
  rewound(): void {
    this.cutAbort?.abort();
    this.#step('rewound');
    if (this.#phase !== 'opening') return;
    this.retryAtMs = 0;
    this.#generation++;
    this.spool.restart(this.boundary);
  }

  /** Nothing more is done here until somebody has looked. */
  alarm(error: LakeError): void {
    this.cutAbort?.abort();
    this.#step('alarm');
    this.#generation++;
    this.spool.restart(this.boundary);
    this.error = error;
    this.failuresTotal++;
  }

  /** Keeps an error for the status and for those who wait, and answers how long to pause, in ms. */
  noteFailure(error: LakeError, policy: BackoffPolicy, random: Random): number {
    this.error = error;
    this.failures++;
    this.failuresTotal++;
    return backoffMs(policy, this.failures, random);
  }

  /** Gives up its spool until it is tried again, and answers the bytes; all of it can be fetched once more. */
  shed(): number {
    const bytes = this.spool.diskBytes;
    if (this.#phase !== 'following' || bytes === 0) return 0;
    this.#generation++;
    this.spool.restart(Math.max(this.boundary, this.logStartOffset));
    this.fetchAtMs = this.retryAtMs;
    return bytes;
  }

  /** A fetch was answered: whatever was wrong with fetching is over. */
  fetched(highWatermark: Offset): void {
    this.highWatermark = highWatermark;
    this.fetchAtMs = 0;
    if (this.retryAtMs > 0) return;
    this.failures = 0;
    this.error = undefined;
  }

  succeeded(): void {
    this.failures = 0;
    this.error = undefined;
    this.retryAtMs = 0;
    this.fetchAtMs = 0;
  }
}
