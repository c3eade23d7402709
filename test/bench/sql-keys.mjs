/** One key's records out of a hundred and a thousand cold files by SQL, and `latest(topic)`; keys lie all over the files, so bounds do not help. */
import { Figures, shown, table } from './figures.mjs';
import { recordKeys } from './sql-records.mjs';
import { mustBeSame, openLake, recordsFor } from './sql-lake.mjs';

export const about = 'records of one key out of 100 and 1,000 cold files, by SQL and by route, and latest(topic)';

const partitions = 10;
const aimMs = { 100: 20, 1000: 150 };

export async function run({ work, quick, rounds, note, gib }) {
  const records = recordsFor(gib, quick ? 10_000 : 200_000);
  const counts = quick ? [20] : [100, 1000];
  const skipped = new Set();
  const figures = new Figures();
  const lake = await openLake(work);
  try {
    for (const files of counts) {
      const topic = `keys${files}`;
      note(`filling ${files} cold files`);
      await lake.prepareRecords(topic, partitions, { to: records, batchRecords: Math.floor((records * partitions) / files / 2) });
      const cold = await lake.fillFiles(topic, partitions, files);
      for (let time = -2; time < Math.max(10, rounds); time++) {
        const key = `key-${(time + 7) * 13}`;
        const { ours, theirs } = await lake.askBoth('key', `SELECT id, status FROM ${topic} WHERE _key = '${key}' ORDER BY id`);
        const viaRoute = await byRoute(lake.service, topic, key, skipped);
        const peerLatest = `SELECT count(*), sum(id) FROM (SELECT max(id) AS id FROM ${topic} GROUP BY _key)`;
        const latest =
          time < 0 || time > 2 ? undefined : await lake.askBoth('latest', `SELECT count(*), sum(id) FROM latest(${topic})`, peerLatest);
        if (time < 0) continue;
        const name = `${cold} cold files`;
        figures.add(name, { ms: ours.ms, duckDbMs: theirs.ms, read: ours.stats.cold_files, pruned: ours.stats.pruned_files });
        if (viaRoute !== undefined) figures.add(name, { routeMs: viaRoute.ms });
        if (latest !== undefined) figures.add(name, { latestMs: latest.ours.ms, latestDuckDbMs: latest.theirs.ms });
      }
      const absent = await lake.ask(`SELECT id FROM ${topic} WHERE _key = 'key-no'`);
      mustBeSame('a key that is not there', absent.rows, []);
    }
  } finally {
    await lake.stop();
  }
  const spreads = figures.spreads();
  const shownOf = ['ms', 'routeMs', 'duckDbMs', 'read', 'pruned', 'latestMs', 'latestDuckDbMs'];
  const rows = Object.entries(spreads).map(([name, row]) => [name, ...shownOf.map((one) => shown(row[one]))]);
  const columns = ['log', 'SQL ms', 'route ms', 'DuckDB ms', 'files read', 'pruned', 'latest() ms', 'DuckDB ms'];
  return {
    tables: [
      table(`${records.toLocaleString('en-US')} records of 1 KiB, ${recordKeys} keys; ms at the client, median (min–max)`, columns, rows),
    ],
    notes: [`aims: ≤ ${aimMs[100]} ms over 100 cold files, ≤ ${aimMs[1000]} ms over 1,000. Rows compared with DuckDB's over one file.`],
    skipped: [...skipped],
    figures: { spreads, records, aimMs },
  };
}

/** The latest record of a key by its route; undefined where this build has no such route. */
async function byRoute(service, topic, key, skipped) {
  const startMs = performance.now();
  const response = await fetch(new URL(`/v1/topics/${topic}/keys/${key}`, service.http));
  await response.text();
  if (response.ok) return { ms: performance.now() - startMs };
  if (response.status !== 404) throw new Error(`the route of key ${key} answered ${response.status}`);
  skipped.add('the route of a key: this build has none');
  return undefined;
}
