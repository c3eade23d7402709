/** Which relations of a topic a statement reads, with its views written out: its log, the last record of each key, or both. */
import { quoteName } from '../columns/index.js';
import type { Definition } from './engine-protocol.js';
import { latestSchema, latestSource, latestView } from './latest.js';
import type { PinnedTopic } from './pin.js';
import type { TableReference } from './statement.js';

export class NamedRelations {
  /** How often each is named; in lower case, as names are looked up. */
  readonly #counts = new Map<string, number>();

  constructor(tables: readonly TableReference[]) {
    for (const { name, isSystem, isLatest } of tables) {
      if (isSystem) continue;
      const relation = (isLatest === true ? latestSource(name) : name).toLowerCase();
      this.#counts.set(relation, (this.#counts.get(relation) ?? 0) + 1);
    }
  }

  of({ state }: PinnedTopic): string[] {
    const named = [state.name, latestSource(state.name)].filter((name) => this.timesNamed(name) > 0);
    return named.length === 0 ? [state.name] : named;
  }

  readsLatest({ state }: PinnedTopic): boolean {
    return this.timesNamed(latestSource(state.name)) > 0;
  }

  /** And its log not at all. */
  readsLatestOnly(topic: PinnedTopic): boolean {
    return this.readsLatest(topic) && this.of(topic).length === 1;
  }

  timesNamed(relation: string): number {
    return this.#counts.get(relation.toLowerCase()) ?? 0;
  }
}

/** The view of `latest(topic)` over its source. */
export function latestDefinition(topic: string): Definition {
  const drop = `DROP VIEW ${latestSchema}.${quoteName(topic)}`;
  return { name: topic, create: latestView(topic, latestSource(topic)), drop };
}
