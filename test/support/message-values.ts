/** Random values of wire messages, made from the notation: exactly what decoding gives at a version, absent fields at their defaults. */
import * as fc from 'fast-check';
import { idFromBytes } from '../../src/kernel/index.js';
import type { Field, FieldType, Fields, Message } from '../../src/wire/notation.js';
import { defaultOf, isInVersions, isNullable } from '../../src/wire/notation.js';

export type MessageValue = Readonly<Record<string, unknown>>;

/** What a field holds where it is absent, structs member by member. */
export function absentValue(field: Field): unknown {
  if (field.type.kind !== 'struct' || field.options.default === null) return defaultOf(field);
  return Object.fromEntries(Object.entries(field.type.fields).map(([name, member]) => [name, absentValue(member)]));
}

export function messageValue(message: Message, version: number): fc.Arbitrary<MessageValue> {
  return structValue(message.fields, version);
}

function structValue(fields: Fields, version: number): fc.Arbitrary<MessageValue> {
  return fc.record(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, fieldValue(field, version)])), {
    noNullPrototype: true,
  });
}

function fieldValue(field: Field, version: number): fc.Arbitrary<unknown> {
  if (!isInVersions(field.options.versions, version)) return fc.constant(absentValue(field));
  const value = typeValue(field.type, version);
  const orNull = isNullable(field, version) ? fc.option(value, { nil: null, freq: 4 }) : value;
  return field.options.tag === undefined ? orNull : fc.oneof(orNull, fc.constant(absentValue(field)));
}

function typeValue(type: FieldType, version: number): fc.Arbitrary<unknown> {
  if (type.kind === 'struct') return structValue(type.fields, version);
  if (type.kind === 'array') return fc.array(typeValue(type.element, version), { maxLength: 3 });
  switch (type.scalar) {
    case 'bool':
      return fc.boolean();
    case 'int8':
      return fc.integer({ min: -128, max: 127 });
    case 'int16':
      return fc.integer({ min: -32768, max: 32767 });
    case 'uint16':
      return fc.integer({ min: 0, max: 65535 });
    case 'int32':
      return fc.integer();
    case 'int64':
      return fc.maxSafeInteger();
    case 'float64':
      return fc.double({ noNaN: true });
    case 'producerId':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case 'uuid':
      return fc.uint8Array({ minLength: 16, maxLength: 16 }).map(idFromBytes);
    case 'string':
      return fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 120, maxLength: 140 }));
    case 'bytes':
    case 'records':
      return fc
        .oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 120, maxLength: 300 }))
        .map((bytes) => Buffer.from(bytes));
  }
}
