/** Iceberg's types and schemas, as far as a table of a topic needs them (spec: "Schemas and Data Types"). */
import { invariant, LakeError } from '../kernel/index.js';

/** `boolean`, `int`, `long`, `float`, `double`, `date`, `timestamptz`, `string`, `binary`, `decimal(9,2)`, …, as the spec spells them. */
export type PrimitiveType = string;
export type IcebergType = PrimitiveType | StructType | ListType | MapType;

export interface IcebergField {
  readonly id: number;
  readonly name: string;
  readonly required: boolean;
  readonly type: IcebergType;
  readonly doc?: string;
}

export interface StructType {
  readonly type: 'struct';
  readonly fields: readonly IcebergField[];
}

export interface ListType {
  readonly type: 'list';
  readonly elementId: number;
  readonly elementRequired: boolean;
  readonly element: IcebergType;
}

export interface MapType {
  readonly type: 'map';
  readonly keyId: number;
  readonly key: IcebergType;
  readonly valueId: number;
  readonly valueRequired: boolean;
  readonly value: IcebergType;
}

export interface IcebergSchema {
  readonly schemaId: number;
  readonly fields: readonly IcebergField[];
  readonly identifierFieldIds?: readonly number[];
}

/** The largest field id in use, those of nested fields, elements, keys and values included; 0 where there is none. */
export function highestFieldId(fields: readonly IcebergField[]): number {
  return fields.reduce((highest, field) => Math.max(highest, field.id, highestIdOfType(field.type)), 0);
}

function highestIdOfType(type: IcebergType): number {
  if (typeof type === 'string') return 0;
  switch (type.type) {
    case 'struct':
      return highestFieldId(type.fields);
    case 'list':
      return Math.max(type.elementId, highestIdOfType(type.element));
    case 'map':
      return Math.max(type.keyId, type.valueId, highestIdOfType(type.key), highestIdOfType(type.value));
  }
}

/** A schema as the spec writes it in JSON, for metadata and manifest headers. */
export function schemaToJson(schema: IcebergSchema): Record<string, unknown> {
  return {
    'type': 'struct',
    'schema-id': schema.schemaId,
    ...(schema.identifierFieldIds === undefined ? {} : { 'identifier-field-ids': schema.identifierFieldIds }),
    'fields': schema.fields.map(fieldToJson),
  };
}

function fieldToJson(field: IcebergField): Record<string, unknown> {
  return {
    id: field.id,
    name: field.name,
    required: field.required,
    type: typeToJson(field.type),
    ...(field.doc === undefined ? {} : { doc: field.doc }),
  };
}

function typeToJson(type: IcebergType): unknown {
  if (typeof type === 'string') return type;
  switch (type.type) {
    case 'struct':
      return { type: 'struct', fields: type.fields.map(fieldToJson) };
    case 'list':
      return {
        'type': 'list',
        'element-id': type.elementId,
        'element': typeToJson(type.element),
        'element-required': type.elementRequired,
      };
    case 'map':
      return {
        'type': 'map',
        'key-id': type.keyId,
        'key': typeToJson(type.key),
        'value-id': type.valueId,
        'value': typeToJson(type.value),
        'value-required': type.valueRequired,
      };
  }
}

/** Reads what `schemaToJson` wrote, or another writer of the spec. Errors: `table-corrupt`. */
export function schemaFromJson(value: unknown): IcebergSchema {
  const json = asObject(value, 'schema');
  const identifiers = json['identifier-field-ids'];
  return {
    // Version 1 tables may leave the id out; it is 0 then.
    schemaId: json['schema-id'] === undefined ? 0 : asInteger(json['schema-id'], 'schema-id'),
    fields: asArray(json['fields'], 'fields').map(fieldFromJson),
    ...(identifiers === undefined
      ? {}
      : { identifierFieldIds: asArray(identifiers, 'identifier-field-ids').map((id) => asInteger(id, 'identifier-field-ids')) }),
  };
}

function fieldFromJson(value: unknown): IcebergField {
  const json = asObject(value, 'field');
  return {
    id: asInteger(json['id'], 'id'),
    name: asText(json['name'], 'name'),
    required: json['required'] === true,
    type: typeFromJson(json['type']),
    ...(json['doc'] === undefined ? {} : { doc: asText(json['doc'], 'doc') }),
  };
}

function typeFromJson(value: unknown): IcebergType {
  if (typeof value === 'string') return value;
  const json = asObject(value, 'type');
  switch (json['type']) {
    case 'struct':
      return { type: 'struct', fields: asArray(json['fields'], 'fields').map(fieldFromJson) };
    case 'list':
      return {
        type: 'list',
        elementId: asInteger(json['element-id'], 'element-id'),
        elementRequired: json['element-required'] === true,
        element: typeFromJson(json['element']),
      };
    case 'map':
      return {
        type: 'map',
        keyId: asInteger(json['key-id'], 'key-id'),
        key: typeFromJson(json['key']),
        valueId: asInteger(json['value-id'], 'value-id'),
        valueRequired: json['value-required'] === true,
        value: typeFromJson(json['value']),
      };
    default:
      throw corrupt('type');
  }
}

/** A new schema of the given id with further fields; ids must be fresh and names free (compared without case). */
export function withFields(schema: IcebergSchema, schemaId: number, fields: readonly IcebergField[]): IcebergSchema {
  const names = new Set(schema.fields.map((field) => field.name.toLowerCase()));
  for (const field of fields) {
    const name = field.name.toLowerCase();
    invariant(!names.has(name), 'a new column needs a free name', { name: field.name });
    names.add(name);
  }
  return { ...schema, schemaId, fields: [...schema.fields, ...fields] };
}

export function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(what);
  return value as Record<string, unknown>;
}

export function asArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw corrupt(what);
  return value as unknown[];
}

export function asInteger(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw corrupt(what);
  return value;
}

export function asText(value: unknown, what: string): string {
  if (typeof value !== 'string') throw corrupt(what);
  return value;
}

function corrupt(what: string): LakeError {
  return new LakeError('table-corrupt', `Iceberg metadata: "${what}" is missing or not what the specification says`, {
    hint: 'Restore the file from an earlier version of the object, or start from an older metadata file.',
    facts: { what },
  });
}
