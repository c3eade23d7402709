/** This machine: Node, the data directory, the disk, the ports. */
import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { parseHostPort, placesOf, type ServerConfig } from '../../config/index.js';
import { formatBytes, packageRoot } from '../../kernel/index.js';
import { checked, fail, type Finding, ok, warn } from './finding.js';

const connectMs = 1_000;

export async function machineChecks(config: ServerConfig, isServiceUp: boolean): Promise<readonly Finding[]> {
  const { dataDir } = placesOf(config);
  const findings = [
    checked('node', () => checkNode()),
    checked('data directory', () => checkDataDir(dataDir)),
    checked('disk', () => checkDisk(config, dataDir)),
    ...(['kafka.listen', 'http.listen'] as const).map((key) => checked(key, () => checkPort(key, config.get(key), isServiceUp))),
  ];
  return (await Promise.all(findings)).flat();
}

/** The cluster id of the data directory; `undefined` where it has none yet. */
export async function clusterOf(config: ServerConfig): Promise<string | undefined> {
  try {
    const text = await readFile(join(placesOf(config).dataDir, 'meta.properties'), 'utf8');
    return /^cluster\.id=(.+)$/m.exec(text)?.[1]?.trim();
  } catch {
    return undefined;
  }
}

async function checkNode(): Promise<Finding> {
  const { engines } = JSON.parse(await readFile(`${packageRoot}package.json`, 'utf8')) as { engines: { node: string } };
  const [least = [], has = []] = [engines.node, process.versions.node].map((text) => (text.match(/\d+/g) ?? []).map(Number));
  const at = least.findIndex((part, index) => part !== (has[index] ?? 0));
  const isOld = at >= 0 && (has[at] ?? 0) < least[at]!;
  if (isOld) return fail('node', `${process.versions.node}, needed is ${engines.node}`, `Install Node ${engines.node}.`);
  return ok('node', process.versions.node);
}

async function checkDataDir(dataDir: string): Promise<Finding> {
  const found = await stat(dataDir).catch(() => null);
  if (found === null) return warn('data directory', `${dataDir} is not there`, 'Nothing to do before the first start: it is made then.');
  if (!found.isDirectory()) return fail('data directory', `${dataDir} is no directory`, 'Correct data.dir.');
  try {
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return fail(
      'data directory',
      `${dataDir} may not be written by this user`,
      'Give the user of the service the right to read and write it.',
    );
  }
  return ok('data directory', dataDir);
}

async function checkDisk(config: ServerConfig, dataDir: string): Promise<Finding> {
  let folder = dataDir;
  while ((await stat(folder).catch(() => null)) === null && dirname(folder) !== folder) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const detail = `${formatBytes(free)} free at ${folder}`;
  const [low, reserve] = [config.get('disk.low.bytes'), config.get('disk.reserve.bytes')];
  if (free < reserve) {
    const hint = 'Free space, lower hot.disk.bytes or local.retention.*, or lower disk.reserve.bytes.';
    return fail('disk', `${detail}: below disk.reserve.bytes (${formatBytes(reserve)}), produce is refused`, hint);
  }
  if (free < low) return warn('disk', `${detail}: below disk.low.bytes (${formatBytes(low)}), caches are dropped`, 'Free space soon.');
  return ok('disk', detail);
}

async function checkPort(key: string, text: string, isServiceUp: boolean): Promise<Finding> {
  const { host, port } = parseHostPort(key, text);
  if (port === 0) return ok(key, `${text}: a free port is picked`);
  const isTaken = await answers(host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port);
  if (!isTaken) return ok(key, `${text} is free`);
  if (isServiceUp) return ok(key, `${text} answers, and the service runs`);
  return warn(key, `something else listens on ${text}`, `End it, or set ${key}; or name the running service with --server.`);
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectMs });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false));
  });
}
