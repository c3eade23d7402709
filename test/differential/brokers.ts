// The two brokers: Apache Kafka 4.4 and ours, each started once for all sequences, and the versions that both serve.
import { execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { apis } from '../../src/wire/index.js';
import { kafka44 } from '../support/outside-tools.js';
import { type RunningService, startService, temporaryFolder } from '../support/service.js';
import { freePort } from '../support/versitygw.js';
import type { Pair } from './run.js';
import { Side } from './side.js';

const startTriesMax = 600;
/** Both assign with every change: which heartbeat does would be a matter of the clock otherwise (KIP-1263). */
const assignmentIntervalMs = '0';

interface Peer {
  readonly address: string;
  stop(): Promise<void>;
}

/** One node that is broker and controller, as Kafka's own defaults have it but for one replica of internal topics. */
async function startKafka(folder: string): Promise<Peer> {
  const [port, controllerPort] = [await freePort(), await freePort()];
  const address = `127.0.0.1:${port}`;
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://${address},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${address},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': join(folder, 'logs'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.consumer.assignment.interval.ms': assignmentIntervalMs,
  };
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'server.properties');
  await writeFile(
    file,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const jars = kafka44.path ?? '';
  const java = [`-Dlog4j2.configurationFile=${join(jars, 'tools-log4j2.xml')}`, '-Xmx1G', '-cp', join(jars, 'libs', '*')];
  const format = ['kafka.tools.StorageTool', 'format', '--standalone', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', file];
  await promisify(execFile)('java', [...java, ...format]);
  const child = spawn('java', [...java, 'kafka.Kafka', file], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const killed = (): void => void child.kill('SIGKILL');
  process.once('exit', killed);
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    process.off('exit', killed);
  };
  for (let tries = 0; child.exitCode === null && tries < startTriesMax; tries++) {
    if (await isListening(port)) return { address, stop };
    await sleep(100);
  }
  await stop();
  throw new Error('Apache Kafka did not start');
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export interface Brokers extends Pair {
  /** By API key, what both serve. */
  readonly versions: ReadonlyMap<number, readonly [number, number]>;
  stop(): Promise<void>;
}

/** Starts both. THERMOCLINE_TEST_DIFFER_KAFKA names an Apache Kafka 4.4 that runs already: `127.0.0.1:9092`. */
export async function startBrokers(): Promise<Brokers> {
  const folder = await temporaryFolder();
  const given = process.env['THERMOCLINE_TEST_DIFFER_KAFKA'];
  const there: Peer | undefined = given === undefined ? undefined : { address: given, stop: () => Promise.resolve() };
  const kafka = there ?? (await startKafka(join(folder.path, 'kafka')));
  let service: RunningService | undefined;
  const stop = async (): Promise<void> => {
    await service?.stop();
    await kafka.stop();
    await folder.remove();
  };
  try {
    service = await startService({
      command: ['broker'],
      dataDir: join(folder.path, 'data'),
      set: { 'group.consumer.assignment.interval.ms': assignmentIntervalMs },
    });
    const pair = { kafka: kafka.address, ours: service.kafka };
    const [theirs, ours] = await Promise.all([versionsAt(pair.kafka), versionsAt(pair.ours)]);
    await Promise.all([coordinates(pair.kafka), coordinates(pair.ours)]);
    const versions = new Map<number, readonly [number, number]>();
    for (const { key, minVersion, maxVersion } of apis) {
      const [a, b] = [theirs.get(key), ours.get(key)];
      if (a !== undefined && b !== undefined) versions.set(key, [Math.max(a[0], b[0], minVersion), Math.min(a[1], b[1], maxVersion)]);
    }
    return { ...pair, versions, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Kafka creates the topic of its groups' offsets when first asked for a coordinator, and fetches its first producer ids when asked for one. */
async function coordinates(address: string): Promise<void> {
  const side = new Side(address, { run: 'coordinator', runMs: 0 });
  for (let tries = 0; tries < startTriesMax; tries++) {
    const answers = [
      await side.ask({ api: 10, version: 1, body: { key: 'g', keyType: 0 } }),
      await side.ask({ api: 22, version: 0, body: { transactionalId: null, transactionTimeoutMs: 60_000 } }),
    ];
    if (answers.every((answer) => 'body' in answer && (answer.body as { errorCode: number }).errorCode === 0)) break;
    await sleep(50);
  }
  side.close();
}

async function versionsAt(address: string): Promise<ReadonlyMap<number, readonly [number, number]>> {
  const side = new Side(address, { run: 'versions', runMs: 0 });
  const answer = await side.ask({ api: 18, version: 0, body: {} });
  side.close();
  if (!('body' in answer)) throw new Error(`${address} does not say which versions it serves`);
  const { apiKeys } = answer.body as { apiKeys: { apiKey: number; minVersion: number; maxVersion: number }[] };
  return new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]));
}
