/** What a saved view may be. A name means one thing: no view has a topic's, and no topic a view's. */
import type { SavedView } from '../control/index.js';
import { isTopicName, KiB, LakeError } from '../kernel/index.js';

/** Every query is told of all views: half a MiB of text takes it a few milliseconds. */
const sqlCharsMax = 32 * KiB;
const sqlCharsOfAllMax = 512 * KiB;
const descriptionCharsMax = 2 * KiB;
const viewsMax = 500;

/** Names that SQL needs for itself. */
const reservedNames: ReadonlySet<string> = new Set(['system', 'latest']);

/** The views with this one among them, by name. Errors: `view-invalid`, `view-exists`. */
export function withView(view: SavedView, views: readonly SavedView[], topics: Iterable<{ readonly name: string }>): readonly SavedView[] {
  requireViewShape(view);
  const lower = view.name.toLowerCase();
  for (const { name } of topics) {
    if (name.toLowerCase() === lower) throw taken(view.name, `a topic has it (${name})`);
  }
  const others = views.filter(({ name }) => name !== view.name);
  const alike = others.find(({ name }) => name.toLowerCase() === lower);
  if (alike !== undefined) throw taken(view.name, `it differs from the view ${alike.name} only in case`);
  if (others.length >= viewsMax) throw refused(view.name, `there are ${viewsMax} views, which is the limit`, 'Drop one that is not used.');
  const chars = others.reduce((sum, { sql }) => sum + sql.length, view.sql.length);
  if (chars > sqlCharsOfAllMax)
    throw refused(view.name, `the views together would have ${chars} characters of SQL; ${sqlCharsOfAllMax} are the limit`, 'Drop one.');
  return [...others, view].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function requireViewShape({ name, sql, description }: SavedView): void {
  const legal = typeof name === 'string' && isTopicName(name) && !reservedNames.has(name.toLowerCase()) && !name.startsWith('__');
  if (!legal)
    throw refused(
      name.slice(0, 260),
      'its name cannot be used',
      'Use 1 to 249 of the characters a-z A-Z 0-9 . _ -, not two underscores first, and neither "system" nor "latest".',
    );
  if (typeof sql !== 'string' || sql.trim() === '') throw refused(name, 'it has no SQL', 'Give one SELECT.');
  if (sql.length > sqlCharsMax)
    throw refused(
      name,
      `its SQL has ${sql.length} characters; ${sqlCharsMax} are the limit`,
      'Split it into views that build on each other.',
    );
  if (description !== undefined && (typeof description !== 'string' || description.length > descriptionCharsMax))
    throw refused(name, `its description is no text of at most ${descriptionCharsMax} characters`, 'Shorten it.');
}

/** Errors: `topic-name-invalid` where a view has the name, in any case. */
export function requireNoView(topic: string, views: readonly SavedView[]): void {
  const lower = topic.toLowerCase();
  const view = views.find(({ name }) => name.toLowerCase() === lower);
  if (view === undefined) return;
  throw new LakeError('topic-name-invalid', `topic name "${topic}" cannot be used: it is the name of a saved view`, {
    hint: `Choose another name, or drop the view: DELETE /v1/views/${view.name}.`,
    facts: { topic, view: view.name },
  });
}

export function isSavedView(value: unknown): value is SavedView {
  const view = value as Partial<Record<keyof SavedView, unknown>> | null;
  return (
    typeof view?.name === 'string' &&
    typeof view.sql === 'string' &&
    typeof view.savedMs === 'number' &&
    (view.description === undefined || typeof view.description === 'string')
  );
}

function refused(view: string, why: string, hint: string): LakeError {
  return new LakeError('view-invalid', `the view ${view} cannot be saved: ${why}`, { hint, facts: { view } });
}

function taken(view: string, why: string): LakeError {
  return new LakeError('view-exists', `the name ${view} cannot be a view's: ${why}`, { hint: 'Choose another name.', facts: { view } });
}
