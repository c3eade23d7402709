// What can go wrong between batches and a verified cold file.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { assignColumns, baseColumns, duckType, findTimestamp, footerKeys, type TypedColumn } from '../../../src/columns/index.js';
import { isLakeError } from '../../../src/kernel/index.js';
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchRecordsCount,
  decodeBatch,
  encodeBatch,
  RecordBatchWriter,
  walkBatches,
  computeBatchCrc,
} from '../../../src/wire/index.js';
import { ColumnFiles, fileAt } from '../../support/column-files.js';
import { referenceDigest } from '../../support/reference-digest.js';
import { referenceStage } from '../../support/reference-stage.js';

const files = new ColumnFiles();
afterAll(() => files.close());

const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');

function batchOf(baseOffset: number, values: readonly string[], fields: Partial<Parameters<typeof encodeBatch>[0]> = {}): Buffer {
  return encodeBatch({
    baseOffset,
    leaderEpoch: 1,
    records: values.map((value, i) => ({ timestampMs: 1000 + baseOffset + i, key: utf8('k'), value: utf8(value) })),
    ...fields,
  });
}

/** Rows by expressions over `i`; what is left out is null. */
function selectRows(columns: Readonly<Record<string, string>>, rows: number): string {
  const select = baseColumns.map((column) => `(${columns[column.name] ?? 'NULL'})::${duckType(column)} AS "${column.name}"`);
  return `SELECT ${select.join(', ')} FROM range(${rows}) t(i)`;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'no error',
    (error: unknown) => (isLakeError(error) ? error.code : String(error)),
  );
}

