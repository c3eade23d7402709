/** Table properties that are rows in JSON. */
import { LakeError } from '../kernel/index.js';

/** What cannot be read of a table property. */
export function corruptProperty(property: string, cause?: unknown): LakeError {
  return new LakeError('table-corrupt', `the table property ${property} cannot be read`, { cause, facts: { property } });
}

/** The rows of a property; none where it is absent. Errors: `table-corrupt`. */
export function parseRows(property: string, text: string | undefined): readonly unknown[] {
  if (text === undefined) return [];
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (cause) {
    throw corruptProperty(property, cause);
  }
  if (!Array.isArray(rows)) throw corruptProperty(property);
  return rows as readonly unknown[];
}
