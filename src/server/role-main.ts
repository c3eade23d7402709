/** Entry point of a role's process under the supervisor: reads its settings, runs the role, stops when told or orphaned. */
import { loadServerConfig, takeSecrets } from '../config/index.js';
import { errorToPlain, giveWay, type PlainError } from '../kernel/index.js';
import { openLogger } from '../telemetry/index.js';
import type { RoleName } from './role.js';
import { runRole } from './roles.js';

export type { RoleName } from './role.js';

export interface RoleReady {
  readonly type: 'ready';
  readonly role: RoleName;
  readonly pid: number;
  readonly kafka?: string;
  readonly http?: string;
}

/** From a role to its supervisor. */
export type RoleMessage = RoleReady | { readonly type: 'refused'; readonly error: PlainError };

/** Roles of one supervisor share its machine: who produces and consumes goes before who tiers and asks, a little. */
const niceness: Readonly<Record<RoleName, number>> = { broker: 0, tier: 4, gateway: 4 };

async function main(): Promise<void> {
  const role = process.argv[2] as RoleName;
  giveWay(niceness[role]);
  const config = loadServerConfig({ environment: takeSecrets(process.env), flags: JSON.parse(process.argv[3]!) as Record<string, string> });
  const logger = openLogger({ role, level: config.get('log.level') });
  const send = (message: RoleMessage): void => {
    process.send?.(message);
  };
  // Ctrl-C in a terminal goes to the supervisor, which stops the roles in order.
  process.on('SIGINT', () => undefined);
  // Asked while it starts, it just ends: nothing that a role does at start suffers from that. That the supervisor is gone is told once.
  let stop = (): void => process.exit(0);
  process.on('disconnect', () => stop());
  if (!process.connected) return;
  process.on('SIGTERM', () => stop());
  process.on('message', (message: { type: string }) => {
    if (message.type === 'stop') stop();
  });
  try {
    const running = await runRole(role, config, logger);
    stop = () => {
      running.close().then(
        () => process.exit(0),
        (error: unknown) => {
          logger.error('stop failed', { error });
          process.exit(1);
        },
      );
    };
    running.failed.catch((error: unknown) => {
      logger.error('role ends', { error });
      send({ type: 'refused', error: errorToPlain(error) });
      process.exit(1);
    });
    send({ type: 'ready', role, pid: process.pid, ...running.addresses });
  } catch (error) {
    const plain = errorToPlain(error);
    logger.error('role cannot start', { error, hint: plain.hint });
    await new Promise<void>((resolve) => {
      if (process.send === undefined) resolve();
      else process.send({ type: 'refused', error: plain } satisfies RoleMessage, () => resolve());
    });
    process.exit(1);
  }
}

await main();
