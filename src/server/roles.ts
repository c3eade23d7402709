/** A role by name: what it needs, in the order it needs it, and how it is taken apart again. */
import { readFileSync } from 'node:fs';
import type { ServerConfig } from '../config/index.js';
import type { Hello, Role } from '../control/index.js';
import { packageRoot } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';

export type RoleName = Role;

export interface RunningRole {
  readonly addresses: { readonly kafka?: string; readonly http?: string };
  /** Rejects when the role cannot go on and a restart would not help. */
  readonly failed: Promise<never>;
  /** Clean stop within seconds. */
  close(): Promise<void>;
}

export type StartRole = (config: ServerConfig, logger: Logger) => Promise<RunningRole>;

/** Each role loads only what it needs: start-up time and memory are the user's. */
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

/** How this process introduces itself on the control socket. */
export function helloOf(role: Role): Hello {
  const { version } = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as { version: string };
  return { role, pid: process.pid, version };
}

/** A promise that only ever rejects, and is no error while nobody looks at it. */
export function neverResolves(): { readonly promise: Promise<never>; readonly reject: (error: unknown) => void } {
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<never>((_resolve, refuse) => {
    reject = refuse;
  });
  promise.catch(() => undefined);
  return { promise, reject };
}

/** Ends things in order; the first error is thrown after all were tried. */
export async function closeAll(...steps: readonly (() => Promise<unknown> | void)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
