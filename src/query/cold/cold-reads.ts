/**
 * Cold files for queries. Where the bucket is a folder beside the cache they are linked as they lie; else only the row groups and
 * columns a query needs are fetched, into local files (parts) with a footer that names nothing else. A part is kept under the
 * cache's bound, is linked again by a query that needs no more than it has, and lends its pieces to one that does.
 */
import { setMaxListeners } from 'node:events';
import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beginsWithPage, type PartLayout, type PartPlan, planPart } from '../../columns/index.js';
import { LakeError, MiB, sum } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { CacheLease, LocalCache, ObjectStore } from '../../objects/index.js';
import { BucketReads, type ReadCount } from './bucket-reads.js';
import { Footers } from './footers.js';
import { type ColdNeed, columnsNeeded, groupsNeeded } from './need.js';
import { type PartFile, writeParts } from './part-file.js';
import { type Piece, type RangeToRead, rangesToRead } from './ranges-to-read.js';

/** A file this small costs one request anyway. */
const wholeBytesDefault = MiB;
/** Of a file of which so much is needed the rest comes along: it is the next query's, and no request of its own. */
const wholeShare = 0.7;
/** New parts after which those that were evicted are taken out of the list. */
const sweepEvery = 256;

interface Part {
  readonly name: string;
  readonly groups: ReadonlySet<number>;
  readonly columns: ReadonlySet<number>;
  /** Where each piece lies in it, by `group/leaf`. */
  readonly places: ReadonlyMap<string, number>;
}

/** How a file comes within reach. */
export type ColdPlan =
  /** No row group can hold a row. */
  | { readonly kind: 'none'; readonly groups: readonly number[] }
  /** It is here under this name. */
  | { readonly kind: 'here'; readonly name: string; readonly groups: readonly number[] }
  | { readonly kind: 'whole'; readonly groups: readonly number[]; readonly fetch: readonly Piece[] }
  | {
      readonly kind: 'part';
      readonly groups: readonly number[];
      readonly columns: ReadonlySet<number>;
      readonly part: PartPlan;
      readonly fetch: readonly Piece[];
      readonly lent: readonly {
        readonly from: string;
        readonly at: number;
        readonly to: number;
        readonly bytes: number;
        readonly start: number;
      }[];
    };

/** What a file would cost a query. */
export interface ColdCost {
  /** Of the row groups within reach, where they are known; else of the file. */
  readonly rows: number;
  readonly groups?: number;
  /** Within reach. */
  readonly bytes: number;
  readonly fetchBytes: number;
  readonly requests: number;
  readonly cachedBytes: number;
}

/** A file within reach of a query. */
export interface ColdLease extends CacheLease {
  /** In the row groups that the need can find rows in, as far as they are known; else of the file. */
  readonly rows: number;
}

export class ColdReads {
  readonly #cache: LocalCache;
  readonly #reads: BucketReads;
  readonly #footers: Footers;
  readonly #wholeBytesMax: number;
  /** By object key, oldest first. */
  readonly #parts = new Map<string, Part[]>();
  #serial = 0;

  constructor(cache: LocalCache, store: ObjectStore, wholeBytesMax = wholeBytesDefault) {
    this.#cache = cache;
    this.#wholeBytesMax = wholeBytesMax;
    this.#reads = new BucketReads(store);
    this.#footers = new Footers(cache, this.#reads);
  }

  get hits(): number {
    return this.#cache.stats.hits;
  }

  /** Whether files are linked from where they lie, and nothing is fetched. */
  get isDirect(): boolean {
    return this.#cache.isDirect;
  }

