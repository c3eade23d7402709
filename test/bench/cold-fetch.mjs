/**
 * A consumer that starts at offset 0: while the log is on local disk, after it was evicted with nothing hydrated yet, and again
 * with the chunks that the first cold reading left. With what it costs the broker and the tier daemon.
 */
import { join } from 'node:path';
import { Figures, shown, table } from './figures.mjs';
import { flightsFile } from './flights.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';

export const about = 'consume from offset 0 after eviction, beside the same while hot';

const partitions = 6;

export async function run({ work, quick, rounds, note }) {
  const skipped = flightsFile() === undefined ? ['real flights: vega-datasets is not installed; made-up ones were used'] : [];
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const service = await startService({ dataDir: join(work, 'data') });
  try {
    note('preparing batches');
    const sets = {
      flights: await load.ask('prepareFlights', { name: 'flights', records: quick ? 200_000 : 1_000_000, partitions }),
      events: await load.ask('prepareMade', { name: 'events', records: quick ? 30_000 : 150_000, partitions }),
    };
    const bootstrap = service.kafka;
    const { broker, tier } = service.roles();
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`);
      for (const [name, { records, valueBytes }] of Object.entries(sets)) {
        const topic = `${name}-${round}`;
        const consume = async (how) => {
          const before = { broker: cpuSeconds(broker), tier: treeCpuSeconds(tier) };
          const done = await load.ask('consume', { bootstrap, topic });
          if (done.records !== records) throw new Error(`${topic}: ${done.records} records were read, ${records} produced`);
          const gb = valueBytes / 1e9;
          figures.add(`${name}|${how}`, {
            mbPerSecond: valueBytes / 1e6 / (done.ms / 1000),
            brokerCpuSecondsPerGb: (cpuSeconds(broker) - before.broker) / gb,
            tierCpuSecondsPerGb: (treeCpuSeconds(tier) - before.tier) / gb,
            sentShare: done.bytes / valueBytes,
          });
        };
        await load.ask('create', { bootstrap, topic, partitions });
        await load.ask('produce', { bootstrap, topic, name, acks: -1 });
        await service.flush(topic);
        await consume('hot');
        await service.evict(topic);
        const { partitions: states } = await service.storage(topic);
        const left = states.filter((state) => state.local_start_offset < state.high_watermark);
        if (left.length > 0) throw new Error(`${topic}: ${left.length} partitions were not evicted`);
        await consume('cold');
        await consume('hydrated');
        await load.ask('remove', { bootstrap, topic });
      }
    }
    return report(figures.spreads(), sets, skipped);
  } finally {
    await load.close();
    await service.stop();
  }
}

function report(spreads, sets, skipped) {
  const rows = Object.entries(spreads).map(([row, figures]) => {
    const [name, how] = row.split('|');
    const size = Math.round(sets[name].valueBytes / sets[name].records);
    return [
      `${name} (${size} B), ${how}`,
      shown(figures.mbPerSecond),
      shown(figures.brokerCpuSecondsPerGb),
      shown(figures.tierCpuSecondsPerGb),
      shown(figures.sentShare),
    ];
  });
  const columns = ['topic', 'MB values/s', 'broker CPU s/GB', 'tier CPU s/GB', 'sent/values'];
  return {
    tables: [table('a consumer from offset 0; median (min–max)', columns, rows)],
    notes: ['hot: on local disk (lz4, as produced); cold: evicted, chunk cache without this topic; hydrated: the same again.'],
    skipped,
    figures: { spreads, sets },
  };
}
