// What the soak puts into its topics: record `n` of a topic is a pure function of `n`, so the model needs to remember no bytes,
// only which number lies at which offset.

/** Well mixed 32 bits of a number (the finalizer of MurmurHash3). */
export function mixed(n: number, salt: number): number {
  let h = Math.imul(n ^ salt, 0x9e3779b1) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return (h ^ (h >>> 16)) >>> 0;
}

export interface Content {
  readonly n: number;
  readonly key: string | null;
  /** Null is a tombstone. */
  readonly value: string | null;
  readonly timestampMs: number;
  /** Of a JSON object; undefined where the value is none. */
  readonly fields: { readonly amount: number; readonly region: string } | undefined;
}

export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly keys: number;
  /** Different in each topic and each run. */
  readonly salt: number;
  /** When record 0 is from; the others follow at the topic's rate, a few seconds out of order. */
  readonly firstMs: number;
}

const disorderMs = 3000;
/** A new set of fields comes with so many records. */
const shapeRecords = 2500;
const regions = ['north', 'east', 'south', 'west', 'Ünïcode'];
const letters = 'the quick brown fox jumps over the lazy dog '.repeat(8);

/** Values whose kind changes from record to record: the column is always a mix. */
function mixedValue(n: number, hash: number): unknown {
  switch (n % 5) {
    case 0:
      return hash % 1000;
    case 1:
      return (hash % 1000) / 8;
    case 2:
      return `text ${hash % 50}`;
    case 3:
      return hash % 2 === 0;
    default:
      return { nested: [hash % 10, null] };
  }
}

function objectOf(n: number, hash: number, amount: number, region: string): string {
  const shape = Math.floor(n / shapeRecords);
  const object: Record<string, unknown> = { n, amount, region, mixed: mixedValue(n, hash), Noise: hash % 7 };
  // Comes with one shape, changes its kind with the next ones, and goes.
  object[`late_${shape % 40}`] = shape % 3 === 0 ? n : shape % 3 === 1 ? String(n) : n / 4;
  if (hash % 3 === 0) object['noise'] = 'differs in case only';
  object['pad'] = letters.slice(hash % 40, (hash % 40) + (hash % 300));
  return `${JSON.stringify(object).slice(0, -1)},"big":${bigOf(n)}}`;
}

/** A whole number that no double holds. */
export function bigOf(n: number): bigint {
  return 2n ** 53n + 1n + BigInt(n);
}

export function keyOf(plan: TopicPlan, n: number): string | null {
  return n % 97 === 11 ? null : `k${mixed(n, plan.salt + 1) % plan.keys}`;
}

export function timestampOf(plan: TopicPlan, n: number): number {
  return plan.firstMs + Math.floor((n * 1000) / plan.recordsPerSecond) + (mixed(n, plan.salt + 2) % (2 * disorderMs)) - disorderMs;
}

export function isTombstone(n: number): boolean {
  return n % 23 === 7;
}

/** The numbers of a record that questions are about, without its bytes. */
export function fieldsOf(plan: TopicPlan, n: number): Content['fields'] {
  if (isTombstone(n) || n % 101 === 50 || n % 103 === 51) return undefined;
  const hash = mixed(n, plan.salt);
  return { amount: hash % 1000, region: regions[hash % regions.length]! };
}

export function contentOf(plan: TopicPlan, n: number): Content {
  const fields = fieldsOf(plan, n);
  const common = { n, key: keyOf(plan, n), timestampMs: timestampOf(plan, n), fields };
  if (fields !== undefined) return { ...common, value: objectOf(n, mixed(n, plan.salt), fields.amount, fields.region) };
  return { ...common, value: isTombstone(n) ? null : n % 101 === 50 ? '{"n": not json' : `[${n}, "a list"]` };
}