  /**
   * A local file that holds every row of `file` that the need can find, and of them the columns needed; `null` where its row groups say
   * that there is none. Whoever asks for the same meanwhile waits for the same requests; they end when nobody waits any more.
   * Errors: `cold-unavailable`, `cold-corrupt`, `overloaded`, those of the store.
   */
  async lease(file: ColdFile, need: ColdNeed, count: ReadCount, signal: AbortSignal): Promise<ColdLease | null> {
    if (this.#cache.isDirect) return { ...this.#cache.whereItLies(file.key, file.bytes), rows: file.rows };
    if (!this.#cache.has(file.key) && file.bytes > this.#wholeBytesMax && this.#footers.known(file) === undefined) {
      await this.#footers.layout(file, count, signal);
    }
    // From here to the entry in the cache nothing waits, so that what is planned is still so.
    const plan = this.plan(file, need);
    const rows = rowsOf(this.#footers.known(file), plan.groups) ?? file.rows;
    const lease = await this.#leasePlanned(file, plan, count, signal);
    if (lease === null) return null;
    // What was here is not any more.
    if (lease === undefined) return this.lease(file, need, count, signal);
    return { ...lease, rows };
  }

  async #leasePlanned(file: ColdFile, plan: ColdPlan, count: ReadCount, signal: AbortSignal): Promise<CacheLease | null | undefined> {
    switch (plan.kind) {
      case 'none':
        return null;
      case 'here':
        return this.#cache.heldLocally(plan.name, signal);
      case 'whole':
        return this.#cache.makeLocal(
          file.key,
          file.bytes,
          (path, inner) =>
            writeParts(path, file.bytes, async (target) => {
              await this.#fetch(file, plan.fetch, target, count, inner);
              return file.bytes;
            }),
          signal,
        );
      case 'part':
        return this.#makePart(file, plan, count, signal);
    }
  }

