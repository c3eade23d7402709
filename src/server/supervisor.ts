/**
 * `serve`: the three roles as child processes. A role that dies is started again, with a growing pause while it keeps dying;
 * nothing but messages crosses from one to another, so one death costs the others only a reconnect.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { ServerConfig } from '../config/index.js';
import { placesOf, splitSecrets } from '../config/index.js';
import { entryPath, LakeError, type PlainError, errorFromPlain } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { dataDirError } from './data-dir-error.js';
import { emit, stopDeadlineMs } from './lifecycle.js';
import type { RoleMessage, RoleName, RoleReady } from './role-main.js';

/** Pause before a role is started again: doubled with each death, forgotten after a minute of life. */
const restartFirstMs = 100;
const restartMaxMs = 10_000;
const livedLongMs = 60_000;
/**
 * A role that has not said it is ready by then is taken for stuck at start. Not the broker, which after a crash reads all that was
 * not flushed and would begin anew each time, nor one that waits for it.
 */
const readyDeadlineMs = 60_000;

export interface Service {
  readonly kafka: string;
  readonly http: string;
  /** Process ids by role, for tests that kill them. */
  readonly pids: () => Readonly<Partial<Record<RoleName, number>>>;
  /** Rejects when a role cannot be started at all (a configuration or a bucket that is refused). */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

interface Supervised {
  child: ChildProcess | undefined;
  deaths: number;
  /** Whether the child has said that it is ready. */
  isUp: boolean;
  /** What the role said when it was ready first or last. */
  ready: RoleReady | undefined;
}

/** The `host:port` behind a base URL, which leaves out its scheme's own port. */
export function listenAddressOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === '' ? 80 : port}`;
}

/**
 * Starts broker, tier and gateway and resolves when all answer. Errors: whatever refuses a role at its first start
 * (`data-dir-foreign`, `data-dir-locked`, `store-unsafe`, a port in use …), `cancelled` where `asked` resolves before.
 */
export async function serve(config: ServerConfig, logger: Logger, asked?: Promise<string>): Promise<Service> {
  const places = placesOf(config);
  try {
    mkdirSync(places.dataDir, { recursive: true });
  } catch (error) {
    throw dataDirError(error, places.dataDir);
  }
  const roles = new Map<RoleName, Supervised>();
  let settings: Record<string, string> = { ...config.explicit(), 'data.dir': places.dataDir };
  let isStopping = false;
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined);

  const start = (role: RoleName): Promise<RoleReady> => {
    const supervised: Supervised = roles.get(role) ?? { child: undefined, deaths: 0, isUp: false, ready: undefined };
    roles.set(role, supervised);
    const { open, variables } = splitSecrets(settings);
    const child = fork(entryPath('server/role-main'), [role, JSON.stringify(open)], {
      env: { ...process.env, ...variables },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // The supervisor's own flags (a debugger's port, say) are not for its children.
      execArgv: [],
      // A terminal's Ctrl-C reaches the whole group; the roles are stopped by message, in order.
      detached: true,
    });
    supervised.child = child;
    supervised.isUp = false;
    const upSince = process.hrtime.bigint();
    return new Promise<RoleReady>((resolve, reject) => {
      const onSlow = (): void => {
        if (role === 'broker' || roles.get('broker')?.isUp !== true) {
          logger.warn('still starting', { startingRole: role });
          timer = setTimeout(onSlow, readyDeadlineMs);
          return;
        }
        reject(
          new LakeError('timeout', `${role} did not become ready within ${readyDeadlineMs / 1000} s`, { hint: 'See its log lines above.' }),
        );
        child.kill('SIGKILL');
      };
      let timer = setTimeout(onSlow, readyDeadlineMs);
      let refusal: PlainError | undefined;
      child.on('message', (message: RoleMessage) => {
        if (message.type === 'ready') {
          clearTimeout(timer);
          supervised.ready = message;
          supervised.isUp = true;
          resolve(message);
        } else if (message.type === 'refused') refusal = message.error;
      });
      const onEnd = (reason: string): void => {
        clearTimeout(timer);
        supervised.child = undefined;
        supervised.isUp = false;
        if (isStopping) return;
        const isFirstStart = supervised.ready === undefined;
        if (refusal !== undefined && !errorFromPlain(refusal).retriable) {
          const error = errorFromPlain(refusal);
          reject(error);
          if (!isFirstStart) fail(error);
          return;
        }
        if (isFirstStart) {
          reject(refusal === undefined ? new LakeError('worker-died', `${role} ended at start (${reason})`) : errorFromPlain(refusal));
          return;
        }
        const livedMs = Number(process.hrtime.bigint() - upSince) / 1e6;
        supervised.deaths = livedMs > livedLongMs ? 1 : supervised.deaths + 1;
        const pauseMs = Math.min(restartMaxMs, restartFirstMs * 2 ** (supervised.deaths - 1));
        logger.error('role ended, starting it again', { endedRole: role, reason, pauseMs });
        emit({ event: 'role-ended', role, pid: child.pid, reason });
        setTimeout(() => {
          if (isStopping) return;
          start(role).then(
            (ready) => emit({ event: 'role-started', role, pid: ready.pid }),
            (error: unknown) => logger.error('role did not start', { endedRole: role, error }),
          );
        }, pauseMs);
      };
      child.on('exit', (code, signal) => onEnd(signal ?? `exit ${code}`));
      child.on('error', (error) => {
        // Where there was no room for a process, nothing has begun and nothing will end.
        if (child.pid === undefined) onEnd(error.message);
      });
    });
  };

  const stopRole = async (role: RoleName): Promise<void> => {
    const child = roles.get(role)?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.connected) child.send({ type: 'stop' });
    else child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs - 2000);
    await ended;
    clearTimeout(timer);
  };
  const stop = async (): Promise<void> => {
    isStopping = true;
    // Readers first, so that none of them meets a broker that is gone.
    await Promise.all([stopRole('gateway'), stopRole('tier')]);
    await stopRole('broker');
  };

  try {
    const cancelled = asked?.then((reason): never => {
      throw new LakeError('cancelled', `asked to stop (${reason}) before all roles were ready`);
    });
    cancelled?.catch(() => undefined);
    // All three at once: tier and gateway wait for the broker's control socket by themselves.
    const started = Promise.all([
      start('broker').then((ready) => {
        // A broker that is started again must come back where its clients look for it.
        settings = { ...settings, 'kafka.listen': ready.kafka! };
        return ready;
      }),
      start('tier'),
      start('gateway').then((ready) => {
        settings = { ...settings, 'http.listen': listenAddressOf(ready.http!) };
        return ready;
      }),
    ]);
    const [broker, , gateway] = await (cancelled === undefined ? started : Promise.race([started, cancelled]));
    return {
      kafka: broker.kafka!,
      http: gateway.http!,
      pids: () => Object.fromEntries([...roles].flatMap(([role, { child }]) => (child?.pid === undefined ? [] : [[role, child.pid]]))),
      failed,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
