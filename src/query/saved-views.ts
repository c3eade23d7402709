/**
 * Saved views in a query: a name that is no topic's is looked up among them, and becomes a view of the engine's catalogue, before the
 * analysis and again before the run. So what a view reads is pinned, covered by the token and pruned as if its text stood there.
 */
import { quoteName } from '../columns/index.js';
import type { BrokerState, SavedView } from '../control/index.js';
import { isLakeError, LakeError, nearestName } from '../kernel/index.js';
import type { Definition, ParsedStatement } from './engine-protocol.js';
import type { TableReference } from './statement.js';

/** Views over views over views …: beyond this it is no longer anybody's intention. */
const depthMax = 16;
/** DuckDB plans a view anew each time it is named. */
const expansionsMax = 200;

export interface Expansion {
  /** The statement as it would be with all views written out: each topic and system table as often as it would be named then. */
  readonly statement: ParsedStatement;
  /** In an order in which they can be made. */
  readonly views: readonly Definition[];
}

/**
 * Errors: `view-invalid`, and `query-too-large` where views name views far too often. Of a view that is only tried, the text's own errors
 * come as they are: their places are those of what was sent.
 */
export async function expandViews(
  statement: ParsedStatement,
  broker: BrokerState,
  parse: (sql: string) => Promise<ParsedStatement>,
  tried?: SavedView,
): Promise<Expansion> {
  if (broker.views.length === 0) return { statement, views: [] };
  const isTopic = namesOf(broker.topics.filter((topic) => !topic.isInternal));
  const views = new Map(broker.views.map((view) => [view.name.toLowerCase(), view]));
  const found: TableReference[] = [];
  const made = new Map<string, Definition>();
  const texts: ParsedStatement[] = [statement];
  let expansions = 0;

  const visit = async (table: TableReference, path: readonly SavedView[]): Promise<void> => {
    const lower = table.name.toLowerCase();
    const view = table.isSystem || isTopic.has(lower) ? undefined : views.get(lower);
    if (view !== undefined && table.isLatest === true) {
      throw unusable(view, `latest takes a topic, and ${view.name} is a view`, table.position);
    }
    if (view === undefined) {
      const [inner] = path.slice(-1);
      if (inner === undefined) return void found.push(table);
      requireKnown(inner, table, isTopic, broker);
      // Where it stands in the view's text is nowhere in the question's.
      return void found.push({ ...table, position: 0 });
    }
    if (path.includes(view)) {
      const names = [...path.slice(path.indexOf(view)), view].map(({ name }) => name);
      throw unusable(view, `views refer to each other in a circle (${names.join(' → ')})`);
    }
    if (path.length >= depthMax) throw unusable(view, `views are built on each other ${depthMax} deep, which is the limit`);
    if (++expansions > expansionsMax) {
      throw new LakeError('query-too-large', `the views of the query name views more than ${expansionsMax} times`, {
        hint: 'Build them on fewer views.',
      });
    }
    const parsed = view === tried ? await parse(view.sql) : await parsedView(view, parse);
    if (parsed.parameters.length > 0) throw unusable(view, 'it has parameters');
    for (const inner of parsed.tables) await visit(inner, [...path, view]);
    if (made.has(lower)) return;
    // Of a view that is tried, what is wrong must point to a place in its own text.
    made.set(lower, definitionOf(view.name, view === tried ? parsed.sql : (parsed.runSql ?? parsed.sql)));
    texts.push(parsed);
  };
  for (const table of statement.tables) await visit(table, []);
  return {
    statement: {
      ...statement,
      tables: found,
      isRepeatable: texts.every((text) => text.isRepeatable),
      isCompound: found.length > 1 || texts.some((text) => text.isCompound),
    },
    views: [...made.values()],
  };
}

function namesOf(named: readonly { readonly name: string }[]): ReadonlySet<string> {
  return new Set(named.map(({ name }) => name.toLowerCase()));
}

async function parsedView(view: SavedView, parse: (sql: string) => Promise<ParsedStatement>): Promise<ParsedStatement> {
  try {
    return await parse(view.sql);
  } catch (error) {
    if (!isLakeError(error, 'query-invalid', 'query-forbidden', 'unsupported')) throw error;
    throw unusable(view, error.message, undefined, error);
  }
}

function definitionOf(name: string, sql: string): Definition {
  // The text ends where its statement does; a comment at its end must not swallow what follows.
  return { name, create: `CREATE VIEW main.${quoteName(name)} AS ${sql}\n`, drop: `DROP VIEW main.${quoteName(name)}` };
}

function requireKnown(view: SavedView, table: TableReference, topics: ReadonlySet<string>, broker: BrokerState): void {
  if (table.isSystem || topics.has(table.name.toLowerCase())) return;
  const near = nearestName(
    table.name,
    [...broker.topics, ...broker.views].map(({ name }) => name),
  );
  const suggestion = near === undefined ? '' : `; did you mean ${near}?`;
  throw unusable(view, `there is neither a topic nor a view ${table.name}${suggestion}`);
}

function unusable(view: SavedView, why: string, position?: number, cause?: unknown): LakeError {
  return new LakeError('view-invalid', `the view ${view.name} cannot be used: ${why}`, {
    hint: `Save it anew (PUT /v1/views/${view.name}).`,
    facts: { view: view.name, ...(position === undefined ? {} : { position }) },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Why DuckDB cannot make a view. Its places are those of the view's text. */
export function viewError(view: string, error: LakeError): LakeError {
  return new LakeError('view-invalid', `the view ${view} cannot be used: ${error.message}`, {
    hint: error.hint ?? `Save it anew (PUT /v1/views/${view}).`,
    facts: { view },
    cause: error,
  });
}
