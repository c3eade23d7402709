import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frontOf } from '../../../src/query/front.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('what stands before a SELECT', () => {
  it('is told from it, whatever blanks and comments are around', () => {
    expect(frontOf('SELECT 1')).toEqual({ kind: 'select', sql: 'SELECT 1' });
    expect(frontOf('EXPLAIN SELECT 1')).toEqual({ kind: 'explain', isAnalyzed: false, sql: '        SELECT 1' });
    expect(frontOf(' explain\tAnalyze\nSELECT 1')).toEqual({ kind: 'explain', isAnalyzed: true, sql: '                \nSELECT 1' });
    expect(frontOf('-- a comment\n/* and /* nested */ é */ Describe SELECT 1').kind).toBe('describe');
    expect(frontOf('EXPLAIN/**/(SELECT 1)').kind).toBe('explain');
    expect(frontOf('DESC WITH a AS (SELECT 1) FROM a')).toEqual({ kind: 'describe', sql: '     WITH a AS (SELECT 1) FROM a' });
  });

  it('keeps the positions of the rest, in bytes and in lines', () => {
    const text = '/* größer\n als */ EXPLAIN -- 🌊\n ANALYZE SELECT "é", x';
    const { sql } = frontOf(text);
    expect(Buffer.from(sql).indexOf('SELECT')).toBe(Buffer.from(text).indexOf('SELECT'));
    expect(sql.split('\n')).toHaveLength(3);
    expect(sql.trim()).toBe('SELECT "é", x');
  });

  it('makes a SELECT of a table that is described', () => {
    expect(frontOf('DESCRIBE flights')).toEqual({ kind: 'describe', sql: 'FROM     flights', table: { name: 'flights', position: 9 } });
    expect(frontOf('desc "a ""b"".c" ; -- all')).toEqual({
      kind: 'describe',
      sql: 'FROM "a ""b"".c" ; -- all',
      table: { name: 'a "b".c', position: 5 },
    });
    expect(frontOf('DESCRIBE system . topics')).toMatchObject({ table: { schema: 'system', name: 'topics', position: 9 } });
    expect(frontOf('DESCRIBE größe')).toMatchObject({ table: { name: 'größe' } });
  });

  it('leaves to the gate what it does not know', () => {
    for (const text of [
      '',
      'EXPLAINED',
      'DESCRIBE',
      'DESCRIBE a b',
      'DESCRIBE a.b.c',
      'DESCRIBE INSERT INTO a VALUES (1)',
      "DESCRIBE 'file.parquet'",
      'SHOW',
      'SHOW ALL TABLES',
      'SHOW TABLES FROM x',
      'SUMMARIZE a',
      '/* open EXPLAIN SELECT 1',
      'EXPLAIN_ SELECT 1',
    ]) {
      expect({ text, front: frontOf(text) }).toEqual({ text, front: { kind: 'select', sql: text } });
    }
    // The rest is for the gate as well.
    expect(frontOf('EXPLAIN DELETE FROM a')).toMatchObject({ kind: 'explain', sql: '        DELETE FROM a' });
  });
});

