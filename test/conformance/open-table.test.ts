// Readers that nobody here wrote find in every state of a table what a Kafka consumer gets, by the path of its metadata and by the REST
// catalog, on a directory and on S3: after appends, new columns, odd names, values at the edges of their types, after compaction,
// deleted records and retention, and in old snapshots.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alterTopic, deleteRecords, type ProducerRecord } from '../../src/client/index.js';
import { type BucketPlace, bucketPlaces, type PlacedLake } from '../support/bucket-places.js';
import { changedRound, mixedPartitions, oddRound, plainRound } from '../support/mixed-records.js';
import { askReader, type ReaderAnswers, type TableState, tableState } from '../support/open-table.js';
import { chdbPython, type OutsideTool, readersPython, sparkPython } from '../support/outside-tools.js';
import { eventually } from '../support/processes.js';

/** pyiceberg reads such a column, and takes its name in a filter for the path to a nested one. */
const dotted = /\./;
/** Those of the catalog read older states as snapshots of today's table, the others by the metadata files of the time. */
const readers: readonly { readonly name: string; readonly tool: OutsideTool; readonly cannotFilter?: RegExp }[] = [
  { name: 'pyiceberg', tool: readersPython, cannotFilter: dotted },
  { name: 'pyiceberg-catalog', tool: readersPython, cannotFilter: dotted },
  { name: 'duckdb', tool: readersPython },
  { name: 'duckdb-catalog', tool: readersPython },
  { name: 'polars', tool: readersPython },
  { name: 'datafusion', tool: readersPython },
  { name: 'chdb', tool: chdbPython },
  { name: 'spark-catalog', tool: sparkPython },
];

const json = (fields: Readonly<Record<string, unknown>>): Buffer => Buffer.from(JSON.stringify(fields));
const text = (value: string): Buffer => Buffer.from(value);

/** Files of their own, so that a bound that is too tight loses rows: the edges of each type, each far from the others. */
const edgeFiles: readonly (readonly Partial<ProducerRecord>[])[] = [
  [
    { value: text('{"l":9223372036854775807,"d":-0.0,"wide":1.7976931348623157e308,"t":"aaaaaaaaaaaaaaaaaaaaaaaa1","b":true}') },
    { key: Buffer.alloc(20, 0xff), value: json({ t: 'z'.repeat(15) + '\u{10ffff}'.repeat(4) }) },
  ],
  [
    { value: text('{"l":-9223372036854775808,"d":0.25,"wide":5e-324,"t":"aaaaaaaaaaaaaaaaaaaaaaaa2","b":false}'), timestampMs: 0 },
    { key: Buffer.alloc(20, 0x00), value: json({ t: '\u{10ffff}'.repeat(20) }), timestampMs: 1 },
  ],
  [
    { value: text('{"l":9007199254740993,"d":-1e15,"wide":-1.7976931348623157e308,"t":"aaaaaaaaaaaaaaa\\ud83d\\ude00bbb"}') },
    { key: Buffer.concat([Buffer.alloc(15, 0xff), Buffer.from([0x00]), Buffer.alloc(5, 0xff)]), value: json({ t: '' }) },
    { key: Buffer.alloc(0), value: Buffer.alloc(0), timestampMs: Date.UTC(10_000, 0, 1) },
  ],
  [
    { key: null, value: null },
    { value: Buffer.alloc(40, 0xfe) },
    { value: json({ t: '\ud7ff'.repeat(17) }), timestampMs: Date.UTC(9999, 11, 31) },
  ],
  [{ value: json({ l: null, d: null }) }, { value: json({ l: 0, d: 0, t: 'é'.repeat(16) }) }],
];

/** Fields whose names some engine may stumble over, of several kinds. */
const nameFiles: readonly (readonly Partial<ProducerRecord>[])[] = [
  [
    {
      value: json({ 'späße': 1, 'a.b': 2, 'select': 'x', 'x y': true, '日本': 1.5, '`tick`': 3, '"quoted"': 4, "it's": 5, 'tab\there': 6 }),
    },
    { value: json({ '_partition': 7, '_file': 'f', '_pos': 8, '_offset': 'mine', '_key': 1, 'Side': 'l', 'side': 'r', 'SIDE': 2, '': 9 }) },
  ],
  [
    { value: json({ 'v': 1, 'a': { b: 1 }, 'element': 1, 'key': 'k', 'x-y/z': 3, '#': 4 }) },
    {
      value: json({
        'v': 1.5,
        'v__double': 2,
        'v__text': 'x',
        'ſ': 1,
        's': 2,
        'İ': 3,
        'i': 4,
        'back\\slash': 5,
        'q?': 6,
        ['Ω'.repeat(60)]: 7,
      }),
    },
    { value: json({ v: 'text', 'a.b': 'text', 'a': 1, 'null': null, 'file_path': 1, 'row': 2, 'percent%20': 1, '$': 1, '{}': 2 }) },
  ],
];

