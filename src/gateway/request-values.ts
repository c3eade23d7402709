/** Values as requests carry them in texts: numbers, times, bytes. */
import { LakeError, parseTimeText } from '../kernel/index.js';
import type { Context } from 'hono';

/** Errors: `request-invalid`. */
export function whole(c: Context, name: string): number | undefined {
  const text = c.req.query(name);
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new LakeError('request-invalid', `${name}=${text} is not a whole number`, { hint: `Give ${name} as digits.` });
  }
  return value;
}

/** ISO 8601 (with a zone; without one it is UTC) or epoch milliseconds. */
export function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const ms = parseTimeText(text);
  if (ms === undefined) {
    throw new LakeError('request-invalid', `${name}=${text} is not a time`, {
      hint: `Give ${name} as 2001-03-04T05:06:07Z or as epoch milliseconds.`,
    });
  }
  return ms;
}

/** Of base64 in either alphabet; `undefined` where it is none: Node's decoder skips what it does not know, so its result is compared. */
export function base64Bytes(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  const sent = text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replace(/={1,2}$/, '');
  return bytes.toString('base64').replace(/=+$/, '') === sent ? bytes : undefined;
}
