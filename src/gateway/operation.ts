/**
 * What a route says of itself, in words and JSON Schema. Each route file has the operations of its routes beside what checks them, with the
 * same constants; `openapi.ts` makes one document of all.
 */
import type { ErrorCode } from '../kernel/index.js';

/** JSON Schema 2020-12. */
export type Schema = Readonly<Record<string, unknown>>;

export interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly description: string;
  readonly schema: Schema;
  readonly example?: string;
}

export interface Content {
  readonly schema: Schema;
  /** Of the media types that have a document a line: the schema of each. */
  readonly line?: Schema;
  readonly example?: unknown;
}

export interface Answer {
  readonly description: string;
  /** By media type; none for an answer without a body. */
  readonly content?: Readonly<Record<string, Content>>;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: Schema }>>;
}

export type Tag = 'query' | 'topics' | 'records' | 'views' | 'tier' | 'catalog' | 'service';

export interface Operation {
  readonly id: string;
  readonly tag: Tag;
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** With `{name}` for what varies. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  /** By media type. */
  readonly body?: Readonly<Record<string, Content>>;
  /** By status. */
  readonly answers: Readonly<Record<string, Answer>>;
  /** Beside those that follow from the rest, see `problemsOf`. */
  readonly problems?: readonly ErrorCode[];
  /** Answered without the token. */
  readonly isPublic?: boolean;
}

export const ndjson = 'application/x-ndjson';

/** A schema of `components.schemas`. */
export function shared(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

export function text(description?: string, more: Schema = {}): Schema {
  return { type: 'string', ...(description === undefined ? {} : { description }), ...more };
}

/** At least zero; offsets and sizes are below 2^53. */
export function count(description?: string): Schema {
  return { type: 'integer', minimum: 0, ...(description === undefined ? {} : { description }) };
}

export function flag(description?: string): Schema {
  return { type: 'boolean', ...(description === undefined ? {} : { description }) };
}

export function list(items: Schema, description?: string): Schema {
  return { type: 'array', items, ...(description === undefined ? {} : { description }) };
}

/** `optional` fields may be left out. */
export function object(fields: Readonly<Record<string, Schema>>, optional: Readonly<Record<string, Schema>> = {}): Schema {
  const required = Object.keys(fields);
  return { type: 'object', properties: { ...fields, ...optional }, ...(required.length === 0 ? {} : { required }) };
}

/** Any names, each with a value of one kind. */
export function mapOf(values: Schema, description?: string): Schema {
  return { type: 'object', additionalProperties: values, ...(description === undefined ? {} : { description }) };
}

export function orNull(schema: Schema): Schema {
  return { ...schema, type: [schema['type'], 'null'] };
}

export function json(schema: Schema, example?: unknown): Record<string, Content> {
  return { 'application/json': { schema, ...(example === undefined ? {} : { example }) } };
}

/** A document of `line` a line. */
export function lines(line: Schema, example?: unknown): Record<string, Content> {
  return { [ndjson]: { schema: text('a JSON document a line'), line, ...(example === undefined ? {} : { example }) } };
}

export function query(name: string, description: string, schema: Schema = { type: 'string' }): Parameter {
  return { in: 'query', name, description, schema };
}

export function inPath(name: string, description: string, example: string): Parameter {
  return { in: 'path', name, description, schema: { type: 'string' }, example };
}

export const topicInPath = inPath('topic', 'name of a topic', 'flights');
/** Of the commands that take one topic or all. */
export const topicInQuery = query('topic', 'only this topic; all tiered ones where left out');
export const asOf = query('as_of', 'a time (ISO 8601 or epoch ms) or the snapshot of an earlier answer');
