/**
 * `latest(topic)`: the last record of each key as a table. "Last" is by offset within a partition; where a key stands in several
 * partitions, of their last records the one that comes last by (`_timestamp`, partition, offset). Where that one is a tombstone (its
 * value is null) the key is not there. Records without a key never are.
 *
 * In a text `latest(flights)` becomes `latest.flights`, a view in a schema of that name: as many bytes, so positions stay right.
 */
import { quoteName } from '../columns/index.js';
import { LakeError } from '../kernel/index.js';
import { isJsonObject, type JsonObject, type JsonValue } from './scan-plan.js';

/** Schema of the views that stand for calls. */
export const latestSchema = 'latest';

const hint = 'Write latest(topic) or latest("topic-with-dashes").';

/** Whether a table function's call is one of ours. */
export function isLatestCall(name: string): boolean {
  return name.toLowerCase() === latestSchema;
}

/** The topic a call names. Errors: `query-invalid`. */
export function topicOfLatest(node: JsonObject): { readonly name: string; readonly position: number } {
  const call = node['function'];
  const position = positionOf(node);
  const [argument, ...more] = isJsonObject(call) && Array.isArray(call['children']) ? (call['children'] as readonly JsonValue[]) : [];
  const name = isJsonObject(argument) && argument['alias'] === '' && more.length === 0 ? nameOf(argument) : undefined;
  if (name === undefined || node['with_ordinality'] === 'WITH_ORDINALITY') {
    throw new LakeError('query-invalid', 'latest takes the name of one topic', { hint, facts: { position } });
  }
  return { name, position };
}

function positionOf(node: JsonObject): number {
  return typeof node['query_location'] === 'number' ? node['query_location'] : 0;
}

function nameOf(argument: JsonObject): string | undefined {
  if (argument['class'] === 'COLUMN_REF') {
    const names = argument['column_names'];
    return Array.isArray(names) && names.length === 1 && typeof names[0] === 'string' ? names[0] : undefined;
  }
  const value = argument['class'] === 'CONSTANT' ? argument['value'] : undefined;
  const text = isJsonObject(value) ? value['value'] : undefined;
  return typeof text === 'string' ? text : undefined;
}

const space = String.raw`(?:\s|--[^\n]*(?:\n|$)|/\*[\s\S]*?\*/)*`;
const callPattern = new RegExp(String.raw`^("latest"|latest)(${space})\((${space})([\w$]+|"[^"]+"|'[^'"]+')(${space})\)`, 'i');

/**
 * The text with a call made a view's name, in place. `bytes` is the statement's text as UTF-8. Errors: `query-invalid` where the
 * call is written in a way that is not understood.
 */
export function patchLatestCall(bytes: Buffer, position: number): void {
  // One byte a character, so that places in the text are places in the buffer.
  const found = callPattern.exec(bytes.toString('latin1', position));
  if (found === null) throw new LakeError('query-invalid', 'latest takes the name of one topic', { hint, facts: { position } });
  const [call, word = '', before = '', after = '', argument = ''] = found;
  const quoted = argument.startsWith("'") ? `"${argument.slice(1, -1)}"` : argument;
  bytes.write(
    `${word}${before}.${after}${quoted}${call.slice(word.length + before.length + 1 + after.length + argument.length, -1)} `,
    position,
    'latin1',
  );
}

/** The view over a relation that has the topic's columns and at least the last record of each key and partition. */
export function latestView(topic: string, source: string): string {
  const ofPartition = 'QUALIFY row_number() OVER (PARTITION BY _key, _partition_id ORDER BY _offset DESC) = 1';
  const ofKey = 'QUALIFY row_number() OVER (PARTITION BY _key ORDER BY _timestamp DESC, _partition_id DESC, _offset DESC) = 1';
  return (
    `CREATE VIEW ${latestSchema}.${quoteName(topic)} AS SELECT * FROM (SELECT * FROM (SELECT * FROM main.${quoteName(source)} ` +
    `WHERE _key IS NOT NULL ${ofPartition}) ${ofKey}) WHERE _value IS NOT NULL`
  );
}

/** Name of the relation that `latest(topic)` is computed from; no topic can have it. */
export function latestSource(topic: string): string {
  return `latest(${topic})`;
}
