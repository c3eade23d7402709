/** The topics that an expression selects, looked for a bit at a time: neither an expression nor many topics may keep a broker busy. */
import type { TopicView } from './subscriptions.js';
import type { PatternWalk, TopicPattern } from './topic-pattern.js';

/** All names there are, as of one revision of the topics, and how far they have been looked at. */
interface Search {
  readonly revision: number;
  readonly names: readonly string[];
  readonly found: string[];
  readonly walk: PatternWalk;
  at: number;
  isWithin: boolean;
}

export class PatternTopics {
  /** What it selected before the broker was started, as far as that is known: instead of `names`, until there are any. */
  readonly remembered = new Set<string>();
  readonly #pattern: TopicPattern;
  #names: readonly string[] | undefined;
  #revision = -1;
  #search: Search | undefined;

  constructor(pattern: TopicPattern) {
    this.#pattern = pattern;
  }

  /** As of the last search that came to its end; `undefined` before the first. Some may be gone since. */
  get names(): readonly string[] | undefined {
    return this.#names;
  }

  /** As of which revision of the topics the names are. */
  get revision(): number {
    return this.#revision;
  }

  /** Searches on until it is done or has done so much (`PatternWalk.work`); returns what it did. */
  searchOn(topics: TopicView, workMax: number): number {
    if (this.#search === undefined && this.#revision === topics.revision) return 0;
    const search = (this.#search ??= {
      revision: topics.revision,
      names: [...topics.names()],
      found: [],
      walk: this.#pattern.walk(),
      at: 0,
      isWithin: false,
    });
    const { names, found, walk } = search;
    const before = walk.work;
    const end = before + workMax;
    for (; search.at < names.length && walk.work < end; search.at++) {
      const name = names[search.at]!;
      if (!search.isWithin) walk.begin(name);
      const isMatch = walk.goOn(end - walk.work);
      search.isWithin = isMatch === undefined;
      if (search.isWithin) break;
      if (isMatch === true) found.push(name);
    }
    if (search.at === names.length) {
      this.#names = found;
      this.#revision = search.revision;
      this.#search = undefined;
    }
    return walk.work - before;
  }
}
