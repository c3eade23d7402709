/**
 * Builds key filters behind the queries that could have used them: a query engine reads the key column of some files at a time, in a
 * turn of its own among the queries. Whatever fails here costs nobody an answer; the next query with a key asks again.
 */
import { baseColumns, quoteText, readSchemaMap } from '../../columns/index.js';
import { type Clock, isLakeError, toLakeError } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { Logger } from '../../telemetry/index.js';
import type { ColdReads } from '../cold/cold-reads.js';
import type { EngineSession } from '../engine.js';
import { Lease } from '../lease.js';
import { fullScan } from '../ranges.js';
import type { FilterStore } from './filter-store.js';
import { filterKeysMax, hashDigitsSql, hashOfDigits, KeyFilter, type KeyHash } from './key-filter.js';

/** Files waiting: those of ten topics with a thousand each. */
const wantedMax = 10_000;
/** Of one run: what an engine's start costs is shared, and yet a query never waits long for its turn. */
const filesPerRun = 16;
const rowsPerRun = filterKeysMax;
const credits = 4;

export interface FilterBuildPorts {
  readonly store: FilterStore;
  readonly cold: ColdReads;
  /** Errors: `overloaded` where too many wait. */
  readonly enter: (signal: AbortSignal) => Promise<() => void>;
  readonly claim: (signal: AbortSignal) => Promise<EngineSession>;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const keyColumn = baseColumns.filter(({ name }) => name === '_key');
const keyFields: ReadonlySet<number> = new Set(keyColumn.map(({ fieldId }) => fieldId));

export class FilterBuilds {
  readonly #ports: FilterBuildPorts;
  readonly #wanted = new Map<string, ColdFile>();
  /** Files that no filter can be built of here; not tried again by this service. */
  readonly #hopeless = new Set<string>();
  readonly #closed = new AbortController();
  #building: Promise<void> | undefined;
  /** One after a failure, so that one file cannot keep others from theirs. */
  #filesAtOnce = filesPerRun;

  constructor(ports: FilterBuildPorts) {
    this.#ports = ports;
  }

  /** Returns at once. */
  want(files: readonly ColdFile[]): void {
    for (const file of files) {
      if (this.#wanted.size >= wantedMax) break;
      if (!this.#hopeless.has(file.key)) this.#wanted.set(file.key, file);
    }
    if (this.#building !== undefined || this.#wanted.size === 0 || this.#closed.signal.aborted) return;
    this.#building = this.#buildAll().finally(() => {
      this.#building = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#wanted.clear();
    await this.#building;
  }

  async #buildAll(): Promise<void> {
    while (this.#wanted.size > 0) {
      if (!this.#ports.store.hasRoom) {
        this.#wanted.clear();
        return;
      }
      const files = this.#nextFiles();
      try {
        await this.#buildSome(files);
        for (const { key } of files) this.#wanted.delete(key);
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        const { code, kind, message } = toLakeError(error);
        if (files.length === 1 && isLakeError(error) && kind !== 'unavailable' && code !== 'overloaded') this.#giveUp(files);
        // The bucket or the engines are not well, or one file among many is not: the next query asks again.
        this.#wanted.clear();
        this.#filesAtOnce = 1;
        this.#ports.logger.warn('no key filter could be built; queries by key read more files', { code, error: message });
        return;
      }
    }
    this.#filesAtOnce = filesPerRun;
  }

  #nextFiles(): ColdFile[] {
    const files: ColdFile[] = [];
    let rows = 0;
    for (const file of this.#wanted.values()) {
      rows += file.rows;
      if (files.length > 0 && (files.length >= this.#filesAtOnce || rows > rowsPerRun)) break;
      files.push(file);
    }
    return files;
  }

  #giveUp(files: readonly ColdFile[]): void {
    if (this.#hopeless.size >= wantedMax) this.#hopeless.clear();
    for (const { key } of files) this.#hopeless.add(key);
  }

  async #buildSome(files: readonly ColdFile[]): Promise<void> {
    const { store, enter, claim, clock, timeoutMs } = this.#ports;
    const missing = files.filter((file) => !store.has(file));
    if (missing.length === 0) return;
    const timer = new AbortController();
    const late = new AbortController();
    clock.sleep(timeoutMs, timer.signal).then(
      () => late.abort(),
      () => undefined,
    );
    const signal = AbortSignal.any([this.#closed.signal, late.signal]);
    let session: EngineSession | undefined;
    let leave: (() => void) | undefined;
    try {
      leave = await enter(signal);
      session = await claim(signal);
      const filters = await this.#filtersOf(session, missing, signal);
      for (const [at, file] of missing.entries()) await store.keep(file, filters[at]!);
    } finally {
      timer.abort();
      try {
        await session?.release();
      } finally {
        leave?.();
      }
    }
  }

  async #filtersOf(session: EngineSession, files: readonly ColdFile[], signal: AbortSignal): Promise<KeyFilter[]> {
    const lease = new Lease(session.lease, session.leasePath);
    const need = { ranges: [fullScan], columns: keyFields };
    const leased = await Promise.all(files.map((file) => lease.addCold(this.#ports.cold, file, need, { requests: 0, bytes: 0 }, signal)));
    const branches = leased.flatMap((one, at) => (one === null ? [] : [hashesSql(at, one.path)]));
    const gathered = files.map((): KeyHash[] => []);
    if (branches.length > 0) {
      await session.ask(
        {
          type: 'run',
          isWide: false,
          sql: branches.join(' UNION ALL '),
          prelude: [],
          threads: 1,
          setup: [],
          isDescribed: false,
          parameters: [],
          shape: 'rows',
          fileBytesMax: 0,
          credits,
          maxRows: Number.MAX_SAFE_INTEGER,
        },
        'columns',
      );
      for (let message = await session.next(); message.type !== 'end'; message = await session.next()) {
        if (message.type !== 'rows') continue;
        for (const [at, digits] of JSON.parse(message.text) as [number, string][]) {
          const hashes = gathered[at];
          if (hashes !== undefined && hashes.length <= filterKeysMax) hashes.push(hashOfDigits(digits));
        }
        session.tell({ type: 'credit', credits: 1 });
      }
    }
    return gathered.map((hashes) => (hashes.length > filterKeysMax ? KeyFilter.ofTooMany() : KeyFilter.of(hashes, hashes.length)));
  }
}

function hashesSql(at: number, path: string): string {
  const source = `read_parquet([${quoteText(path)}], schema = ${readSchemaMap(keyColumn)})`;
  return `SELECT ${at} AS file, ${hashDigitsSql} AS hash FROM (SELECT DISTINCT _key FROM ${source} WHERE _key IS NOT NULL)`;
}
