/** The broker with its control socket: the hub that tier and gateway connect to. */
import { startBroker } from '../broker/index.js';
import { formatHostPort, placesOf, type ServerConfig } from '../config/index.js';
import { type ControlHandlers, type ControlPeer, listenControl, routeTierCalls } from '../control/index.js';
import { systemClock, systemRandom } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { coldTierOverControl } from './cold-tier-over-control.js';
import { closeAll, helloOf, neverResolves, type RunningRole } from './role.js';

export async function startBrokerRole(config: ServerConfig, logger: Logger): Promise<RunningRole> {
  const places = placesOf(config);
  let peers: readonly ControlPeer[] = [];
  const broker = await startBroker({
    config,
    dataDir: places.dataDir,
    clock: systemClock,
    random: systemRandom,
    logger,
    coldTier: coldTierOverControl(() => peers),
  });
  const handlers: ControlHandlers = {
    ...routeTierCalls(() => peers),
    ...broker.controlHandlers,
    'broker.metrics': async () => ({ samples: broker.metricsSnapshot() }),
  };
  const control = await listenControl(
    places.controlAddress,
    helloOf('broker'),
    (peer) => logger.info('a role connected', { peer: peer.peer }),
    () => handlers,
    { onRefused: (error) => logger.warn('a control connection was refused', { error }) },
  ).catch(async (error: unknown) => {
    await broker.close();
    throw error;
  });
  peers = control.peers;
  return {
    addresses: { kafka: formatHostPort(broker.kafkaAddress) },
    failed: neverResolves().promise,
    close: () =>
      closeAll(
        () => control.close(),
        () => broker.close(),
      ),
  };
}
