/**
 * Aggregates over ranges of time, most of the log cold, the end hot, beside DuckDB on one typed, sorted Parquet file with the same
 * threads and memory: the first run, the second right behind it, then warm, when what the first set off (the typed columns of a hot tail)
 * has come to its end.
 */
import { Figures, shown, table } from './figures.mjs';
import { memoryBytes, openLake, threads } from './sql-lake.mjs';
import { prepareRanges, sizesOf } from './sql-range-questions.mjs';

export const about = 'aggregates over ranges of time over both tiers, first and warm, beside DuckDB';

const coldShare = 0.85;
const aim = { times: 1.3, moreMs: 30 };

export async function run({ work, quick, rounds, note, gib }) {
  const sizes = sizesOf(quick, gib);
  const figures = new Figures();
  const stats = {};
  note('filling a lake in a directory');
  const lake = await openLake(work);
  try {
    const questions = await prepareRanges(lake, work, sizes, coldShare);
    for (const [topic, asked] of Object.entries(questions)) {
      for (const { name, sql } of asked) {
        note(`${topic}, ${name}`);
        for (let time = 0; time <= 1 + Math.max(5, rounds); time++) {
          const { ours, theirs } = await lake.askBoth(name, sql);
          const row = `${topic}, ${name}`;
          if (time === 0) figures.add(row, { firstMs: ours.ms });
          else if (time > 1) figures.add(row, { warmMs: ours.ms, duckDbMs: theirs.ms });
          else {
            figures.add(row, { secondMs: ours.ms });
            await lake.rest();
          }
          stats[row] = ours.stats;
        }
      }
    }
  } finally {
    await lake.stop();
  }
  return report(figures.spreads(), stats, sizes);
}

function report(spreads, stats, sizes) {
  const rows = Object.entries(spreads).map(([name, row]) => {
    const allowed = Math.max(aim.times * row.duckDbMs.median, row.duckDbMs.median + aim.moreMs);
    return [
      name,
      shown(row.firstMs),
      shown(row.secondMs),
      shown(row.warmMs),
      shown(row.duckDbMs),
      `${row.secondMs.median <= allowed ? 'yes' : 'no'} · ${row.warmMs.median <= allowed ? 'yes' : 'no'}`,
      stats[name].hot_rows,
    ];
  });
  const columns = ['aggregate', 'first ms', 'second ms', 'warm ms', 'DuckDB ms', 'second · warm in aim', 'hot rows'];
  const title = `${sizes.flights.toLocaleString('en-US')} flights, ${sizes.records.toLocaleString('en-US')} records of 1 KiB, ${threads} threads; ms at the client, median (min–max)`;
  return {
    tables: [table(title, columns, rows)],
    notes: [`aim: within ${aim.times}× of DuckDB or +${aim.moreMs} ms, the larger. Same rows on both sides.`],
    skipped: [],
    figures: { spreads, stats, sizes, threads, memoryBytes, aim },
  };
}
