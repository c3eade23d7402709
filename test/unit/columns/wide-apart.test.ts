import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { parquetMetadata } from 'hyparquet';
import { afterAll, describe, expect, it } from 'vitest';
import { assignColumns, type EncodeResult } from '../../../src/columns/index.js';
import { readFooterBytes } from '../../../src/columns/parquet-footer.js';
import { readPartLayout } from '../../../src/columns/parquet-parts.js';
import { setWideApart } from '../../../src/columns/wide-apart.js';
import { wideFieldIds } from '../../../src/columns/schema.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { ColumnFiles } from '../../support/column-files.js';

const files = new ColumnFiles();
afterAll(() => files.close());

/** Of 16 MiB records in a row group DuckDB makes 2,048, its least. */
const valueBytes = 8192;
const groupRows = 2048;

interface Written {
  readonly encoded: EncodeResult;
  readonly wide: ReadonlySet<number>;
  readonly verify: (path: string) => Promise<void>;
}

/** Records of a number, a short text and a long one. */
async function fileOf(rows: number, bytes = valueBytes): Promise<Written> {
  const batches = Array.from({ length: Math.ceil(rows / 64) }, (_, at) =>
    encodeBatch({
      baseOffset: at * 64,
      records: Array.from({ length: Math.min(64, rows - at * 64) }, (__, i) => ({
        timestampMs: 1_700_000_000_000 + at * 64 + i,
        key: Buffer.from(`key ${i}`),
        value: Buffer.from(JSON.stringify({ n: at * 64 + i, of: `o${i % 7}`, text: `${at} `.repeat(bytes / 4) })),
      })),
    }),
  );
  const staged = await files.stage(batches, { endOffset: rows });
  const columns = assignColumns([], staged.pairs);
  const encoded = await files.encode([staged], columns);
  const long = columns.flatMap(({ name, fieldId }) => (name === 'text' ? [fieldId] : []));
  return { encoded, wide: wideFieldIds(new Set(long)), verify: (path) => files.verify([staged], { ...encoded, path }, columns) };
}

const layoutOf = (path: string) => readPartLayout(path, readFooterBytes(path));
const metadataOf = (path: string) => {
  const bytes = readFileSync(path);
  return parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);
};

describe('wide columns apart', () => {
  it('lie before all others, and the others of all row groups lie together', async () => {
    const { encoded, wide, verify } = await fileOf(3 * groupRows);
    await verify(encoded.path);
    const { groups, columnOfLeaf } = layoutOf(encoded.path);
    expect(groups).toHaveLength(3);
    const places = groups.flatMap(({ chunks }, group) =>
      chunks.map((chunk, leaf) => ({ ...chunk, group, isWide: wide.has(columnOfLeaf[leaf]!) })),
    );
    const inFile = places.toSorted((a, b) => a.at - b.at);
    expect(inFile.map(({ isWide }) => isWide)).toEqual(places.map(({ isWide }) => isWide).toSorted((a, b) => Number(b) - Number(a)));
    for (const isWide of [true, false]) {
      const own = inFile.filter((place) => place.isWide === isWide).map(({ group }) => group);
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
    // No byte between them.
    let at = 4;
    for (const place of inFile) {
      expect(place.at).toBe(at);
      at += place.bytes;
    }
    expect(at).toBe(statSync(encoded.path).size - readFooterBytes(encoded.path).length);
    expect(encoded.splitOffsets).toEqual(groups.map(({ chunks }) => chunks[0]!.at));
  });

  it('change nothing but positions: whoever reads the file reads the same', async () => {
    const { encoded, wide } = await fileOf(3 * groupRows + 100);
    const again = files.path('again.parquet');
    copyFileSync(encoded.path, again);
    setWideApart(again, wide);
    expect(readFileSync(again).equals(readFileSync(encoded.path))).toBe(true);
    const other = wideFieldIds(new Set([5, 100, 101]));
    setWideApart(again, other);
    expect(readFileSync(again).equals(readFileSync(encoded.path))).toBe(false);
    const rowsOf = (path: string): Promise<unknown[]> => files.rows(`SELECT md5(list(t ORDER BY _offset)::VARCHAR) FROM '${path}' t`);
    expect(await rowsOf(again)).toEqual(await rowsOf(encoded.path));

    const [before, after] = [metadataOf(encoded.path), metadataOf(again)];
    const withoutPlaces = (metadata: typeof before): unknown =>
      JSON.parse(
        JSON.stringify(metadata, (name, value: unknown) =>
          /^(file_offset|.*_page_offset|metadata_length)$/.test(name) ? undefined : typeof value === 'bigint' ? String(value) : value,
        ),
      );
    expect(withoutPlaces(after)).toEqual(withoutPlaces(before));
    expect(after.key_value_metadata).not.toEqual([]);
  });

  it('leave a file of one row group as it is', async () => {
    const { encoded, wide, verify } = await fileOf(300, 100);
    const before = readFileSync(encoded.path);
    setWideApart(encoded.path, wide);
    expect(readFileSync(encoded.path).equals(before)).toBe(true);
    await verify(encoded.path);
  });

  it('leave a file as it is whose footer is damaged', async () => {
    const { encoded, wide } = await fileOf(2 * groupRows);
    const bytes = readFileSync(encoded.path);
    bytes.writeUInt32LE(bytes.length + 1, bytes.length - 8);
    writeFileSync(encoded.path, bytes);
    expect(() => setWideApart(encoded.path, wide)).toThrow(expect.objectContaining({ code: 'cold-corrupt' }));
    expect(readFileSync(encoded.path).equals(bytes)).toBe(true);
  });
});
