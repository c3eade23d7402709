/** DuckDB's errors as ours. Engines run with `errors_as_json`, so kind and position need not be cut out of prose. */
import { type ErrorCode, LakeError } from '../kernel/index.js';
import { adviceFor, type DuckDBError, missingColumnOf } from './error-advice.js';

interface Meaning {
  readonly code: ErrorCode;
  readonly hint?: string;
}

const invalid: Meaning = { code: 'query-invalid' };

const meanings: Readonly<Record<string, Meaning>> = {
  'out of memory': {
    code: 'query-too-large',
    hint: 'Ask for less at once, or raise query.memory.bytes.',
  },
  'permission': { code: 'query-forbidden', hint: 'Ask one read-only SELECT over topics.' },
  'io': { code: 'cold-unavailable', hint: 'Try again; if it stays, look at the disk under data.dir and at the bucket.' },
  'interrupt': { code: 'cancelled' },
  'internal': { code: 'internal' },
  'fatal': { code: 'internal' },
};

/** From the text of whatever DuckDB threw. */
export function queryError(text: string, cause?: unknown): LakeError {
  const error = parsed(text);
  const kind = (error.exception_type ?? '').toLowerCase();
  const { code, hint } = meanings[kind] ?? invalid;
  const [message = ''] = (error.exception_message ?? text).split('\n').filter((line) => line.trim() !== '');
  const advice = spillAdvice(message) ?? hint ?? adviceFor(error, message);
  const position = Number(error.position);
  const isLocated = error.position !== undefined && Number.isFinite(position);
  const missingColumn = missingColumnOf(error, message);
  const facts = { ...(isLocated ? { position } : {}), ...(missingColumn === undefined ? {} : { missingColumn }) };
  return new LakeError(code, message, {
    ...(advice === undefined ? {} : { hint: advice }),
    ...(Object.keys(facts).length === 0 ? {} : { facts }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** DuckDB has one kind of error for memory and for the disk that stands in for it. */
function spillAdvice(message: string): string | undefined {
  if (!/max_temp_directory_size|offload/i.test(message)) return undefined;
  return 'Memory and the disk to spill to were both full: ask for less at once, or raise query.spill.max.bytes or query.memory.bytes.';
}

function parsed(text: string): DuckDBError {
  const brace = text.indexOf('{');
  if (brace >= 0 && brace < 40) {
    try {
      return JSON.parse(text.slice(brace)) as DuckDBError;
    } catch {
      // An older form, in prose.
    }
  }
  const prose = /^([A-Za-z ]+?) Error: (.*)$/s.exec(text);
  return prose === null ? {} : { exception_type: prose[1] ?? '', exception_message: prose[2] ?? '' };
}
