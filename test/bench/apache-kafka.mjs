// The peer: one Apache Kafka 4.4 broker on this machine, with its own defaults. Not needed; without it the benches say so.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { remember } from './processes.mjs';
import { endPid, root } from './service.mjs';

const startDeadlineMs = 90_000;

/** Where Kafka and the scripts are, or why there is no peer. */
export function findKafka() {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const kafka = process.env.THERMOCLINE_TEST_KAFKA44 ?? join(cache, 'thermocline/kafka44');
  const tools = process.env.THERMOCLINE_TEST_TOOLS ?? join(root, '../shared/tools');
  const script = join(tools, 'kafka44-start.sh');
  if (!existsSync(join(kafka, 'libs'))) return { missing: 'THERMOCLINE_TEST_KAFKA44 names no folder with Apache Kafka 4.4' };
  if (!existsSync(script)) return { missing: 'THERMOCLINE_TEST_TOOLS names no folder with kafka44-start.sh' };
  return { kafka, script };
}

function listen(port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const { port: taken } = server.address();
      server.close(() => resolve(taken));
    });
  });
}

/** A port that is free now. */
export function freePort() {
  return listen(0);
}

/** A port that is free with the one after it, for the controller. */
async function freePortPair() {
  for (let tries = 0; tries < 50; tries++) {
    const port = await listen(0);
    try {
      if (port < 65_535) return (await listen(port + 1)) - 1;
    } catch {
      // The second one is taken: another pair.
    }
  }
  throw new Error('no two free ports side by side');
}

/** Properties of a broker with its own tiered storage in local files: the storage manager of Kafka's tests, which copies at once. */
export function tieredStorage({ kafka }, dir) {
  return [
    'remote.log.storage.system.enable=true',
    'remote.log.storage.manager.class.name=org.apache.kafka.server.log.remote.storage.LocalTieredStorage',
    `remote.log.storage.manager.class.path=${join(kafka, 'tier')}/*`,
    `rsm.config.dir=${dir}`,
    'remote.log.metadata.manager.listener.name=PLAINTEXT',
    'rlmm.config.remote.log.metadata.topic.replication.factor=1',
    'rlmm.config.remote.log.metadata.topic.num.partitions=1',
    'remote.log.manager.task.interval.ms=1000',
    'log.retention.check.interval.ms=1000',
    'log.initial.task.delay.ms=1000',
    'log.segment.delete.delay.ms=1000',
  ];
}

/**
 * Starts the broker in an empty folder, or in one it left, with further lines of its properties; `wantedPort` where it is to have the one it
 * had. `readyMs` is the script's own measure, without formatting the folder.
 */
export async function startKafka({ kafka, script }, dataDir, lines = [], wantedPort) {
  const port = wantedPort ?? (await freePortPair());
  const args = [script, kafka, String(port), dataDir, ...lines];
  const { stdout, stderr } = await promisify(execFile)('bash', args, { timeout: startDeadlineMs });
  const pid = Number(stdout.trim());
  remember(pid);
  return {
    pid,
    port,
    kafka: `127.0.0.1:${port}`,
    readyMs: Number(/up after (\d+) ms/.exec(stderr)?.[1] ?? Number.NaN),
    stop: () => endPid(pid),
  };
}
