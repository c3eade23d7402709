// Equality of bytes that are no text, in columns of few values: what DuckDB leaves out by a file's Bloom filter is to be what is not there.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const kinds = ['00', '0000', 'ff', 'ff00', '5c', '5c783030', '61', ''] as const;
const perKind = 40;
const rows = kinds.length * perKind;

describe.each([
  ['linked where they lie', false],
  ['fetched whole', true],
])('bytes in the tail and in cold files %s', (_, isFetched) => {
  let world: QueryWorld;
  beforeAll(async () => {
    const store = isFetched ? { store: new MemoryStore({ clock: systemClock }) } : {};
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1, ...store });
    for (const topic of ['cold', 'hot', 'both']) {
      world.createTopic(topic, 1, { 'lake.value.format': 'bytes' });
      const records = Array.from({ length: rows }, (__, at) => {
        const bytes = Buffer.from(kinds[at % kinds.length]!, 'hex');
        return { timestampMs: at, key: bytes, value: bytes };
      });
      world.append(topic, 0, records);
      if (topic !== 'hot') await world.makeCold(topic, 0, topic === 'cold' ? rows : rows / 2);
    }
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it.each(['cold', 'hot', 'both'])('are found by equality (%s)', async (topic) => {
    for (const column of ['_key', '_value']) {
      // The first question encodes the tail.
      for (let round = 0; round < 2; round++) {
        for (const kind of kinds) {
          const bytes = `'${kind.replaceAll(/../g, String.raw`\x$&`)}'::BLOB`;
          const { rows: counted } = await world.ask(`SELECT count(*) FROM "${topic}" WHERE ${column} = ${bytes}`);
          expect([kind, column, counted]).toEqual([kind, column, [[perKind]]]);
        }
        await world.service.settled();
      }
      const joined = `SELECT count(*) FROM "${topic}" a JOIN (SELECT DISTINCT ${column} AS k FROM "${topic}" WHERE hex(${column}) = 'FF00') b ON a.${column} = b.k`;
      expect((await world.ask(joined)).rows).toEqual([[perKind]]);
    }
  });
});
