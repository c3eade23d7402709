/**
 * What a producer feels of a consumer that reads the whole cold log meanwhile: small batches at an even pace, each acknowledged from disk, with
 * and without a full backfill running, by turns. A third turn keeps the processors busy with nothing: what is felt then is the machine's.
 */
import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { Figures, short, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { forget, remember, treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';

export const about = 'produce latency with and without a full backfill of cold log';

const partitions = 4;
/** Some 3 MB/s, every batch flushed. */
const pace = { batchesPerSecond: 50, batchBytes: 64 * 1024 };
const aim = 2;
const busyMachine = 'beside two busy loops';

/** A process that does nothing as fast as it can, at a priority. Returns its end. */
function busyLoop(priority) {
  const loop = spawn(process.execPath, ['--eval', 'for (;;);'], { stdio: 'ignore' });
  remember(loop.pid);
  setPriority(loop.pid, priority);
  return () => {
    loop.kill('SIGKILL');
    forget(loop.pid);
  };
}

export async function run({ work, quick, rounds, note }) {
  const figures = new Figures();
  const producing = openChild('load-child.mjs');
  const reading = openChild('load-child.mjs');
  // So small a cache that every backfill is cold.
  const service = await startService({ dataDir: join(work, 'data'), set: { 'chunk.cache.bytes': String(128 * 2 ** 20) } });
  const bootstrap = service.kafka;
  try {
    note('preparing a cold topic');
    const set = await reading.ask('prepareMade', { name: 'events', records: quick ? 60_000 : 400_000, partitions });
    await reading.ask('create', { bootstrap, topic: 'cold', partitions });
    await reading.ask('produce', { bootstrap, topic: 'cold', name: 'events', acks: -1 });
    await service.flush('cold');
    await service.evict('cold');
    await reading.ask('create', { bootstrap, topic: 'hot', partitions: 1 });
    const seconds = quick ? 4 : 20;
    const measure = async (how, during, busy = []) => {
      note(how);
      const before = treeCpuSeconds(service.pid);
      const state = { goesOn: during, readBytes: 0 };
      const backfill = (async () => {
        while (state.goesOn) state.readBytes += (await reading.ask('consume', { bootstrap, topic: 'cold' })).bytes;
      })();
      const startMs = performance.now();
      const loops = busy.map(busyLoop);
      const produced = await producing.ask('produceSteadily', { bootstrap, topic: 'hot', seconds, ...pace });
      state.goesOn = false;
      for (const end of loops) end();
      await backfill;
      figures.add(how, {
        ...produced,
        backfillMbPerSecond: state.readBytes / 1e6 / ((performance.now() - startMs) / 1000),
        cpuSecondsPerSecond: (treeCpuSeconds(service.pid) - before) / ((performance.now() - startMs) / 1000),
      });
    };
    await measure('warming up', true);
    for (let round = 0; round < rounds; round++) {
      await measure('alone', false);
      await measure('during a backfill', true);
      await measure(busyMachine, false, [constants.priority.PRIORITY_NORMAL, constants.priority.PRIORITY_BELOW_NORMAL]);
    }
    return report(figures.spreads(), set);
  } finally {
    await Promise.all([producing.close(), reading.close()]);
    await service.stop();
  }
}

function report(spreads, set) {
  const { 'warming up': _, ...counted } = spreads;
  const columns = ['producer', 'p50 ms', 'p99 ms', 'max ms', 'backfill MB/s', 'CPU s/s'];
  const rows = Object.entries(counted).map(([how, figures]) => [
    how,
    ...['p50Ms', 'p99Ms', 'maxMs', 'backfillMbPerSecond', 'cpuSecondsPerSecond'].map((name) => shown(figures[name])),
  ]);
  const ratio = counted['during a backfill'].p99Ms.median / counted.alone.p99Ms.median;
  const busyRatio = counted[busyMachine].p99Ms.median / counted.alone.p99Ms.median;
  return {
    tables: [table('acks=all, 50 batches of 64 KB a second; median (min–max)', columns, rows)],
    notes: [`p99 during a backfill ÷ alone: ${short(ratio)} (aim ≤ ${aim}); beside two busy loops ÷ alone: ${short(busyRatio)}.`],
    skipped: [],
    figures: { spreads, set, ratio, busyRatio, aim },
  };
}
