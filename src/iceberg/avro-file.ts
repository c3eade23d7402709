/**
 * Avro object container files around `avsc`'s types (Avro spec: "Object Container Files"). The container is read and
 * written here, not by avsc's streams, for three reasons: the schema must reach the header with its `field-id`s, a file
 * that was cut short must not read as a shorter one, and inflating needs a bound.
 *
 * | part | layout |
 * |---|---|
 * | header | `Obj` 0x01, map<bytes> (`avro.schema`, `avro.codec`, the writer's own), 16 bytes of sync marker |
 * | block, repeated | long count, long length, so many bytes (deflate), sync marker |
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflateRaw, deflateRawSync, inflateRaw, inflateRawSync } from 'node:zlib';
import avro from 'avsc';
import { LakeError, MiB } from '../kernel/index.js';

const deflateBeside = promisify(deflateRaw);
const inflateBeside = promisify(inflateRaw);

export type AvroSchema = string | readonly AvroSchema[] | { readonly [key: string]: unknown };

export interface AvroFile {
  /** The header's members as text, without `avro.schema` and `avro.codec`. */
  readonly header: ReadonlyMap<string, string>;
  readonly schema: AvroSchema;
  readonly records: readonly unknown[];
}

/** Smaller blocks take less time at once (about a millisecond) than a thread's turn may take. */
const atOnceBytesMax = 64 * 1024;
/** Records go into blocks of about this many bytes before compression, so that a reader never inflates much at once. */
const blockBytes = 256 * 1024;
/** A foreign writer's block may be larger; beyond this it is refused, as 1 MiB of deflate can hold a thousand. */
const inflatedBlockBytesMax = 256 * MiB;

/** What avsc's types read from; behind its end everything reads as nothing. */
interface Tap {
  readonly buf: Buffer;
  pos: number;
  readLong(): number;
  readString(): string;
}

/** A type of avsc with the method that compiled readers call. */
interface ReadingType {
  _read(tap: Tap): unknown;
}

/**
 * Arrays and maps whose number of elements is bounded by the bytes that are there. avsc believes it, and a damaged one would keep it busy
 * for years. An element takes a byte at least.
 */
class BoundedArrayType extends avro.types.ArrayType {
  _read(tap: Tap): unknown[] {
    const items = this.itemsType as unknown as ReadingType;
    const read: unknown[] = [];
    eachElement(tap, () => void read.push(items._read(tap)));
    return read;
  }
}

class BoundedMapType extends avro.types.MapType {
  _read(tap: Tap): Record<string, unknown> {
    const values = this.valuesType as ReadingType;
    const read: Record<string, unknown> = {};
    eachElement(tap, () => {
      const key = tap.readString();
      read[key] = values._read(tap);
    });
    return read;
  }
}

function typeOf(schema: avro.Schema, options: Partial<avro.ForSchemaOptions> = {}): avro.Type {
  const typeHook = (part: avro.Schema, inner: avro.ForSchemaOptions): avro.Type | undefined => {
    if (typeof part !== 'object' || Array.isArray(part) || !('type' in part)) return undefined;
    if (part.type === 'array') return new BoundedArrayType(part, inner);
    return part.type === 'map' ? new BoundedMapType(part, inner) : undefined;
  };
  return avro.Type.forSchema(schema, { ...options, typeHook });
}

/** Elements come in runs, each led by its length; a negative one says how many bytes it takes as well. */
function eachElement(tap: Tap, read: () => void): void {
  for (let left = tap.readLong(); left !== 0; left = tap.readLong()) {
    if (left < 0) {
      left = -left;
      tap.readLong();
    }
    if (left > tap.buf.length - tap.pos) throw new Error(`a list of ${left} elements is in ${tap.buf.length - tap.pos} bytes`);
    for (; left > 0; left--) read();
  }
}

const magic = Buffer.from('Obj\u0001', 'latin1');
const headerType = typeOf({
  type: 'record',
  name: 'Header',
  fields: [
    { name: 'magic', type: { type: 'fixed', name: 'Magic', size: 4 } },
    { name: 'meta', type: { type: 'map', values: 'bytes' } },
    { name: 'sync', type: { type: 'fixed', name: 'Sync', size: 16 } },
  ],
});
const blockType = avro.Type.forSchema({
  type: 'record',
  name: 'Block',
  fields: [
    { name: 'count', type: 'long' },
    { name: 'bytes', type: 'bytes' },
    { name: 'sync', type: { type: 'fixed', name: 'BlockSync', size: 16 } },
  ],
});

/** Longs as bigint: others' snapshot ids do not fit a number. */
const bigLong = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: (value: number | string) => BigInt(value),
  toJSON: (value: bigint) => value.toString(),
  isValid: (value: unknown) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