describe('DESCRIBE and SHOW', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('flights');
    world.createTopic('a-b.c');
    world.append('flights', 0, [{ timestampMs: 1, value: '{"delay":1,"origin":"FRA"}' }]);
    await world.makeCold('flights', 0, 1);
    world.append('flights', 0, [{ timestampMs: 2, value: '{"late":1.5}' }]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  it('tells where each column of a topic comes from', async () => {
    world.createTopic('mixed');
    world.append('mixed', 0, [{ timestampMs: 1, value: '{"x":1,"X":"a","_key":true}' }]);
    await world.makeCold('mixed', 0, 1);
    world.append('mixed', 0, [{ timestampMs: 2, value: '{"x":"text","n\'s":0.5}' }]);
    await world.makeCold('mixed', 0, 2);
    world.append('mixed', 0, [{ timestampMs: 3, value: '{"x":1.5,"new":null,"hot":2,"n\'s":9007199254740993}' }]);
    const { columns, rows, stats } = await world.ask('DESCRIBE mixed');
    expect(columns.map(({ name }) => name)).toEqual([
      'column_name',
      'column_type',
      'source',
      'field',
      'kinds',
      'table_columns',
      'field_ids',
      'hot_only_kinds',
      'files',
      'of_files',
      'note',
    ]);
    const wholeAndOthers = "whole numbers and others; the digits of a whole one above 2^53 are in text(_value)->>'n''s'";
    expect(rows).toEqual([
      ['X', 'VARCHAR', 'value', 'X', 'text', 'X', '100', null, 1, 2, null],
      ['_key__2', 'BOOLEAN', 'value', '_key', 'bool', '_key__2', '101', null, 1, 2, null],
      ['hot', 'BIGINT', 'value', 'hot', 'long', null, null, 'long', 0, 2, null],
      ["n's", 'DOUBLE', 'value', "n's", 'long, double', "n's", '103', 'long', 1, 2, wholeAndOthers],
      [
        'x__2',
        'VARCHAR',
        'value',
        'x',
        'long, double, text',
        'x__2, x__text',
        '102, 104',
        'double',
        2,
        2,
        'values of several kinds, each as its text in JSON',
      ],
      ['_key', 'BLOB', 'record', null, null, '_key', '5', null, 2, 2, null],
      ['_timestamp', 'TIMESTAMPTZ', 'record', null, null, '_timestamp', '3', null, 2, 2, null],
      ['_partition_id', 'INTEGER', 'record', null, null, '_partition_id', '1', null, 2, 2, null],
      ['_offset', 'BIGINT', 'record', null, null, '_offset', '2', null, 2, 2, null],
      ['_headers', expect.stringContaining('STRUCT'), 'record', null, null, '_headers', '7', null, 2, 2, null],
      ['_value', 'BLOB', 'record', null, null, '_value', '6', null, 2, 2, null],
    ]);
    expect(stats).toMatchObject({ hot_rows: 0, cold_files: 0 });
    // The columns a SELECT has, under the same names and of the same types.
    const selected = await world.ask('SELECT * FROM mixed');
    expect(rows.map(([name]) => name)).toEqual(selected.columns.map(({ name }) => name));
    // It says the truth.
    const digits = await world.ask("SELECT \"n's\", text(_value)->>'n''s' FROM mixed WHERE \"n's\" > 1");
    expect(digits.rows).toEqual([[9007199254740992, '9007199254740993']]);
    // `system.columns` has all topics, and of the tail what queries have staged.
    const all = await world.ask("SELECT column_name, hot_only_kinds FROM system.columns WHERE topic = 'mixed' AND source = 'value'");
    expect(all.rows).toEqual([
      ['X', null],
      ['_key__2', null],
      ['hot', 'long'],
      ["n's", 'long'],
      ['x__2', 'double'],
    ]);
    expect((await world.ask('SELECT DISTINCT topic FROM system.columns ORDER BY 1')).rows).toContainEqual(['a-b.c']);
  });

  it('tells the columns of a table and of a question, and reads no row', async () => {
    const names = async (sql: string, params?: readonly (string | number)[]): Promise<unknown> => {
      const answer = await world.ask(params === undefined ? sql : { sql, params });
      expect(answer.stats).toMatchObject({ hot_rows: 0, cold_files: 0 });
      expect(answer.columns.slice(0, 2).map((column) => column.name)).toEqual(['column_name', 'column_type']);
      return answer.rows.map(([name, type]) => `${String(name)} ${String(type)}`);
    };
    expect(await names('DESCRIBE flights')).toEqual(
      expect.arrayContaining(['delay BIGINT', 'origin VARCHAR', 'late DOUBLE', '_key BLOB', '_offset BIGINT']),
    );
    expect(await names('desc SELECT origin, avg(delay) AS mean FROM flights GROUP BY 1;')).toEqual(['origin VARCHAR', 'mean DOUBLE']);
    expect(await names('DESCRIBE SELECT $1 AS x, delay FROM flights WHERE delay > $2', ['a', 3])).toEqual(['x VARCHAR', 'delay BIGINT']);
    expect(await names('DESCRIBE system.topics')).toEqual(expect.arrayContaining(['topic VARCHAR']));
  });

  it('lists topics and the tables of the service', async () => {
    const { columns, rows } = await world.ask(' show Tables ;');
    expect(columns.map((column) => column.name)).toEqual(['name', 'kind']);
    expect(rows.slice(0, 2)).toEqual([
      ['a-b.c', 'topic'],
      ['flights', 'topic'],
    ]);
    expect(rows).toContainEqual(['system.partitions', 'system']);
  });

  it('refuses what only looks alike, at the place where it stands', async () => {
    await expect(world.ask('DESCRIBE nothing')).rejects.toMatchObject({ code: 'topic-unknown', facts: { position: 9 } });
    await expect(world.ask('DESCRIBE DELETE FROM flights')).rejects.toMatchObject({ code: expect.stringMatching(/^query-/) });
    await expect(world.ask('DESCRIBE')).rejects.toMatchObject({ code: 'query-forbidden' });
    await expect(world.ask("DESCRIBE SELECT * FROM read_text('/etc/passwd')")).rejects.toMatchObject({ code: 'query-forbidden' });
    await expect(world.ask('DESCRIBE SELECT 1; SELECT 2')).rejects.toMatchObject({ code: 'query-forbidden' });
    await expect(world.ask('SHOW ALL TABLES')).rejects.toMatchObject({ code: 'query-forbidden' });
    await expect(world.ask('EXPLAIN ANALYZE DELETE FROM flights')).rejects.toMatchObject({ code: 'query-forbidden' });
  });
});
