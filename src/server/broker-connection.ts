/** What tier daemon and gateway have alike: a lasting control link to the broker, and a reader on its Kafka port. */
import { type LogReader, openLogReader } from '../client/index.js';
import { placesOf, type ServerConfig } from '../config/index.js';
import type { ControlHandlers } from '../control/index.js';
import { systemClock, systemRandom } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { BrokerLink } from './broker-link.js';
import { helloOf, neverResolves } from './role.js';

export interface BrokerConnection {
  readonly link: BrokerLink;
  readonly reader: LogReader;
  /** The broker's Kafka address, as configured or as the broker says. */
  readonly bootstrap: string;
  /** For a role's own refusals; the broker's (another version) already reject it. */
  readonly failed: ReturnType<typeof neverResolves>;
}

/** Links a role to its broker and waits for it to be there. `handlers` may be filled afterwards. */
export async function connectToBroker(
  role: 'tier' | 'gateway',
  config: ServerConfig,
  logger: Logger,
  handlers: ControlHandlers,
): Promise<BrokerConnection> {
  const link = new BrokerLink({
    address: placesOf(config).controlAddress,
    hello: helloOf(role),
    handlers,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
  const failed = neverResolves();
  link.refused.catch(failed.reject);
  const bootstrap = config.get('bootstrap') || (await link.kafkaAddress());
  return { link, reader: openLogReader({ bootstrap, clientId: `thermocline-${role}` }), bootstrap, failed };
}
