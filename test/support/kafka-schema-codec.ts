/**
 * A second codec that interprets Apache Kafka's own message schemas (`schemas-4.4.json`), sharing nothing with `src/wire`: it wrote
 * the golden bytes, and the tests compare the compiled codec with it wherever the schemas are at hand. Correct before fast.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface SchemaField {
  readonly name: string;
  readonly type: string;
  readonly versions?: string;
  readonly nullableVersions?: string;
  readonly taggedVersions?: string;
  readonly tag?: number;
  readonly default?: string | number | boolean;
  readonly ignorable?: boolean;
  readonly entityType?: string;
  readonly flexibleVersions?: string;
  readonly fields?: readonly SchemaField[];
}

export interface SchemaMessage {
  readonly name: string;
  readonly type: string;
  readonly apiKey?: number;
  readonly validVersions: string;
  readonly flexibleVersions: string;
  readonly fields: readonly SchemaField[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly SchemaField[] }[];
}

export type SchemaValue = Readonly<Record<string, unknown>>;

/** Where the schemas lie beside a checkout; they are no part of the project. */
export const schemasPath = fileURLToPath(new URL('../../../shared/kafka/schemas-4.4.json', import.meta.url));
export const hasSchemas = existsSync(schemasPath);

let loaded: Record<string, SchemaMessage> | undefined;

export function schemaOf(messageName: string): SchemaMessage {
  loaded ??= JSON.parse(readFileSync(schemasPath, 'utf8')) as Record<string, SchemaMessage>;
  const schema = loaded[`${messageName}.json`];
  if (schema === undefined) throw new Error(`no schema of ${messageName}`);
  return schema;
}

export function inRange(range: string | undefined, version: number): boolean {
  if (range === undefined || range === 'none') return false;
  const match = /^(\d+)(\+|-(\d+))?$/.exec(range);
  if (match === null) throw new Error(`not a range: ${range}`);
  const first = Number(match[1]);
  const last = match[2] === '+' ? Number.POSITIVE_INFINITY : match[3] === undefined ? first : Number(match[3]);
  return version >= first && version <= last;
}

export const memberName = (field: SchemaField): string => field.name.charAt(0).toLowerCase() + field.name.slice(1);
export const elementType = (type: string): string => (type.startsWith('[]') ? type.slice(2) : type);
const isStruct = (type: string): boolean => /^[A-Z]/.test(type);

export function membersOf(schema: SchemaMessage, field: SchemaField): readonly SchemaField[] {
  if (field.fields !== undefined) return field.fields;
  const named = schema.commonStructs?.find((s) => s.name === elementType(field.type));
  if (named !== undefined) return named.fields;
  return findStruct(schema.fields, elementType(field.type)) ?? [];
}

function findStruct(fields: readonly SchemaField[], name: string): readonly SchemaField[] | undefined {
  for (const field of fields) {
    if (elementType(field.type) === name && field.fields !== undefined) return field.fields;
    const inner = field.fields === undefined ? undefined : findStruct(field.fields, name);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** A field's default as the decoded value it stands for. */
export function schemaDefault(schema: SchemaMessage, field: SchemaField): unknown {
  const given = field.default;
  if (given === 'null') return null;
  if (field.type.startsWith('[]')) return [];
  if (isStruct(field.type)) {
    return Object.fromEntries(membersOf(schema, field).map((member) => [memberName(member), schemaDefault(schema, member)]));
  }
  switch (field.type) {
    case 'bool':
      return String(given) === 'true';
    case 'string':
      return given ?? '';
    case 'bytes':
      return Buffer.alloc(0);
    case 'records':
      return null;
    case 'uuid':
      return 'AAAAAAAAAAAAAAAAAAAAAA';
    case 'int64':
      return field.entityType === 'producerId' ? BigInt(given === undefined ? 0 : String(given)) : safeNumber(given);
    default:
      return Number(given ?? 0);
  }
}

/** What lies beyond what a number holds exactly is read as the largest number that does. */
function safeNumber(given: SchemaField['default']): number {
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number(given ?? 0), Number.MAX_SAFE_INTEGER));
}