/** For a file of several row groups, whose wide columns lie apart from the others. */
const largeRecords = Array.from({ length: 5_000 }, (_, n) => ({
  partition: 0,
  timestampMs: Date.UTC(2024, 0, 1) + n,
  key: text(`key ${n % 50}`),
  value: json({ n, even: n % 2 === 0, of: `of ${n % 7}`, text: `${n} `.repeat(1600) }),
}));

async function produceFiles(lake: PlacedLake['lake'], topic: string, files: typeof edgeFiles): Promise<void> {
  for (const file of files) {
    await lake.produce(
      topic,
      file.map((record) => ({ key: text('k'), value: null, timestampMs: Date.UTC(2024, 0, 1), partition: 0, ...record })),
    );
    await lake.cool(topic);
  }
}

/** Tables with fewer files than these do not change by themselves. */
const keptRounds = 10;
const quickUpkeep = { 'tier.upkeep.interval.ms': '1000', 'log.retention.check.interval.ms': '500' };

async function rewrites(lake: PlacedLake['lake']): Promise<number> {
  const metrics = await (await lake.http('/metrics')).text();
  return Number(/^thermocline_tier_rewrites_total (\d+)$/m.exec(metrics)?.[1] ?? 0);
}

/** A table whose files were put together, lost their heads, and were dropped. */
async function tellUpkeep(lake: PlacedLake['lake'], states: TableState[]): Promise<void> {
  const topic = 'kept';
  await lake.createTopic(topic, mixedPartitions, { ...anyTime, 'lake.delete.max.delay.ms': '1000' });
  // Each file of a partition of about one size, so that they are put together; some with nulls, the later ones with more columns.
  for (let n = 0; n < keptRounds; n++) {
    const nulls = Array.from({ length: mixedPartitions }, (_, partition) => ({ partition, key: null, value: null, timestampMs: n * 1000 }));
    const round = [...nulls, ...(n < 6 ? plainRound(120 + n) : changedRound(150 + n))];
    await lake.produce(topic, round);
    await lake.cool(topic);
  }
  const ends = (await lake.ends(topic)).map(([, end]) => end);
  const files = async (): Promise<readonly number[]> => (await lake.storage(topic)).map((partition) => partition.cold_files ?? 0);
  await eventually('files are put together', async () => (await files()).every((count) => count < keptRounds / 2) || undefined, 60_000);
  states.push(await tableState(lake, topic, 'merged'));

  const before = await rewrites(lake);
  await deleteRecords(lake.client, topic, [
    { partition: 0, before: 77 },
    { partition: 1, before: ends[1]! },
  ]);
  await eventually('a file has lost its head', async () => (await rewrites(lake)) > before || undefined, 60_000);
  await eventually('a partition has no files', async () => (await files())[1] === 0 || undefined, 60_000);
  states.push(await tableState(lake, topic, 'deleted'));

  await lake.produce(topic, plainRound(60));
  await lake.cool(topic);
  await alterTopic(lake.client, topic, { 'retention.bytes': '1' });
  await eventually('the oldest files are dropped', async () => (await lake.ends(topic))[0]![0] > 77 || undefined, 60_000);
  await alterTopic(lake.client, topic, { 'retention.bytes': '-1' });
  await lake.produce(topic, plainRound(30));
  await lake.cool(topic);
  states.push(await tableState(lake, topic, 'retained'));
}

const anyTime = { 'message.timestamp.after.max.ms': '9223372036854775807' };

