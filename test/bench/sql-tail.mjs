/** A hot tail that grows between two questions: what the second costs, and how many rows are fetched from the broker for it. */
import { Figures, shown, table } from './figures.mjs';
import { openLake, recordsFor } from './sql-lake.mjs';

export const about = 'a question again after the hot tail has grown: ms, and what is staged for it';

const partitions = 4;
const steps = 10;
const firstShare = 0.6;
const sql = 'SELECT service, count(*) AS n, sum(bytes_out) AS bytes FROM tail GROUP BY service ORDER BY service';

export async function run({ work, quick, rounds, note, gib }) {
  const records = recordsFor(gib, quick ? 20_000 : 200_000);
  const figures = new Figures();
  const lake = await openLake(work);
  try {
    await lake.prepareRecords('tail', partitions, { to: records, batchRecords: Math.round(records / 200) }, false);
    let topic;
    let produced;
    const grow = async (from, to) => {
      produced += (await lake.produce(topic, from, to, 'tail')).records;
    };
    const ask = async (row) => {
      const { rows, stats, ms } = await lake.ask(sql.replace('FROM tail', `FROM ${topic}`));
      const counted = rows.reduce((sum, [, n]) => sum + Number(n), 0);
      if (counted !== produced) throw new Error(`${counted} rows were counted, ${produced} were produced`);
      figures.add(row, { ms, hotRows: stats.hot_rows, stagedRows: stats.staged_rows });
    };
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`);
      [topic, produced] = [`tail-${round}`.replace('-', '_'), 0];
      await lake.create(topic, partitions);
      await grow(0, firstShare);
      await ask('first, all new');
      await ask('again, nothing new');
      const step = (1 - firstShare) / steps;
      for (let at = 0; at < steps; at++) {
        await grow(firstShare + at * step, firstShare + (at + 1) * step);
        await ask(`again, ${(step * 100).toFixed(0)} % of it new`);
      }
      await lake.load.ask('remove', { bootstrap: lake.service.kafka, topic });
    }
  } finally {
    await lake.stop();
  }
  const spreads = figures.spreads();
  const rows = Object.entries(spreads).map(([name, row]) => [name, shown(row.ms), shown(row.hotRows), shown(row.stagedRows)]);
  return {
    tables: [
      table(
        `${records.toLocaleString('en-US')} hot records of 1 KiB; median (min–max)`,
        ['question', 'ms', 'hot rows', 'rows fetched'],
        rows,
      ),
    ],
    notes: ['Every answer counted all records produced.'],
    skipped: [],
    figures: { spreads, records },
  };
}
