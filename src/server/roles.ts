/** A role by name, loaded only when it is run: start-up time and memory are the user's. */
import { setFlagsFromString } from 'node:v8';
import { placesOf, type ServerConfig } from '../config/index.js';
import type { Logger } from '../telemetry/index.js';
import { dataDirError } from './data-dir-error.js';
import type { RoleName, RunningRole, StartRole } from './role.js';

const starts: Readonly<Record<RoleName, () => Promise<StartRole>>> = {
  broker: async () => (await import('./broker-role.js')).startBrokerRole,
  tier: async () => (await import('./tier-role.js')).startTierRole,
  gateway: async () => (await import('./gateway-role.js')).startGatewayRole,
};

/**
 * The bytes of requests and answers lie outside V8's heap and are gone with the next scavenge. V8 takes each few dozen MiB of
 * them as a reason to mark the whole heap step by step, which cost the broker half its CPU; without that, a full collection
 * waits until heap or buffers really grow. A role's heap is small, so one takes milliseconds.
 */
const gcFlags = '--no-incremental-marking';

/** Runs a role in this process. Errors: whatever refuses it at start (`data-dir-unusable`, `data-dir-locked` …). */
export async function runRole(role: RoleName, config: ServerConfig, logger: Logger): Promise<RunningRole> {
  setFlagsFromString(gcFlags);
  const start = await starts[role]();
  try {
    return await start(config, logger);
  } catch (error) {
    throw dataDirError(error, placesOf(config).dataDir);
  }
}