/** States of several tables, in the order they came about. */
async function tellStory({ lake }: PlacedLake): Promise<readonly TableState[]> {
  const states: TableState[] = [];
  await lake.createTopic('events', mixedPartitions, anyTime);
  for (const [name, round] of [
    ['appended', plainRound(900)],
    ['widened', changedRound(300)],
    ['odd', oddRound()],
  ] as const) {
    await lake.produce('events', round, { compression: 'zstd' });
    await lake.cool('events');
    states.push(await tableState(lake, 'events', name));
  }
  await lake.createTopic('edges', 1, anyTime);
  await produceFiles(lake, 'edges', edgeFiles);
  states.push(await tableState(lake, 'edges', 'edges', true));
  await lake.createTopic('names', 1);
  await produceFiles(lake, 'names', nameFiles);
  states.push(await tableState(lake, 'names', 'names'));
  await lake.createTopic('large', 1);
  await lake.produce('large', largeRecords);
  await lake.cool('large');
  states.push(await tableState(lake, 'large', 'large'));
  await tellUpkeep(lake, states);
  return states;
}

for (const place of bucketPlaces) {
  describe.skipIf(place.skip || readers.every(({ tool }) => tool.path === undefined))(`a table ${place.name} is the same`, () => {
    checkPlace(place);
  });
}

function checkPlace(place: BucketPlace): void {
  let placed: PlacedLake;
  let states: readonly TableState[];

  beforeAll(async () => {
    placed = await place.start(quickUpkeep);
    states = await tellStory(placed);
  }, 240_000);
  afterAll(async () => {
    await placed?.lake[Symbol.asyncDispose]();
    await placed?.server?.stop();
  });

  it('to SQL and to a Kafka consumer', async () => {
    for (const { topic, name, columns, expected } of states.filter((state) => isNewest(state, states))) {
      // Our view shows one column a field; the base columns are the same everywhere.
      const base = columns.filter(([column]) => column.startsWith('_') && column in expected.columns).slice(0, 5);
      const items = base.map(([column, kind]) => {
        const shown = (end: string): string =>
          kind === 'bytes'
            ? `lower(hex(${end}(${column})))`
            : kind === 'time'
              ? `epoch_ms(${end}(${column}))::VARCHAR`
              : `${end}(${column})::VARCHAR`;
        return `count(${column}), ${shown('min')}, ${shown('max')}`;
      });
      const [row] = await placed.lake.sql(`SELECT count(*), ${items.join(', ')} FROM "${topic}"`);
      const wanted = base.flatMap(([column]) => (expected.columns[column] ?? []).slice(0, 3));
      expect([name, ...(row ?? [])]).toEqual([name, expected.rows, ...wanted]);
    }
  });

  for (const reader of readers) {
    it.skipIf(reader.tool.path === undefined)(
      `to ${reader.name}${reader.tool.note}`,
      async () => {
        const { lake, server } = placed;
        const { cannotFilter } = reader;
        const asked = cannotFilter === undefined ? states : states.map((state) => withoutFilters(state, cannotFilter));
        const answers = await askReader(reader.name, asked, {
          python: reader.tool.path ?? '',
          catalog: `${lake.service.http}/iceberg`,
          s3: server,
        });
        expect(differences(asked, answers)).toEqual([]);
      },
      600_000,
    );
  }
}

function isNewest(state: TableState, states: readonly TableState[]): boolean {
  return states.findLast(({ topic }) => topic === state.topic) === state;
}

function withoutFilters(state: TableState, columns: RegExp): TableState {
  const kept = state.filters.map(([column]) => !columns.test(column));
  const { filters } = state.expected;
  return {
    ...state,
    filters: state.filters.filter((_, i) => kept[i]),
    expected: { ...state.expected, filters: filters.filter((_, i) => kept[i]) },
  };
}

/** One line for each number that is not what it should be, so that a failure says where and not only that. */
function differences(states: readonly TableState[], answers: ReaderAnswers): string[] {
  return states.flatMap(({ name, columns, filters, expected }) => {
    const answer = answers[name];
    if (answer === undefined || 'error' in answer) return [`${name}: ${answer?.error ?? 'no answer'}`];
    const lines: string[] = [];
    const compare = (what: string, found: unknown, wanted: unknown): void => {
      if (JSON.stringify(found) !== JSON.stringify(wanted))
        lines.push(`${name} ${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
    };
    compare('rows', answer.rows, expected.rows);
    compare('headers', answer.headers, expected.headers);
    for (const [column] of columns) compare(column, answer.columns[column], expected.columns[column]);
    for (const [i, filter] of filters.entries()) compare(filter.join(' '), answer.filters[i], expected.filters[i]);
    return lines;
  });
}