/** Compiled types by the text of their schema: writers of one version all use the same. Compiling takes milliseconds. */
const types = new Map<string, avro.Type>();
const typesMax = 16;

/** A type of avsc for a schema as JSON. Every `long` is a bigint in its values. */
function avroType(schema: string): avro.Type {
  const cached = types.get(schema);
  if (cached !== undefined) return cached;
  const type = typeOf(JSON.parse(schema) as avro.Schema, { registry: { long: bigLong }, omitRecordMethods: true });
  if (types.size === typesMax) types.clear();
  types.set(schema, type);
  return type;
}

/** Bytes of a container file, deflated. The sync marker is a digest of the records: same input, same bytes. */
export async function writeAvroFile(schema: AvroSchema, header: ReadonlyMap<string, string>, records: readonly unknown[]): Promise<Buffer> {
  const schemaText = JSON.stringify(schema);
  const type = avroType(schemaText);
  const blocks: { count: number; parts: Buffer[]; bytes: number }[] = [];
  const hash = createHash('sha256');
  for (const record of records) {
    const bytes = type.toBuffer(record);
    hash.update(bytes);
    let block = blocks.at(-1);
    if (block === undefined || block.bytes + bytes.length > blockBytes) {
      block = { count: 0, parts: [], bytes: 0 };
      blocks.push(block);
    }
    block.count++;
    block.parts.push(bytes);
    block.bytes += bytes.length;
  }
  const sync = hash.digest().subarray(0, 16);
  const meta: Record<string, Buffer> = {
    'avro.schema': Buffer.from(schemaText),
    'avro.codec': Buffer.from('deflate'),
  };
  for (const [key, value] of header) meta[key] = Buffer.from(value);
  const parts = [headerType.toBuffer({ magic, meta, sync })];
  for (const block of blocks) {
    const plain = Buffer.concat(block.parts);
    const bytes = plain.length <= atOnceBytesMax ? deflateRawSync(plain) : await deflateBeside(plain);
    parts.push(blockType.toBuffer({ count: block.count, bytes, sync }));
  }
  return Buffer.concat(parts);
}

/** What is small before and after is inflated at once; what turns out to be large is begun anew beside the event loop. */
async function inflated(bytes: Buffer): Promise<Buffer> {
  if (bytes.length <= atOnceBytesMax) {
    try {
      return inflateRawSync(bytes, { maxOutputLength: atOnceBytesMax });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw error;
    }
  }
  return inflateBeside(bytes, { maxOutputLength: inflatedBlockBytesMax });
}

/** Reads a whole container file (codec null or deflate). Errors: `table-corrupt`, also for a file that ends early. */
export async function readAvroFile(file: Buffer, name: string): Promise<AvroFile> {
  try {
    const { value, offset } = headerType.decode(file) as {
      value: { magic: Buffer; meta: Record<string, Buffer>; sync: Buffer };
      offset: number;
    };
    if (offset < 0 || !value.magic.equals(magic)) throw new Error('no Avro header');
    const codec = value.meta['avro.codec']?.toString() ?? 'null';
    if (codec !== 'null' && codec !== 'deflate') throw new Error(`codec "${codec}" is not read here`);
    const schemaText = value.meta['avro.schema']?.toString() ?? '';
    const type = avroType(schemaText);
    const records: unknown[] = [];
    for (let at = offset; at < file.length; ) {
      const block = blockType.decode(file, at) as { value: { count: number; bytes: Buffer; sync: Buffer }; offset: number };
      if (block.offset < 0) throw new Error('the file ends inside a block');
      if (!block.value.sync.equals(value.sync)) throw new Error('a block ends without the sync marker');
      const bytes = codec === 'null' ? block.value.bytes : await inflated(block.value.bytes);
      let position = 0;
      for (let i = 0; i < block.value.count; i++) {
        const record = type.decode(bytes, position);
        if (record.offset < 0) throw new Error('a block ends inside a record');
        // As many as a block says would be there, however many that is.
        if (record.offset === position) throw new Error('records without bytes are not read here');
        records.push(record.value as unknown);
        position = record.offset;
      }
      if (position !== bytes.length) throw new Error('a block is longer than its records');
      at = block.offset;
    }
    const header = new Map(
      Object.entries(value.meta)
        .filter(([key]) => !key.startsWith('avro.'))
        .map(([key, bytes]) => [key, bytes.toString()]),
    );
    return { header, schema: JSON.parse(schemaText) as AvroSchema, records };
  } catch (cause) {
    throw new LakeError('table-corrupt', `${name} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: 'Restore the object from an earlier version of it; the data files themselves are not touched by this.',
      facts: { name },
      cause,
    });
  }
}
