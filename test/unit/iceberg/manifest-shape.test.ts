/** A manifest brings its own schema: one in which a byte has changed calls a field otherwise, which is told as damage and never left out. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeManifest, decodeManifestList } from '../../../src/iceberg/manifest.js';

const golden = (name: string): Buffer => readFileSync(new URL(`../../golden/iceberg/${name}`, import.meta.url));
const listed = { manifestPath: 'm.avro', addedSnapshotId: '1', sequenceNumber: 1 } as never;

function renamed(sample: Buffer, field: string): Buffer {
  const text = sample.toString('latin1');
  expect(text).toContain(`"name":"${field}"`);
  return Buffer.from(text.replaceAll(`"name":"${field}"`, `"name":"${field.slice(0, -1)}9"`), 'latin1');
}

describe('a field by another name', () => {
  it.each(['status', 'data_file', 'content', 'file_path', 'file_format', 'record_count', 'file_size_in_bytes', 'key', 'value'])(
    'of a manifest: %s',
    async (field) => {
      await expect(decodeManifest(renamed(golden('manifest-first.avro'), field), listed)).rejects.toMatchObject({ code: 'table-corrupt' });
    },
  );

  it.each([
    'manifest_path',
    'manifest_length',
    'partition_spec_id',
    'content',
    'added_snapshot_id',
    'added_files_count',
    'added_rows_count',
  ])('of a manifest list: %s', async (field) => {
    await expect(decodeManifestList(renamed(golden('manifest-list.avro'), field), 'l')).rejects.toMatchObject({ code: 'table-corrupt' });
  });
});