describe('staging', () => {
  it('keeps a batch that cannot be decoded as one row of its bytes, and goes on', async () => {
    const damaged = batchOf(2, ['lost', 'lost too']);
    damaged[damaged.length - 1] = (damaged[damaged.length - 1] as number) ^ 0xff;
    damaged.writeUInt32BE(computeBatchCrc(damaged, 0), 17);
    const staged = await files.stage([batchOf(0, ['{"a":1}', '{"a":2}']), damaged, batchOf(4, ['{"b":1}'])], { endOffset: 5 });
    expect(staged).toMatchObject({ rows: 4, rawBatches: 1, minTimestampMs: 1000, maxTimestampMs: 1004 });
    expect(
      await files.rows(`SELECT _offset::INTEGER, octet_length(_raw_batch)::INTEGER, _leader_epoch FROM '${staged.path}' ORDER BY _offset`),
    ).toEqual([
      [0, null, 1],
      [1, null, 1],
      [2, damaged.length, null],
      [4, null, 1],
    ]);
    const columns = assignColumns([], staged.pairs);
    const encoded = await files.encode([staged], columns);
    await files.verify([staged], encoded, columns);
    const rebuilt = files.rebuild(encoded.path, { baseOffset: 0, lastOffset: 4 });
    expect(rebuilt.batchBytes.includes(damaged)).toBe(true);
    expect(rebuilt).toMatchObject({ batches: 3, nextOffset: 5 });
  });

  it('takes back the rows and columns of a batch whose framing breaks midway', async () => {
    const good = batchOf(0, ['{"a":1}', '{"b":2}']);
    // One record more than there is: the CRC is right, the framing is not.
    const writer = new RecordBatchWriter();
    writer.append(5, utf8('k'), utf8('{"never":1}'));
    const lying = writer.finish({ baseOffset: 2, lastOffsetDelta: 1 });
    lying.writeInt32BE(2, 57);
    lying.writeUInt32BE(computeBatchCrc(lying, 0), 17);
    const staged = await files.stage([good, lying], { endOffset: 4 });
    expect(staged).toMatchObject({ rows: 3, rawBatches: 1 });
    expect(staged.pairs.map((pair) => pair.name).sort()).toEqual(['a', 'b']);
    const encoded = await files.encode([staged]);
    await files.verify([staged], encoded);
  });

  it('gives a batch whose records cannot be decoded its own offset, not that of the next', async () => {
    const lying = batchOf(2, ['one', 'two']);
    lying.writeInt32BE(1, 57);
    lying.writeUInt32BE(computeBatchCrc(lying, 0), 17);
    const staged = await files.stage([batchOf(0, ['a', 'b']), lying, batchOf(4, ['c'])], { endOffset: 5 });
    expect(await files.rows(`SELECT _offset::INTEGER FROM '${staged.path}'`)).toEqual([[0], [1], [2], [4]]);
    await files.verify([staged], await files.encode([staged]));
  });

  it('ends a row group within a batch that has more rows, or more bytes, than one holds', async () => {
    const many = encodeBatch({
      baseOffset: 0,
      records: Array.from({ length: 300_000 }, (_, i) => ({ timestampMs: i, key: null, value: i % 3 === 0 ? null : utf8(`${i}`) })),
      compression: 'lz4',
    });
    const large = encodeBatch({
      baseOffset: 300_000,
      records: Array.from({ length: 3 }, (_, i) => ({ timestampMs: i, key: null, value: Buffer.alloc(20 * 2 ** 20, `${i} and so on`) })),
      compression: 'zstd',
    });
    const staged = await files.stage([many, large], { endOffset: 300_003 });
    expect(staged).toMatchObject({ rows: 300_003, rawBatches: 0 });
    expect(
      await files.rows(
        `SELECT row_group_num_rows::INTEGER FROM parquet_metadata('${staged.path}') WHERE path_in_schema = '_offset' ORDER BY row_group_id`,
      ),
    ).toEqual([[122_880], [122_880], [54_241], [1], [1]]);
    await files.verify([staged], await files.encode([staged]));
    expect(
      await files.rows(
        `SELECT count(*)::INTEGER FROM '${staged.path}' WHERE decode(_value) = _offset::VARCHAR OR (_value IS NULL AND _offset % 3 = 0)`,
      ),
    ).toEqual([[300_000]]);
  });

  it('keeps a batch whole that has a record of more headers than the columns hold', async () => {
    const header = { key: '', value: null };
    const records = [{ timestampMs: 0, key: null, value: null, headers: Array.from({ length: 2 ** 20 }, () => header) }];
    const most = encodeBatch({ baseOffset: 0, records, compression: 'lz4' });
    const more = encodeBatch({
      baseOffset: 1,
      records: records.map((record) => ({ ...record, headers: [...record.headers, header] })),
      compression: 'lz4',
    });
    const staged = await files.stage([most, more], { endOffset: 2 });
    expect(staged).toMatchObject({ rows: 2, rawBatches: 1 });
    expect(await files.rows(`SELECT len(_headers)::INTEGER, _raw_batch IS NULL FROM '${staged.path}' ORDER BY _offset`)).toEqual([
      [2 ** 20, true],
      [null, false],
    ]);
  });

  it('kept damaged batches whole once: such rows are encoded, verified, compacted and read as they are', async () => {
    const undecodable = batchOf(2, ['lost', 'lost too']);
    undecodable.writeInt32BE(1, 57);
    undecodable.writeUInt32BE(computeBatchCrc(undecodable, 0), 17);
    const batches = [batchOf(0, ['{"a":1}', '{"a":2}']), undecodable, batchOf(4, ['{"a":3}'])];
    const staged = await files.stage(batches, { endOffset: 5 });
    const damaged = Buffer.from(undecodable);
    damaged.writeUInt32BE(~undecodable.readUInt32BE(17) >>> 0, 17);
    const bytes = readFileSync(staged.path);
    damaged.copy(bytes, bytes.indexOf(undecodable));
    writeFileSync(staged.path, bytes);
    const { records } = referenceStage(batches, { baseOffset: 0, endOffset: 5 });
    const digest = referenceDigest(records.map((record) => ('rawBatch' in record ? { ...record, rawBatch: damaged } : record)));
    const columns = assignColumns([], staged.pairs);
    const encoded = await files.encode([{ ...staged, digest }], columns);
    await files.verify([staged], { ...encoded, digest }, columns);
    const compacted = await files.compact([encoded.path], columns);
    expect(compacted.digest).toBe(digest);
    for (const { path } of [encoded, compacted]) {
      const rebuilt = files.rebuild(path, { baseOffset: 0, lastOffset: 4 });
      expect(rebuilt.batchBytes.includes(damaged)).toBe(true);
      expect(rebuilt).toMatchObject({ batches: 3, nextOffset: 5 });
    }
  });

  it.each([
    ['records', 70],
    ['header', 30],
    ['format', 16],
    ['offset', 0],
  ])('refuses a batch of which a byte of the %s is not what was appended, and leaves no file', async (_where, at) => {
    const damaged = batchOf(2, ['lost', 'lost too']);
    damaged[at] = (damaged[at] as number) ^ 0x10;
    const outPath = files.path('refused.parquet');
    const code = await codeOf(files.stage([batchOf(0, ['a', 'b']), damaged, batchOf(4, ['c'])], { endOffset: 5, outPath }));
    expect(code).toBe('batch-corrupt');
    expect(existsSync(outPath)).toBe(false);
  });

  it('refuses a spool whose framing is broken and leaves no file', async () => {
    const batch = batchOf(0, ['a']);
    const code = await codeOf(files.stage([batch, batch.subarray(0, 30)]));
    expect(code).toBe('batch-corrupt');
  });

  it('leaves out control batches and the records of aborted transactions', async () => {
    const transactional = { isTransactional: true, producerId: 9n, producerEpoch: 0 };
    const marker = encodeBatch({
      baseOffset: 4,
      ...transactional,
      isControl: true,
      records: [{ timestampMs: 0, key: Buffer.alloc(4), value: Buffer.alloc(6) }],
    });
    const log = [
      batchOf(0, ['plain']),
      batchOf(1, ['aborted'], { ...transactional, baseSequence: 0 }),
      batchOf(2, ['of another'], { ...transactional, producerId: 8n, baseSequence: 0 }),
      batchOf(3, ['aborted too'], { ...transactional, baseSequence: 1 }),
      marker,
      batchOf(5, ['committed later'], { ...transactional, baseSequence: 2 }),
    ];
    const staged = await files.stage(log, { endOffset: 6, abortedTransactions: [{ producerId: '9', firstOffset: 1 }] });
    expect((await files.rows(`SELECT decode(_value) FROM '${staged.path}'`)).flat()).toEqual(['plain', 'of another', 'committed later']);
  });

  it('answers a range without rows with an empty file that DuckDB reads', async () => {
    const staged = await files.stage([batchOf(0, ['x'])], { baseOffset: 1, endOffset: 4 });
    expect(staged).toMatchObject({ rows: 0, lastOffset: 3, minTimestampMs: undefined, digest: 't2:0:0000000000000000' });
    expect(await files.rows(`SELECT count(*)::INTEGER FROM '${staged.path}'`)).toEqual([[0]]);
  });

  it('finds no columns where values are not JSON by configuration', async () => {
    const staged = await files.stage([batchOf(0, ['{"a":1}'])], { endOffset: 1, valueFormat: 'string' });
    expect(staged.pairs).toEqual([]);
  });

  it('reads spools that are larger than its window, with batches that straddle it', async () => {
    const log = Array.from({ length: 12 }, (_, i) => batchOf(i, ['x'.repeat(900_000 + i)]));
    log.push(batchOf(12, ['y'.repeat(9 * 2 ** 20)]), batchOf(13, ['end']));
    const staged = await files.stage(log, { endOffset: 14 });
    expect(staged.rows).toBe(14);
    const encoded = await files.encode([staged]);
    await files.verify([staged], encoded);
  });
});

