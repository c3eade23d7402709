/**
 * What a filter on an expression over `_timestamp` says of the timestamps: the calendar forms in which people group and ask by time.
 * Each form that is understood gives a time at or before its timestamp and less than a width apart from it, so a bound of the one is a
 * bound of the other, widened by that. Engines run in UTC.
 */
import { everything, type Interval } from './ranges.js';
import { comparison, constantOf, isJsonObject, type JsonObject, type JsonValue, valueOf } from './scan-plan.js';

const minuteMicros = 60_000_000;
const hourMicros = 60 * minuteMicros;
const dayMicros = 24 * hourMicros;
/** Days from 1970 within which microseconds are exact; in 2243. */
const exactDaysMax = 100_000;

interface Truncation {
  /** A timestamp lies less than this beyond what is made of it; 0: it is the timestamp. */
  readonly width: number;
  /** Whether what is made of it is a multiple of the width, counted from 1970. */
  readonly isGrid: boolean;
}

const none: Truncation = { width: 0, isGrid: true };

const grid = (width: number): Truncation => ({ width, isGrid: true });
/** Whose longest is so long. */
const uneven = (width: number): Truncation => ({ width, isGrid: false });

/** By the name of `date_trunc`'s part. */
const parts: ReadonlyMap<string, Truncation> = new Map([
  ['millisecond', grid(1000)],
  ['milliseconds', grid(1000)],
  ['second', grid(1_000_000)],
  ['minute', grid(minuteMicros)],
  ['hour', grid(hourMicros)],
  ['day', grid(dayMicros)],
  ['week', uneven(7 * dayMicros)],
  ['month', uneven(31 * dayMicros)],
  ['quarter', uneven(92 * dayMicros)],
  ['year', uneven(366 * dayMicros)],
]);

const casts: ReadonlyMap<string, Truncation> = new Map([
  ['DATE', grid(dayMicros)],
  ['TIMESTAMP', none],
  ['TIMESTAMP WITH TIME ZONE', none],
]);

/** In microseconds from 1970, as the plan's constants are. What is not understood is `everything`. */
export function timesOf(expression: JsonObject): Interval {
  switch (expression['expression_class']) {
    case 'BOUND_COMPARISON':
      return widened(truncationOf(expression['left']), valuesOf(expression['type'], expression['right']));
    case 'BOUND_BETWEEN': {
      // Either end as if it were included.
      const { min } = valuesOf('COMPARE_GREATERTHANOREQUALTO', expression['lower']);
      const { max } = valuesOf('COMPARE_LESSTHANOREQUALTO', expression['upper']);
      return widened(truncationOf(expression['input']), { min, max });
    }
    default:
      return everything;
  }
}

function widened(truncation: Truncation | undefined, { min, max }: Interval): Interval {
  if (truncation === undefined) return everything;
  const { width, isGrid } = truncation;
  if (width === 0) return { min, max };
  const last = isGrid && Number.isFinite(max) ? Math.floor(max / width) * width : max;
  const first = isGrid && Number.isFinite(min) ? Math.ceil(min / width) * width : min;
  return { min: first, max: last + width - 1 };
}

function truncationOf(expression: JsonValue | undefined): Truncation | undefined {
  if (!isJsonObject(expression)) return undefined;
  if (expression['type'] === 'BOUND_REF') return none;
  const { children, child, name, return_type: type } = expression;
  if (expression['type'] === 'OPERATOR_CAST') {
    const inner = expression['try_cast'] === false ? truncationOf(child) : undefined;
    return after(inner, isJsonObject(type) && typeof type['id'] === 'string' ? casts.get(type['id']) : undefined);
  }
  if (expression['type'] !== 'BOUND_FUNCTION' || !Array.isArray(children) || children.length !== 2) return undefined;
  const [by, of] = children as readonly JsonValue[];
  if (name === 'date_trunc') return after(truncationOf(of), partOf(by));
  return name === 'time_bucket' ? after(truncationOf(of), bucketOf(by)) : undefined;
}

/** First the inner one, then the outer. */
function after(inner: Truncation | undefined, outer: Truncation | undefined): Truncation | undefined {
  if (inner === undefined || outer === undefined) return undefined;
  if (inner.width === 0) return outer;
  if (outer.width === 0) return inner;
  if (inner.isGrid && outer.isGrid && outer.width % inner.width === 0) return outer;
  return uneven(inner.width + outer.width);
}

function partOf(part: JsonValue | undefined): Truncation | undefined {
  const name = valueOf(constantIn(part), 'VARCHAR');
  return typeof name === 'string' ? parts.get(name.toLowerCase()) : undefined;
}

/** Buckets of months begin with a month, others are counted from a Monday. */
function bucketOf(interval: JsonValue | undefined): Truncation | undefined {
  const width = valueOf(constantIn(interval), 'INTERVAL');
  if (!isJsonObject(width)) return undefined;
  const { months, days, micros } = width;
  if (typeof months !== 'number' || typeof days !== 'number' || typeof micros !== 'number') return undefined;
  if (months < 0 || days < 0 || micros < 0) return undefined;
  if (months > 0) return days === 0 && micros === 0 ? uneven(months * 31 * dayMicros) : undefined;
  const fixed = days * dayMicros + micros;
  if (fixed === 0) return undefined;
  return dayMicros % fixed === 0 ? grid(fixed) : uneven(fixed);
}

function valuesOf(operator: JsonValue | undefined, side: JsonValue | undefined): Interval {
  const value = constantIn(side);
  const day = constantOf(value, 'DATE');
  if (day === undefined) return comparison(operator, constantOf(value, 'TIMESTAMP WITH TIME ZONE') ?? constantOf(value, 'TIMESTAMP'));
  if (Math.abs(day) > exactDaysMax) return everything;
  const { min, max } = comparison(operator, day);
  return { min: min * dayMicros, max: max * dayMicros };
}

function constantIn(expression: JsonValue | undefined): JsonValue | undefined {
  return isJsonObject(expression) && expression['type'] === 'VALUE_CONSTANT' ? expression['value'] : undefined;
}
