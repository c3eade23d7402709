/** Times as people and programs give them, the same wherever one is asked for. */
import type { TimestampMs } from './ids.js';

/** ISO 8601 (with a zone; without one it is UTC) or epoch milliseconds; `undefined` for anything else. */
export function parseTimeText(text: string): TimestampMs | undefined {
  if (/^-?\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
  if (!/^\d{4}-\d{2}/.test(text)) return undefined;
  const hasZone = /(?:[zZ]|[+-]\d{2}:?\d{2})$/.test(text);
  const ms = Date.parse(hasZone || !text.includes('T') ? text : `${text}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
