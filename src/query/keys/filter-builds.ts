/** Builds key filters: a query engine reads the key column of some files at a time. */
import { baseColumns, quoteText, readSchemaMap } from '../../columns/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { ColdReads } from '../cold/cold-reads.js';
import type { EngineSession } from '../engine.js';
import { answerOf, runOwn } from '../engine-reading.js';
import { Lease } from '../lease.js';
import { fullScan } from '../ranges.js';
import type { BuildKind, WantedFile } from './builds-behind.js';
import type { FilterStore } from './filter-store.js';
import { filterKeysMax, hashDigitsSql, hashOfDigits, KeyFilter, type KeyHash } from './key-filter.js';

const keyColumn = baseColumns.filter(({ name }) => name === '_key');
const keyFields: ReadonlySet<number> = new Set(keyColumn.map(({ fieldId }) => fieldId));

export class FilterBuilds implements BuildKind {
  readonly failure = 'no key filter could be built; queries by key read more files';
  readonly filesPerRun = 16;
  readonly rowsPerRun = filterKeysMax;
  readonly #store: FilterStore;
  readonly #cold: ColdReads;

  constructor(store: FilterStore, cold: ColdReads) {
    this.#store = store;
    this.#cold = cold;
  }

  get hasRoom(): boolean {
    return this.#store.hasRoom;
  }

  has(file: ColdFile): boolean {
    return this.#store.has(file);
  }

  async build(session: EngineSession, wanted: readonly WantedFile[], signal: AbortSignal): Promise<void> {
    const files = wanted.map(({ file }) => file);
    const filters = await this.#filtersOf(session, files, signal);
    for (const [at, file] of files.entries()) await this.#store.keep(file, filters[at]!);
  }

  async #filtersOf(session: EngineSession, files: readonly ColdFile[], signal: AbortSignal): Promise<KeyFilter[]> {
    const lease = new Lease(session.lease, session.leasePath);
    const need = { ranges: [fullScan], columns: keyFields };
    const leased = await Promise.all(files.map((file) => lease.addCold(this.#cold, file, need, { requests: 0, bytes: 0 }, signal)));
    const branches = leased.flatMap((one, at) => (one === null ? [] : [hashesSql(at, one.path)]));
    const gathered = files.map((): KeyHash[] => []);
    if (branches.length > 0) {
      await runOwn(session, { sql: branches.join(' UNION ALL '), shape: 'rows' });
      for await (const message of answerOf(session)) {
        if (message.type !== 'rows') continue;
        for (const [at, digits] of JSON.parse(message.text) as [number, string][]) {
          const hashes = gathered[at];
          if (hashes !== undefined && hashes.length <= filterKeysMax) hashes.push(hashOfDigits(digits));
        }
      }
    }
    return gathered.map((hashes) => (hashes.length > filterKeysMax ? KeyFilter.ofTooMany() : KeyFilter.of(hashes, hashes.length)));
  }
}

function hashesSql(at: number, path: string): string {
  const source = `read_parquet([${quoteText(path)}], schema = ${readSchemaMap(keyColumn)})`;
  return `SELECT ${at} AS file, ${hashDigitsSql} AS hash FROM (SELECT DISTINCT _key FROM ${source} WHERE _key IS NOT NULL)`;
}
