/** A role by name, loaded only when it is run: start-up time and memory are the user's. */
import type { ServerConfig } from '../config/index.js';
import type { Logger } from '../telemetry/index.js';
import type { RoleName, RunningRole, StartRole } from './role.js';

const starts: Readonly<Record<RoleName, () => Promise<StartRole>>> = {
  broker: async () => (await import('./broker-role.js')).startBrokerRole,
  tier: async () => (await import('./tier-role.js')).startTierRole,
  gateway: async () => (await import('./gateway-role.js')).startGatewayRole,
};

/** Runs a role in this process. Errors: whatever refuses it at start. */
export async function runRole(role: RoleName, config: ServerConfig, logger: Logger): Promise<RunningRole> {
  const start = await starts[role]();
  return start(config, logger);
}
