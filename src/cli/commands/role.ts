/** `thermocline broker` and `thermocline gateway`: one role alone, in this process. */
import { openLogger } from '../../telemetry/index.js';
import { emit, outliveReaders, type RoleName, runRole, stopSignal } from '../../server/index.js';
import type { Command } from 'commander';
import { addServerOptions, type ServerFlags, serverConfigOf } from '../server-options.js';

/** Runs a role until a signal asks for its end or it cannot go on. */
export async function runRoleAlone(role: RoleName, flags: ServerFlags): Promise<void> {
  const config = serverConfigOf(flags);
  const asked = stopSignal();
  outliveReaders();
  const running = await Promise.race([runRole(role, config, openLogger({ role, level: config.get('log.level') })), asked]);
  // Asked while it starts, it just ends: nothing that a role does at start suffers from that.
  if (typeof running === 'string') process.exit(0);
  emit({ event: 'ready', ...running.addresses, pid: process.pid });
  const reason = await Promise.race([asked, running.failed]);
  emit({ event: 'stopping', reason });
  await running.close();
  emit({ event: 'stopped' });
  process.exit(0);
}

export function register(program: Command): void {
  addServerOptions(program.command('broker').description('run the broker alone')).action((flags: ServerFlags) =>
    runRoleAlone('broker', flags),
  );
  addServerOptions(program.command('gateway').description('run the gateway alone, beside a running broker'))
    .option('--bootstrap <host:port>', "the broker's Kafka address (default: asked over the control socket)")
    .action((flags: ServerFlags) => runRoleAlone('gateway', flags));
}