describe('verification', () => {
  const log = [
    batchOf(
      0,
      Array.from({ length: 3000 }, (_, i) => `{"n":${i},"t":"${'abc'.repeat(i % 7)}"}`),
    ),
  ];

  async function cold(): Promise<{ staged: Awaited<ReturnType<ColumnFiles['stage']>>; columns: TypedColumn[]; path: string }> {
    const staged = await files.stage(log, { endOffset: 3000 });
    const columns = assignColumns([], staged.pairs);
    return { staged, columns, path: (await files.encode([staged], columns)).path };
  }

  it('finds damage in any part of the file', async () => {
    const { staged, columns, path } = await cold();
    const good = readFileSync(path);
    const damagedPath = files.path('damaged.parquet');
    const encoded = { rows: staged.rows, digest: staged.digest, path: damagedPath } as never;
    writeFileSync(damagedPath, good);
    expect(await codeOf(files.verify([staged], encoded, columns))).toBe('no error');
    // Pages of the base columns come first; statistics in the footer are not what readers serve.
    const codes = new Set<string>();
    for (let at = 200; at < good.length / 3; at += 997) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] as number) ^ 0x10;
      writeFileSync(damagedPath, bytes);
      codes.add(await codeOf(files.verify([staged], encoded, columns)));
    }
    writeFileSync(damagedPath, good.subarray(0, good.length - 100));
    codes.add(await codeOf(files.verify([staged], encoded, columns)));
    codes.delete('cold-corrupt');
    codes.delete('verify-failed');
    expect([...codes]).toEqual([]);
  });

  for (const [what, change] of [
    ['a value', `_value: CASE WHEN _offset = 1234 THEN encode('{"n":1}') ELSE _value END`],
    ['a timestamp by a microsecond', '_timestamp: CASE WHEN _offset = 7 THEN _timestamp + INTERVAL 1 MICROSECOND ELSE _timestamp END'],
    ['a typed column', 'n: CASE WHEN _offset = 99 THEN n + 1 ELSE n END'],
    ['a typed column to null', 't: CASE WHEN _offset = 98 THEN NULL ELSE t END'],
    ['a leader epoch', '_leader_epoch: CASE WHEN _offset = 5 THEN 2 ELSE _leader_epoch END'],
    ['a key to null', '_key: CASE WHEN _offset = 5 THEN NULL ELSE _key END'],
  ] as const) {
    it(`finds that ${what} was altered`, async () => {
      const { staged, columns, path } = await cold();
      const altered = files.path('altered.parquet');
      const [name, expression] = [change.slice(0, change.indexOf(':')), change.slice(change.indexOf(':') + 1)];
      await files.copy(`SELECT * REPLACE (${expression} AS "${name}") FROM ${files.columnsOf(path, columns)}`, altered, columns);
      expect(await codeOf(files.verify([staged], { rows: staged.rows, digest: staged.digest, path: altered } as never, columns))).toBe(
        'verify-failed',
      );
    });
  }

  it('finds a row that is missing and one that is there twice', async () => {
    const { staged, columns, path } = await cold();
    for (const rows of [
      `SELECT * FROM ${files.columnsOf(path, columns)} WHERE _offset <> 17`,
      `SELECT * FROM ${files.columnsOf(path, columns)} UNION ALL SELECT * FROM ${files.columnsOf(path, columns)} WHERE _offset = 2999`,
    ]) {
      const altered = files.path('altered.parquet');
      await files.copy(rows, altered, columns);
      expect(await codeOf(files.verify([staged], { rows: staged.rows, digest: staged.digest, path: altered } as never, columns))).toBe(
        'verify-failed',
      );
    }
  });
});

