/**
 * Bytes of every API at its lowest and highest version, in `wire/`, written once by the codec that interprets Kafka's schemas. They
 * are never edited: what they say was sent by other programs too. `WIRE_GOLDEN=write` adds samples that are missing, nothing else.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { apis, decodeRequest, decodeRequestHeader, decodeResponse, encodeRequest, encodeResponse } from '../../src/wire/index.js';
import type { SchemaField, SchemaMessage, SchemaValue } from '../support/kafka-schema-codec.js';
import {
  elementType,
  frameBySchema,
  hasSchemas,
  inRange,
  memberName,
  membersOf,
  schemaDefault,
  schemaOf,
} from '../support/kafka-schema-codec.js';

const folder = fileURLToPath(new URL('wire/', import.meta.url));
const correlationId = 0x01020304;
const clientId = 'golden-ü';

interface Sample {
  readonly version: number;
  readonly direction: 'request' | 'response';
  /** `full`: every field set, two elements in each array. `bare`: null where it may be, else defaults and no elements. */
  readonly content: 'full' | 'bare';
  readonly value: SchemaValue;
  readonly hex: string;
}

if (process.env['WIRE_GOLDEN'] === 'write' && hasSchemas) writeMissing();

describe.each(apis.map((api) => [api.name, api] as const))('%s', (name, api) => {
  const samples = readSamples(`${folder}${name}.json`);

  it('has samples of both directions at its lowest and highest version at least', () => {
    const seen = samples.map((sample) => `${sample.direction} v${sample.version} ${sample.content}`);
    const expected = ['request', 'response'].flatMap((direction) =>
      [api.minVersion, api.maxVersion].flatMap((version) => ['full', 'bare'].map((content) => `${direction} v${version} ${content}`)),
    );
    expect(seen).toEqual(expect.arrayContaining(expected));
  });

  it.each(samples.map((sample) => [`${sample.direction} v${sample.version} ${sample.content}`, sample] as const))(
    'reads and writes %s',
    (_title, sample) => {
      const { version } = sample;
      const frame = Buffer.from(sample.hex, 'hex');
      if (sample.direction === 'request') {
        const header = decodeRequestHeader(frame.subarray(4));
        expect(header).toMatchObject({ apiKey: api.key, apiVersion: version, correlationId, clientId });
        const body = decodeRequest(api, version, frame.subarray(4), header.bodyAt);
        expect(body).toMatchObject(sample.value);
        expect(Buffer.concat(encodeRequest(api, version, correlationId, clientId, sample.value)).toString('hex')).toBe(sample.hex);
      } else {
        const decoded = decodeResponse(api, version, frame.subarray(4));
        expect(decoded).toMatchObject({ correlationId, body: sample.value });
        expect(Buffer.concat(encodeResponse(api, version, correlationId, sample.value)).toString('hex')).toBe(sample.hex);
      }
    },
  );
});

/** JSON has neither bytes nor int64: `{"hex"}` and `{"int64"}` stand for them. */
function readSamples(path: string): Sample[] {
  return JSON.parse(readFileSync(path, 'utf8'), (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    const keys = Object.keys(value);
    if (keys.length === 1 && 'hex' in value) return Buffer.from(String(value.hex), 'hex');
    if (keys.length === 1 && 'int64' in value) return BigInt(String(value.int64));
    return value;
  }) as Sample[];
}

function toJson(value: unknown): unknown {
  if (typeof value === 'bigint') return { int64: value.toString() };
  if (Buffer.isBuffer(value)) return { hex: value.toString('hex') };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toJson(member)]));
}

function writeMissing(): void {
  mkdirSync(folder, { recursive: true });
  for (const api of apis) {
    const path = `${folder}${api.name}.json`;
    const samples: Sample[] = existsSync(path) ? readSamples(path) : [];
    const before = samples.length;
    for (const direction of ['request', 'response'] as const) {
      const schema = schemaOf(api[direction].name);
      for (const version of [api.minVersion, api.maxVersion]) {
        for (const content of ['full', 'bare'] as const) {
          if (samples.some((known) => known.direction === direction && known.version === version && known.content === content)) continue;
          const value = sampleStruct(schema, schema.fields, version, content, counter());
          samples.push({
            version,
            direction,
            content,
            value,
            hex: frameBySchema(schema, version, correlationId, clientId, value).toString('hex'),
          });
        }
      }
    }
    if (samples.length > before) writeFileSync(path, `${JSON.stringify(toJson(samples), null, 1)}\n`);
  }
}

function counter(): () => number {
  let n = 0;
  return () => ++n;
}

function sampleStruct(
  schema: SchemaMessage,
  fields: readonly SchemaField[],
  version: number,
  content: Sample['content'],
  next: () => number,
): SchemaValue {
  const present = fields.filter((field) => inRange(field.versions ?? field.taggedVersions, version));
  return Object.fromEntries(
    present.map((field) => [
      memberName(field),
      content === 'full' ? fullValue(schema, field, version, next) : bareValue(schema, field, version),
    ]),
  );
}

function bareValue(schema: SchemaMessage, field: SchemaField, version: number): unknown {
  if (inRange(field.taggedVersions, version)) return schemaDefault(schema, field);
  return inRange(field.nullableVersions, version) ? null : (schemaDefault(schema, field) ?? '');
}

function fullValue(schema: SchemaMessage, field: SchemaField, version: number, next: () => number): unknown {
  const element = (): unknown => {
    const n = next();
    switch (elementType(field.type)) {
      case 'bool':
        return true;
      case 'int8':
        return n % 2 === 0 ? n % 100 : -(n % 100);
      case 'int16':
        return n % 2 === 0 ? 0x1234 + n : -0x1234 - n;
      case 'uint16':
        return 0xf123 + n;
      case 'int32':
        return n % 2 === 0 ? 0x12345678 + n : -0x12345678 - n;
      case 'int64':
        if (field.entityType === 'producerId') return 0x7edc_ba98_7654_3210n - BigInt(n);
        return n % 2 === 0 ? Number.MAX_SAFE_INTEGER - n : -(2 ** 40) - n;
      case 'float64':
        return n % 2 === 0 ? n * 1.25 : -1 / n;
      case 'uuid':
        return Buffer.from(Array.from({ length: 16 }, (_, i) => (i * 17 + n) & 0xff)).toString('base64url');
      case 'string':
        return `${field.name}-${n}-é漢😀`;
      case 'bytes':
      case 'records':
        return Buffer.from(Array.from({ length: 130 + n }, (_, i) => (i * 7 + n) & 0xff));
      default:
        return sampleStruct(schema, membersOf(schema, field), version, 'full', next);
    }
  };
  return field.type.startsWith('[]') ? [element(), element()] : element();
}
