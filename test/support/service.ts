// Starts the real command in a temporary folder on free ports, and ends every process it started by its own id.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = join(root, 'src/cli/thermocline.mjs');
const readyDeadlineMs = 60_000;

/** The environment without settings of the machine that would reach the product. */
function cleanEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('THERMOCLINE_') || name.startsWith('THERMOCLINE_TEST_'));
  return { ...Object.fromEntries(kept), ...more };
}

export interface RunningService {
  readonly kafka: string;
  readonly http: string;
  readonly dataDir: string;
  readonly pid: number;
  /** All that was written to stderr so far. */
  readonly log: () => string;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  /** SIGTERM, waits, SIGKILL if it must. */
  stop(): Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

export interface ServiceOptions {
  readonly dataDir: string;
  /** `serve`, or one role alone. */
  readonly command?: readonly string[];
  readonly set?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
}

const running = new Set<ChildProcess>();
function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}
process.on('exit', killAll);
// The runner ends its workers by a signal, after which there is no `exit`.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killAll();
    process.kill(process.pid, signal);
  });
}
process.once('disconnect', killAll);

/** Spawns the command and resolves at its first `ready` event. Rejects with what it wrote when it ends before. */
export function startService(options: ServiceOptions): Promise<RunningService> {
  const { command = ['serve'], set = {} } = options;
  const defaults = {
    'kafka.listen': '127.0.0.1:0',
    'http.listen': '127.0.0.1:0',
    'log.level': 'info',
    'group.initial.rebalance.delay.ms': '0',
  };
  const settings = Object.entries({ ...defaults, ...set }).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const child = spawn(process.execPath, [launcher, ...command, '--data-dir', options.dataDir, ...settings], {
    cwd: root,
    env: cleanEnvironment(options.environment),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let log = '';
  let out = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-2_000_000);
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  return new Promise<RunningService>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`not ready within ${readyDeadlineMs} ms:\n${log}`));
    }, readyDeadlineMs);
    void ended.then((code) => {
      clearTimeout(timer);
      reject(new Error(`ended with ${code} before it was ready:\n${log}`));
    });
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      for (let at = out.indexOf('\n'); at >= 0; at = out.indexOf('\n')) {
        const line = out.slice(0, at);
        out = out.slice(at + 1);
        const event = JSON.parse(line) as { event: string; kafka?: string; http?: string };
        if (event.event !== 'ready') continue;
        clearTimeout(timer);
        resolve({
          kafka: event.kafka ?? '',
          http: event.http ?? '',
          dataDir: options.dataDir,
          pid: child.pid!,
          log: () => log,
          ended,
          kill: (signal) => child.kill(signal),
          stop: async () => {
            child.kill('SIGTERM');
            const timeout = setTimeout(() => child.kill('SIGKILL'), 15_000);
            const code = await ended;
            clearTimeout(timeout);
            return code;
          },
        });
      }
    });
  });
}

/** A temporary folder and its removal. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'thermocline-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command of the command line to its end. */
export function runCommand(
  args: readonly string[],
  options: {
    readonly input?: string | Buffer;
    readonly environment?: Readonly<Record<string, string>>;
    /** kill -9, if it has not ended by then; its code is null. */
    readonly killAfterMs?: number;
  } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [launcher, ...args], { cwd: root, env: cleanEnvironment(options.environment), stdio: 'pipe' });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.end(options.input ?? '');
  const timer = options.killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), options.killAfterMs);
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
}