describe('an encoded file', () => {
  it('takes fields of any name, and more of them than one check compares', async () => {
    const odd = [
      '',
      '_',
      'a\0b',
      'a"b',
      "a'b",
      'a.b',
      'a/b',
      'a~b',
      '*',
      '$',
      '😀',
      'A',
      'a',
      '_key',
      'row',
      ' ',
      'a\\b',
      'É',
      'é',
      'element',
    ];
    const fields = Object.fromEntries(
      [...odd, ...Array.from({ length: 120 }, (_, i) => `f${i}`)].map((name, i) => [name, i % 2 === 0 ? i : `t${i}`]),
    );
    const staged = await files.stage([batchOf(0, [JSON.stringify(fields), '{"a":1.5,"A":2}'])], { endOffset: 2 });
    expect(staged.pairs).toHaveLength(Object.keys(fields).length + 2);
    const columns = assignColumns([], staged.pairs);
    const encoded = await files.encode([staged], columns);
    await files.verify([staged], encoded, columns);
    expect(encoded.metrics.filter((metric) => metric.fieldId >= 100).map((metric) => metric.nulls)).toEqual(columns.map(() => 1));
  });

  it('keeps NaN and Infinity out of columns that are of one kind otherwise', async () => {
    const values = ['{"b":true,"t":"a","l":1,"d":1.5}', '{"b":NaN,"t":-Infinity,"l":Infinity,"d":nan}'];
    const staged = await files.stage([batchOf(0, values)], { endOffset: 2 });
    const columns = assignColumns([], staged.pairs);
    const encoded = await files.encode([staged], columns);
    expect(await files.rows(`SELECT b, t, l::INTEGER, d FROM '${encoded.path}' ORDER BY _offset`)).toEqual([
      [true, 'a', 1, 1.5],
      [null, null, null, null],
    ]);
    await files.verify([staged], encoded, columns);
  });

  it('has zero without a sign, as the tail has: a dictionary would give both the sign of the first', async () => {
    const values = Array.from({ length: 12 }, (_, at) => ['{"d":-0.0}', '{"d":0.0}', '{}'][at % 3]!);
    // Where the field is of one kind, and where it is not.
    for (const others of [[], ['{"d":"text"}']]) {
      const staged = await files.stage([batchOf(0, [...values, ...others])], { endOffset: 12 + others.length });
      const columns = assignColumns([], staged.pairs);
      const { path } = await files.encode([staged], columns);
      const found = await files.rows(`SELECT d FROM '${path}' WHERE _offset < 12 ORDER BY _offset`);
      expect(found).toEqual(values.map((value) => [value === '{}' ? null : 0]));
      expect((await files.typedRows(staged.path, columns)).slice(0, 12).map(([d]) => [d])).toEqual(found);
    }
  });

  it('carries digest and range in its footer, and Iceberg figures for each column', async () => {
    const values = [`{"n":-5,"d":-0.0,"t":"${'é'.repeat(20)}","b":true}`, '{"n":7,"d":2.5,"t":"a"}'];
    const staged = await files.stage([batchOf(0, values)], { endOffset: 2 });
    const columns = assignColumns([], staged.pairs);
    const encoded = await files.encode([staged], columns);
    const [digest] = await files.rows(
      `SELECT decode(value) FROM parquet_kv_metadata('${encoded.path}') WHERE decode(key) = '${footerKeys.digest}'`,
    );
    expect(digest).toEqual([staged.digest]);
    const metric = (name: string): unknown => {
      const fieldId =
        columns.find((column) => column.columnName === name)?.fieldId ??
        { _offset: 2, _timestamp: 3, _timestamp_raw: 4, _value: 6, _raw_batch: 17 }[name];
      const found = encoded.metrics.find((one) => one.fieldId === fieldId);
      return found === undefined
        ? undefined
        : [found.values, found.nulls, found.lower, found.upper].map((one) => (typeof one === 'string' ? Buffer.from(one, 'base64') : one));
    };
    const long = (of: bigint): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(of);
      return bytes;
    };
    const double = (of: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(of);
      return bytes;
    };
    expect(metric('_offset')).toEqual([2, 0, long(0n), long(1n)]);
    expect(metric('_timestamp')).toEqual([2, 0, long(1_000_000n), long(1_001_000n)]);
    expect(metric('n')).toEqual([2, 0, long(-5n), long(7n)]);
    expect(metric('d')).toEqual([2, 0, double(-0), double(2.5)]);
    expect(metric('b')).toEqual([2, 1, Buffer.from([1]), Buffer.from([1])]);
    expect(metric('t')).toEqual([2, 0, utf8('a'), utf8(`${'é'.repeat(15)}ê`)]);
    expect(metric('_value')).toEqual([2, 0, utf8('{"n":-5,"d":-0.0'), utf8('{"n":7,"d":2.5,"').fill('#', 15)]);
    // Of what is null in every row, whole numbers are not in the file.
    expect(metric('_timestamp_raw')).toBeUndefined();
    expect(metric('_raw_batch')).toEqual([2, 2, undefined, undefined]);
    expect(encoded.splitOffsets).toEqual([4]);
  });

  it('is found by time: the first offset at or after it, or the largest', async () => {
    const at = [50, 10, 90, -4e15, 90, 4e15, 20];
    const records = at.map((timestampMs) => ({ timestampMs, key: null, value: null }));
    const staged = await files.stage([encodeBatch({ baseOffset: 5, leaderEpoch: 4, records })], { baseOffset: 5, endOffset: 12 });
    const { path } = await files.encode([staged]);
    const find = (kind: 'first' | 'max', timestampMs: number, fromOffset = 0): Promise<unknown> =>
      findTimestamp(fileAt(path), { find: kind, timestampMs, fromOffset });
    expect(await find('first', 60)).toEqual({ offset: 7, timestampMs: 90, leaderEpoch: 4 });
    expect(await find('first', 20, 8)).toEqual({ offset: 9, timestampMs: 90, leaderEpoch: 4 });
    expect(await find('first', -5e15, 6)).toEqual({ offset: 6, timestampMs: 10, leaderEpoch: 4 });
    expect(await find('first', 3e15)).toEqual({ offset: 10, timestampMs: 4e15, leaderEpoch: 4 });
    expect(await find('first', 5e15)).toBeNull();
    expect(await find('max', 0)).toEqual({ offset: 10, timestampMs: 4e15, leaderEpoch: 4 });
    expect(await find('max', 0, 11)).toEqual({ offset: 11, timestampMs: 20, leaderEpoch: 4 });
  });
});

