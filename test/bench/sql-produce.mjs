/** Producing with acks=all while four clients ask one aggregate after another, beside producing alone, by turns. */
import { Figures, shown, table } from './figures.mjs';
import { openLake, recordsFor, threads } from './sql-lake.mjs';

export const about = 'MB/s of a producer beside four clients that ask aggregates, and alone';

const partitions = 4;
const clients = 4;
const aim = 0.8;
/** The prepared records are sent so often. */
const times = 3;
const sql = 'SELECT service, count(*) AS n, avg(duration_ms) AS mean FROM asked GROUP BY service ORDER BY service';

export async function run({ work, quick, rounds, note, gib }) {
  const records = recordsFor(gib, quick ? 20_000 : 300_000);
  const figures = new Figures();
  const lake = await openLake(work);
  try {
    await lake.prepareRecords('asked', partitions, { to: records }, false);
    await lake.fill('asked', partitions, 0.85);
    const expected = JSON.stringify((await lake.ask(sql)).rows);
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      for (const isBeside of [false, true]) {
        const topic = `produced_${round + 1}_${isBeside}`;
        await lake.create(topic, partitions);
        const over = new AbortController();
        let queries = 0;
        const asking = Array.from({ length: isBeside ? clients : 0 }, async () => {
          while (!over.signal.aborted) {
            if (JSON.stringify((await lake.ask(sql)).rows) !== expected) throw new Error('an answer differed while producing');
            queries++;
          }
        });
        const [total, startMs] = [{ valueBytes: 0, sent: 0 }, performance.now()];
        for (let time = 0; time < times; time++) {
          const { valueBytes, records: sent } = await lake.produce(topic, 0, 1, 'asked');
          total.valueBytes += valueBytes;
          total.sent += sent;
        }
        const ms = performance.now() - startMs;
        over.abort();
        await Promise.all(asking);
        if (round >= 0)
          figures.add(isBeside ? `beside ${clients} clients that ask` : 'alone', {
            mbPerSecond: total.valueBytes / 1e3 / ms,
            queries: queries / (ms / 1000),
          });
        const { partitions: states } = await lake.service.storage(topic);
        const ends = states.reduce((sum, state) => sum + state.high_watermark, 0);
        if (ends !== total.sent) throw new Error(`${topic} holds ${ends} records, ${total.sent} were sent`);
        // The next one begins with the tier daemon at rest.
        await lake.service.flush(topic);
        await lake.load.ask('remove', { bootstrap: lake.service.kafka, topic });
      }
    }
  } finally {
    await lake.stop();
  }
  const spreads = figures.spreads();
  const alone = spreads.alone.mbPerSecond.median;
  const rows = Object.entries(spreads).map(([name, row]) => [
    name,
    shown(row.mbPerSecond),
    (row.mbPerSecond.median / alone).toFixed(2),
    shown(row.queries),
  ]);
  return {
    tables: [table(`values of 1 KiB, acks=all, ${threads} threads; median (min–max)`, ['producer', 'MB/s', '÷ alone', 'queries/s'], rows)],
    notes: [`aim: ≥ ${aim} of alone. Client, service and query engines share this machine's cores.`],
    skipped: [],
    figures: { spreads, records, aim },
  };
}