  /** By what is known now, without a request: a large file whose footer was never read counts as needed whole. */
  plan(file: ColdFile, need: ColdNeed): ColdPlan {
    const layout = this.#footers.known(file);
    const groups = layout === undefined ? [] : groupsNeeded(file, layout, need);
    if (layout !== undefined && groups.length === 0) return { kind: 'none', groups };
    if (this.#cache.has(file.key)) return { kind: 'here', name: file.key, groups };
    const whole = { kind: 'whole', groups, fetch: [{ start: 0, end: file.bytes, to: 0 }] } as const;
    if (layout === undefined || file.bytes <= this.#wholeBytesMax) return whole;
    const columns = columnsNeeded(layout, need);
    const parts = (this.#parts.get(file.key) ?? []).filter((part) => this.#cache.has(part.name));
    const covering = parts.find((part) => groups.every((at) => part.groups.has(at)) && [...columns].every((id) => part.columns.has(id)));
    if (covering !== undefined) return { kind: 'here', name: covering.name, groups };
    if (bytesOf(layout, groups, columns) >= wholeShare * file.bytes) return whole;
    const part = planPart(layout, groups, columns);
    const fetch: Piece[] = [];
    const lent: Extract<ColdPlan, { kind: 'part' }>['lent'][number][] = [];
    for (const { group, leaf, from, to } of part.pieces) {
      const lender = parts.find((one) => one.places.has(`${group}/${leaf}`));
      if (lender === undefined) fetch.push({ start: from.at, end: from.at + from.bytes, to });
      else lent.push({ from: lender.name, at: lender.places.get(`${group}/${leaf}`) ?? 0, to, bytes: from.bytes, start: from.at });
    }
    return { kind: 'part', groups, columns, part, fetch, lent };
  }

  /** Whether another footer fits into memory beside those that are there. */
  get hasRoomForFooters(): boolean {
    return this.#footers.hasRoom;
  }

  /** Reads the footer of a file that would be read in parts, where it is not known yet. Errors: as `lease`. */
  async learn(file: ColdFile, count: ReadCount, signal: AbortSignal): Promise<void> {
    if (!this.#cache.isDirect && file.bytes > this.#wholeBytesMax) await this.#footers.layout(file, count, signal);
  }

  /** What `lease` would take, as far as is known now; `undefined` where the file holds no row of the need. */
  costOf(file: ColdFile, need: ColdNeed): ColdCost | undefined {
    const { rows, bytes } = file;
    if (this.#cache.isDirect) return { rows, bytes, fetchBytes: 0, requests: 0, cachedBytes: 0 };
    const plan = this.plan(file, need);
    if (plan.kind === 'none') return undefined;
    const found = rowsOf(this.#footers.known(file), plan.groups);
    const known = found === undefined ? { rows } : { rows: found, groups: plan.groups.length };
    if (plan.kind === 'here') {
      const here = this.#cache.bytesOf(plan.name) ?? bytes;
      return { ...known, bytes: here, fetchBytes: 0, requests: 0, cachedBytes: here };
    }
    const ranges = rangesToRead(plan.fetch);
    const fetchBytes = ranges.reduce((sum, range) => sum + range.end - range.start, 0);
    const cachedBytes = plan.kind === 'part' ? plan.lent.reduce((sum, piece) => sum + piece.bytes, 0) : 0;
    const partBytes = plan.kind === 'part' ? plan.part.end + plan.part.footer().length : bytes;
    return { ...known, bytes: partBytes, fetchBytes, requests: ranges.length, cachedBytes };
  }

  async #makePart(file: ColdFile, plan: Extract<ColdPlan, { kind: 'part' }>, count: ReadCount, signal: AbortSignal): Promise<CacheLease> {
    const { part } = plan;
    const made: Part = {
      name: `${file.key}#${this.#serial++}`,
      groups: new Set(plan.groups),
      columns: plan.columns,
      places: new Map(part.pieces.map(({ group, leaf, to }) => [`${group}/${leaf}`, to])),
    };
    // Lenders are taken hold of before room is made, which could take them away.
    const lenders = new Map(
      [...new Set(plan.lent.map(({ from }) => from))].map((name) => {
        const held = this.#cache.heldLocally(name);
        held?.catch(() => undefined);
        return [name, held] as const;
      }),
    );
    const release = async (): Promise<void> => {
      for (const held of lenders.values()) (await held?.catch(() => undefined))?.release();
    };
    let lease: CacheLease;
    try {
      const filling = this.#cache.makeLocal(
        made.name,
        part.bytesMax,
        async (path, inner) => {
          try {
            return await writeParts(path, part.bytesMax, (target) => this.#writePart(file, plan, lenders, target, count, inner));
          } finally {
            await release();
          }
        },
        signal,
      );
      this.#note(file, made);
      lease = await filling;
    } catch (error) {
      // Else it goes on for others, and lets them go itself.
      if (!this.#cache.has(made.name)) await release();
      throw error;
    }
    await this.#dropCovered(file, made);
    return lease;
  }

  async #writePart(
    file: ColdFile,
    plan: Extract<ColdPlan, { kind: 'part' }>,
    lenders: ReadonlyMap<string, Promise<CacheLease> | undefined>,
    target: PartFile,
    count: ReadCount,
    signal: AbortSignal,
  ): Promise<number> {
    const { part } = plan;
    signal.throwIfAborted();
    const fetch = [...plan.fetch];
    for (const [name, held] of lenders) {
      const pieces = plan.lent.filter(({ from }) => from === name);
      // A part that did not come about lends nothing: then the pieces are fetched here.
      const lease = await held?.catch(() => undefined);
      if (lease === undefined) fetch.push(...pieces.map(({ start, bytes, to }) => ({ start, end: start + bytes, to })));
      else await copyPieces(lease.path, pieces, target, signal);
    }
    let bytes = part.end;
    await this.#fetch(file, fetch, target, count, signal, async () => {
      const footer = part.footer();
      bytes += footer.length;
      await target.write(Buffer.from('PAR1', 'latin1'), 0);
      await target.write(footer, part.end);
    });
    return bytes;
  }

  /**
   * Pieces from the bucket into a file; all requests have ended when it resolves or fails. `meanwhile` begins when the requests are on
   * their way, those of other files that began with this one as well.
   */
  async #fetch(
    file: ColdFile,
    pieces: readonly Piece[],
    target: PartFile,
    count: ReadCount,
    signal: AbortSignal,
    meanwhile: () => Promise<void> = async () => {},
  ): Promise<void> {
    const failed = new AbortController();
    const inner = AbortSignal.any([signal, failed.signal]);
    setMaxListeners(0, inner);
    const starts = new Map(pieces.map((piece) => [piece.start, piece.end - piece.start]));
    const orEnd = async (work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    };
    const outcomes = await Promise.allSettled([
      ...rangesToRead(pieces).map((range) => orEnd(this.#fetchRange(file, range, starts, target, count, inner))),
      orEnd(onceSent().then(meanwhile)),
    ]);
    signal.throwIfAborted();
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure !== undefined) throw failed.signal.reason ?? failure.reason;
  }

  /** `starts`: the bytes of each piece, by where it begins; a slice of one begins with no page. */
  async #fetchRange(
    file: ColdFile,
    range: RangeToRead,
    starts: ReadonlyMap<number, number>,
    target: PartFile,
    count: ReadCount,
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = await this.#reads.read(file, range.start, range.end, count, signal);
    for (const { start, end, to } of range.pieces) {
      const piece = bytes.subarray(start - range.start, end - range.start);
      const chunkBytes = starts.get(start);
      if (start > 0 && chunkBytes !== undefined && !beginsWithPage(piece, chunkBytes)) throw notCommitted(file, start);
      await target.write(piece, to);
    }
  }

  #note(file: ColdFile, part: Part): void {
    if (this.#serial % sweepEvery === 0) {
      for (const [key, parts] of this.#parts) {
        const kept = parts.filter(({ name }) => this.#cache.has(name));
        if (kept.length === 0) this.#parts.delete(key);
        else this.#parts.set(key, kept);
      }
    }
    this.#parts.set(file.key, [...(this.#parts.get(file.key) ?? []), part]);
  }

  /** Parts that hold nothing beyond the new one. */
  async #dropCovered(file: ColdFile, made: Part): Promise<void> {
    const parts = this.#parts.get(file.key) ?? [];
    const isCovered = (part: Part): boolean => part !== made && [...part.places.keys()].every((piece) => made.places.has(piece));
    for (const part of parts) if (isCovered(part)) await this.#cache.forget(part.name);
    this.#parts.set(
      file.key,
      (this.#parts.get(file.key) ?? []).filter(({ name }) => this.#cache.has(name)),
    );
  }

  /** Drops what is kept of objects below a prefix that is gone. */
  async forgetBelow(prefix: string): Promise<void> {
    for (const key of this.#parts.keys()) if (key.startsWith(prefix)) this.#parts.delete(key);
    await this.#cache.forgetBelow(prefix);
  }
}

/** Turns of the event loop after which a request is on its way: one in which its connection comes about, one in which it is sent. */
const turnsToSend = 2;

async function onceSent(): Promise<void> {
  for (let turn = 0; turn < turnsToSend; turn++) await nextTurn();
}

function rowsOf(layout: PartLayout | undefined, groups: readonly number[]): number | undefined {
  return layout === undefined ? undefined : sum(groups.map((at) => layout.groups[at]?.rows ?? 0));
}

function bytesOf(layout: PartLayout, groups: readonly number[], columns: ReadonlySet<number>): number {
  let bytes = 0;
  for (const at of groups) {
    for (const [leaf, { bytes: chunkBytes }] of (layout.groups[at]?.chunks ?? []).entries()) {
      if (columns.has(layout.columnOfLeaf[leaf] ?? -1)) bytes += chunkBytes;
    }
  }
  return bytes;
}

async function copyPieces(
  path: string,
  pieces: readonly { readonly at: number; readonly to: number; readonly bytes: number }[],
  target: PartFile,
  signal: AbortSignal,
): Promise<void> {
  const source = await open(path, 'r');
  try {
    for (const { at, to, bytes } of pieces) {
      for (let done = 0; done < bytes; ) {
        signal.throwIfAborted();
        const into = Buffer.allocUnsafe(Math.min(MiB, bytes - done));
        const { bytesRead } = await source.read(into, 0, into.length, at + done);
        if (bytesRead === 0) throw new LakeError('cold-corrupt', `${path} ends before ${at + bytes}`, { facts: { path } });
        await target.write(into.subarray(0, bytesRead), to + done);
        done += bytesRead;
      }
    }
  } finally {
    await source.close();
  }
}

function notCommitted(file: ColdFile, start: number): LakeError {
  return new LakeError('cold-corrupt', `${file.key} is damaged: no page begins at ${start}, where its footer says one does`, {
    hint: 'Run thermocline tier scrub; the object is not what was committed.',
    facts: { key: file.key, start },
  });
}