describe('rebuilt batches', () => {
  it('stop after about the bytes asked for and go on from where they stopped', async () => {
    const staged = await files.stage(
      [
        batchOf(
          0,
          Array.from({ length: 5000 }, (_, i) => `value ${i} ${'x'.repeat(100)}`),
        ),
      ],
      { endOffset: 5000 },
    );
    const { path } = await files.encode([staged]);
    let [fromOffset, records, rounds] = [0, 0, 0];
    while (fromOffset < 5000) {
      const rebuilt = files.rebuild(path, { fromOffset, baseOffset: 0, lastOffset: 4999, maxBytes: 100_000, maxBatchBytes: 20_000 });
      const bytes = rebuilt.batchBytes;
      walkBatches(bytes, (at) => {
        expect(batchBytes(bytes, at)).toBeLessThanOrEqual(20_000);
        records += batchRecordsCount(bytes, at);
      });
      expect(bytes.length).toBeLessThan(130_000);
      expect(rebuilt.baseOffset).toBe(fromOffset);
      fromOffset = rebuilt.nextOffset;
      rounds++;
    }
    expect(records).toBe(5000);
    expect(rounds).toBeGreaterThan(4);
  });

  it('refuse an offset that is not in the file', async () => {
    const staged = await files.stage([batchOf(0, ['x'])], { endOffset: 1 });
    const { path } = await files.encode([staged]);
    expect(() => files.rebuild(path, { fromOffset: 1, baseOffset: 0, lastOffset: 0 })).toThrow(
      expect.toSatisfy((error: unknown) => isLakeError(error, 'offset-out-of-range')),
    );
  });

  it('hold a record larger than a batch alone, with its headers, and say where they end as soon as that is certain', async () => {
    const header = { key: 'h', value: Buffer.alloc(700, 1) };
    const large = {
      timestampMs: 2,
      key: Buffer.from('k'),
      value: Buffer.alloc(3000, 2),
      headers: [header, { key: Buffer.from([0xff]), value: null }],
    };
    const small = { timestampMs: 1, key: null, value: Buffer.from('small'), headers: [] };
    const records = [small, large, { ...small, timestampMs: 3 }, { ...large, headers: [] }, small].map((one, i) => ({
      ...one,
      offsetDelta: 2 * i,
    }));
    const { path } = await files.encode([await files.stage([encodeBatch({ baseOffset: 10, records })], { endOffset: 30 })]);
    const range = { baseOffset: 10, lastOffset: 29, maxBatchBytes: 1000 };
    const { batchBytes: bytes, nextOffset } = files.rebuild(path, range);
    const batches: unknown[] = [];
    const again: unknown[] = [];
    walkBatches(bytes, (at) => {
      const decoded = decodeBatch(bytes, at);
      batches.push([batchBaseOffset(bytes, at), decoded.length, batchLastOffset(bytes, at)]);
      again.push(...decoded);
    });
    expect(batches).toEqual([
      [10, 1, 11],
      [12, 1, 13],
      [14, 1, 15],
      [16, 1, 17],
      [18, 1, 29],
    ]);
    expect(nextOffset).toBe(30);
    expect(again).toMatchObject(
      records.map(({ timestampMs, key, value, headers, offsetDelta }) => ({
        timestampMs,
        key,
        value,
        offset: 10 + offsetDelta,
        headers: headers.map((one) => ({ key: Buffer.from(one.key as string), value: one.value })),
      })),
    );
    // Enough bytes for certain, and certainly not too many.
    expect(files.rebuild(path, { ...range, maxBytes: 10_000 }).endOffset).toBe(30);
    expect(files.rebuild(path, { ...range, maxBytes: 7000 }).endOffset).toBeUndefined();
    expect(files.rebuild(path, { ...range, maxBytes: 100_000 }).endOffset).toBeUndefined();
  });

  it('are refused where a header has no key, or offsets do not ascend', async () => {
    const refused = expect.toSatisfy((error: unknown) => isLakeError(error, 'cold-corrupt'));
    const keyless = files.path('keyless.parquet');
    await files.copy(selectRows({ _offset: '0', _headers: "[{'key': NULL, 'key_raw': NULL, 'value': 'x'::BLOB}]" }, 1), keyless);
    expect(() => files.rebuild(keyless, { baseOffset: 0, lastOffset: 0 })).toThrow(refused);
    const descending = files.path('descending.parquet');
    await files.copy(selectRows({ _offset: '5 - i' }, 3), descending);
    expect(() => files.rebuild(descending, { baseOffset: 0, lastOffset: 9 })).toThrow(refused);
  });
});
