/**
 * What is known of statements asked before: a dashboard asks the same few again and again, and to parse and to plan one costs more
 * than a small answer. Both depend on nothing but what is in the key; whatever looks at the time or at the session is not kept.
 */
import { RecentlyUsed } from '../kernel/index.js';
import type { ParsedStatement } from './engine-protocol.js';
import type { TableScans } from './scan-plan.js';
import type { ParameterValue } from './parameters.js';

/** Characters of all keys and texts together: a few MiB of memory at most. */
const charsMax = 2 * 1024 * 1024;
/** A longer statement is not kept: nobody types it twice a second. */
const entryCharsMax = 64 * 1024;

/** The scans of a plan by table name; `null` where the plan could not be read. */
export type KnownScans = readonly (readonly [string, TableScans])[] | null;

export class StatementCache {
  readonly #kept = new RecentlyUsed<string, ParsedStatement | KnownScans>(charsMax);

  get chars(): number {
    return this.#kept.weight;
  }

  parsed(sql: string): ParsedStatement | undefined {
    return this.#kept.get(`p ${sql}`) as ParsedStatement | undefined;
  }

  keepParsed(sql: string, parsed: ParsedStatement): void {
    this.#keep(`p ${sql}`, parsed, 2 * sql.length);
  }

  /** `undefined` where nothing is known. */
  scans(key: string): KnownScans | undefined {
    return this.#kept.get(`s ${key}`) as KnownScans | undefined;
  }

  keepScans(key: string, scans: KnownScans): void {
    this.#keep(`s ${key}`, scans, key.length + JSON.stringify(scans).length);
  }

  #keep(key: string, value: ParsedStatement | KnownScans, chars: number): void {
    if (chars <= entryCharsMax) this.#kept.set(key, value, chars);
  }
}

/** What a plan depends on: the text, its parameters' values, and the columns of the tables it reads. */
export function scansKey(
  sql: string,
  parameters: readonly (readonly [string, ParameterValue])[],
  tables: readonly { readonly create: string }[],
): string {
  return JSON.stringify([sql, parameters, tables.map((table) => table.create)]);
}
