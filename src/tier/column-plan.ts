/**
 * Which place in the table each (name, kind) has, agreed among all partitions of a topic before their files are encoded. Ahead of the
 * table by the columns that are assigned and not committed yet.
 */
import { assignColumns, type ColumnPair, pairKey, type TypedColumn } from '../columns/index.js';
import { isSameColumn } from '../lake/index.js';

export class ColumnPlan {
  #columns: readonly TypedColumn[] = [];
  #committed: readonly TypedColumn[] = [];

  /** Those of the pairs that have a place; above the cap on columns a new pair has none. */
  assign(pairs: readonly ColumnPair[]): readonly TypedColumn[] {
    this.#columns = assignColumns(this.#columns, pairs);
    const wanted = new Set(pairs.map(pairKey));
    return this.#columns.filter((column) => wanted.has(pairKey(column)));
  }

  /** The table's columns as they are now. What was planned on top stays only if nothing of it has another place there. */
  adopt(committed: readonly TypedColumn[]): void {
    this.#committed = committed;
    const planned = new Map(this.#columns.map((column) => [column.fieldId, column]));
    const isAhead = committed.every((column) => {
      const own = planned.get(column.fieldId);
      return own !== undefined && isSameColumn(own, column);
    });
    if (!isAhead) this.#columns = committed;
  }

  /** Whether files encoded with these columns still fit. */
  fits(columns: readonly TypedColumn[]): boolean {
    const planned = new Map(this.#columns.map((column) => [column.fieldId, column]));
    return columns.every((column) => {
      const own = planned.get(column.fieldId);
      return own !== undefined && isSameColumn(own, column);
    });
  }

  /** What a commit of files with these columns adds to the table: without gaps, as field ids only grow. */
  forCommit(columns: readonly TypedColumn[]): readonly TypedColumn[] {
    const highest = Math.max(0, ...columns.map((column) => column.fieldId));
    const committed = new Set(this.#committed.map((column) => column.fieldId));
    const pending = this.#columns.filter((column) => column.fieldId <= highest && !committed.has(column.fieldId));
    const all = new Map([...columns, ...pending].map((column) => [column.fieldId, column]));
    return [...all.values()];
  }
}
