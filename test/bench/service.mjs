// Starts the real command in a folder of its own on free ports, and talks to it as its users do.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuSeconds, forget, remember, rolePids, signal, treeCpuSeconds } from './processes.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = join(root, 'src/cli/thermocline.mjs');
const readyDeadlineMs = 60_000;
const stopDeadlineMs = 15_000;
/** Logs are only shown where something fails. */
const logCharactersMax = 20_000;

/** Without settings of this machine that would reach the product. */
function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('THERMOCLINE_')));
}

/** Spawns `serve` (or one role) and resolves at its `ready` event. */
export function startService({ dataDir, command = ['serve'], set = {}, environment = {} }) {
  const settings = { 'kafka.listen': '127.0.0.1:0', 'http.listen': '127.0.0.1:0', 'log.level': 'warn', ...set };
  const args = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const spawnedMs = performance.now();
  const child = spawn(process.execPath, [launcher, ...command, '--data-dir', dataDir, ...args], {
    cwd: root,
    env: { ...cleanEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  remember(child.pid);
  let log = '';
  child.stderr.on('data', (chunk) => {
    log = (log + chunk.toString()).slice(-logCharactersMax);
  });
  const ended = new Promise((resolve) => {
    child.once('exit', (code, name) => {
      forget(child.pid);
      resolve(code ?? name);
    });
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${command[0]} was not ready within ${readyDeadlineMs} ms:\n${log}`));
    }, readyDeadlineMs);
    void ended.then((how) => {
      clearTimeout(timer);
      reject(new Error(`${command[0]} ended with ${how} before it was ready:\n${log}`));
    });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk.toString();
      for (let at = out.indexOf('\n'); at >= 0; at = out.indexOf('\n')) {
        const event = JSON.parse(out.slice(0, at));
        out = out.slice(at + 1);
        if (event.event !== 'ready') continue;
        clearTimeout(timer);
        const readyMs = performance.now() - spawnedMs;
        resolve(new RunningService(child, event, { readyMs, readyCpuSeconds: treeCpuSeconds(child.pid), ended, log: () => log }));
      }
    });
  });
}

class RunningService {
  #child;
  #ended;

  constructor(child, { kafka, http }, { readyMs, readyCpuSeconds, ended, log }) {
    this.#child = child;
    this.#ended = ended;
    this.pid = child.pid;
    this.kafka = kafka;
    this.http = http;
    this.readyMs = readyMs;
    this.readyCpuSeconds = readyCpuSeconds;
    this.log = log;
  }

  /** Role → process id, of `serve`. */
  roles() {
    return rolePids(this.pid);
  }

  async #call(path, init = {}) {
    const response = await fetch(new URL(path, this.http), { ...init, headers: { 'x-thermocline': '1', ...init.headers } });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}\n${this.log()}`);
    return response;
  }

  async sql(sql) {
    const answer = await (
      await this.#call('/v1/query', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sql }) })
    ).json();
    if (answer.error !== undefined) throw new Error(`${sql}: ${JSON.stringify(answer.error)}`);
    return answer;
  }

  async storage(topic) {
    return (await this.#call(`/v1/topics/${topic}/storage`)).json();
  }

  async flush(topic) {
    await this.#call(`/v1/tier/flush?topic=${topic}`, { method: 'POST' });
  }

  async evict(topic) {
    await this.#call(`/v1/tier/evict?topic=${topic}`, { method: 'POST' });
  }

  /** Sum of a metric over all its labels. */
  async metricSum(name) {
    const text = await (await this.#call('/metrics')).text();
    const lines = text.matchAll(new RegExp(`^thermocline_${name}(?:\\{.*\\})? ([-+.e\\d]+)$`, 'gm'));
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** Metric → value, of those without labels. */
  async metrics() {
    const text = await (await this.#call('/metrics')).text();
    return Object.fromEntries([...text.matchAll(/^thermocline_(\w+) ([-+.e\d]+)$/gm)].map(([, name, value]) => [name, Number(value)]));
  }

  /** Every sample of one metric that has labels. */
  async labelled(name) {
    const text = await (await this.#call('/metrics')).text();
    return [...text.matchAll(new RegExp(`^thermocline_${name}\\{(.*)\\} ([-+.e\\d]+)$`, 'gm'))].map(([, labels, value]) => ({
      labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
      value: Number(value),
    }));
  }

  /** SIGTERM, then SIGKILL if it must. */
  async stop() {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopDeadlineMs);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Waits until the tier daemon has read all there is and is at rest: its own CPU and its spool stand still. */
export async function untilFollowed(service, tierPid, deadlineMs = 60_000) {
  const endMs = performance.now() + deadlineMs;
  let [bytes, cpu, still] = [-1, -1, 0];
  while (still < 3) {
    if (performance.now() > endMs) throw new Error(`the tier daemon did not come to rest within ${deadlineMs} ms\n${service.log()}`);
    await sleep(200);
    const [nowBytes, nowCpu] = [(await service.metrics()).tier_spool_bytes ?? 0, cpuSeconds(tierPid)];
    // The look itself and the held fetch cost a tick now and then.
    still = nowBytes === bytes && nowCpu - cpu <= 0.02 ? still + 1 : 0;
    [bytes, cpu] = [nowBytes, nowCpu];
  }
}

/** Ends a process that was started outside of here, by its id. */
export async function endPid(pid, deadlineMs = 20_000) {
  const endMs = performance.now() + deadlineMs;
  let name = 'SIGTERM';
  while (signal(pid, name)) {
    name = performance.now() > endMs ? 'SIGKILL' : 0;
    await sleep(50);
  }
  forget(pid);
}
