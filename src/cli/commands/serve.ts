/** `thermocline serve`: broker, tier daemon and gateway under one supervisor. */
import { isLakeError } from '../../kernel/index.js';
import { openLogger } from '../../telemetry/index.js';
import { emit, outliveReaders, serve, type Service, stopSignal } from '../../server/index.js';
import type { Command } from 'commander';
import { addServerOptions, type ServerFlags, serverConfigOf } from '../server-options.js';

async function run(flags: ServerFlags): Promise<void> {
  const config = serverConfigOf(flags);
  const asked = stopSignal();
  outliveReaders();
  let service: Service;
  try {
    service = await serve(config, openLogger({ role: 'supervisor', level: config.get('log.level') }), asked);
  } catch (error) {
    if (!isLakeError(error, 'cancelled')) throw error;
    emit({ event: 'stopped' });
    process.exit(0);
  }
  emit({ event: 'ready', kafka: service.kafka, http: service.http, pid: process.pid });
  const reason = await Promise.race([asked, service.failed]).catch(async (error: unknown) => {
    await service.stop();
    throw error;
  });
  emit({ event: 'stopping', reason });
  await service.stop();
  emit({ event: 'stopped' });
  process.exit(0);
}

export function register(program: Command): void {
  addServerOptions(program.command('serve').description('run broker, tier daemon and gateway on this machine')).action(run);
}