/** Encodes the body of a message at a version; the value holds every field that is on the wire there. */
export function encodeBySchema(schema: SchemaMessage, version: number, value: SchemaValue): Buffer {
  const isFlexible = inRange(schema.flexibleVersions, version);
  return Buffer.concat(structParts(schema.fields, value));

  function structParts(fields: readonly SchemaField[], struct: SchemaValue): Buffer[] {
    const parts: Buffer[] = [];
    const tagged: { readonly tag: number; readonly payload: Buffer }[] = [];
    for (const field of fields) {
      const member = struct[memberName(field)];
      if (inRange(field.taggedVersions, version)) {
        if (!same(member, schemaDefault(schema, field)))
          tagged.push({ tag: field.tag ?? 0, payload: Buffer.concat(fieldParts(field, member)) });
      } else if (inRange(field.versions ?? field.taggedVersions, version)) {
        parts.push(...fieldParts(field, member));
      }
    }
    if (isFlexible) {
      parts.push(uvarint(tagged.length));
      for (const { tag, payload } of tagged.toSorted((a, b) => a.tag - b.tag)) parts.push(uvarint(tag), uvarint(payload.length), payload);
    }
    return parts;
  }

  function fieldParts(field: SchemaField, member: unknown): Buffer[] {
    if (!field.type.startsWith('[]')) return valueParts(field, field.type, member);
    if (member === null) return [isFlexible ? uvarint(0) : int(-1, 4)];
    const elements = member as readonly unknown[];
    const count = isFlexible ? uvarint(elements.length + 1) : int(elements.length, 4);
    return [count, ...elements.flatMap((element) => valueParts(field, elementType(field.type), element))];
  }

  function valueParts(field: SchemaField, type: string, member: unknown): Buffer[] {
    if (isStruct(type)) {
      const mayBeNull = !field.type.startsWith('[]') && inRange(field.nullableVersions, version);
      if (member === null) return [int(-1, 1)];
      return [...(mayBeNull ? [int(1, 1)] : []), ...structParts(membersOf(schema, field), member as SchemaValue)];
    }
    switch (type) {
      case 'bool':
        return [int(member === true ? 1 : 0, 1)];
      case 'int8':
        return [int(member as number, 1)];
      case 'int16':
        return [int(member as number, 2)];
      case 'uint16':
        return [int(((member as number) << 16) >> 16, 2)];
      case 'int32':
        return [int(member as number, 4)];
      case 'int64':
        return [long(BigInt(member as number | bigint))];
      case 'float64':
        return [double(member as number)];
      case 'uuid':
        return [Buffer.from(member as string, 'base64url')];
      case 'string':
        return sized(member === null ? null : Buffer.from(member as string, 'utf8'), 2);
      case 'bytes':
      case 'records':
        return sized(member as Buffer | null, 4);
      default:
        throw new Error(`not in the messages served: ${type}`);
    }
  }

  function sized(content: Buffer | null, lengthBytes: number): Buffer[] {
    if (content === null) return [isFlexible ? uvarint(0) : int(-1, lengthBytes)];
    return [isFlexible ? uvarint(content.length + 1) : int(content.length, lengthBytes), content];
  }
}

/** The header and body of a request or response, with the size prefix. */
export function frameBySchema(schema: SchemaMessage, version: number, correlationId: number, clientId: string, value: SchemaValue): Buffer {
  const apiKey = schema.apiKey ?? -1;
  const tags = inRange(schema.flexibleVersions, version) ? [uvarint(0)] : [];
  const client = Buffer.from(clientId, 'utf8');
  const header =
    schema.type === 'request'
      ? [int(apiKey, 2), int(version, 2), int(correlationId, 4), int(client.length, 2), client, ...tags]
      : [int(correlationId, 4), ...(apiKey === 18 ? [] : tags)];
  const content = Buffer.concat([...header, encodeBySchema(schema, version, value)]);
  return Buffer.concat([int(content.length, 4), content]);
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return a.equals(b);
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((x, i) => same(x, b[i]));
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const right = b as Record<string, unknown>;
  return Object.entries(a).every(([key, x]) => same(x, right[key]));
}

function int(value: number, length: number): Buffer {
  const out = Buffer.alloc(length);
  out.writeIntBE(value, 0, length);
  return out;
}

function long(value: bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigInt64BE(value);
  return out;
}

function double(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleBE(value);
  return out;
}

function uvarint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return Buffer.from(out);
}
