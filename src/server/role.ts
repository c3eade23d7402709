/** What every role has in common: how it is started, introduces itself, fails and is taken apart. */
import type { ServerConfig } from '../config/index.js';
import type { Hello, Role } from '../control/index.js';
import { packageVersion, systemClock, systemRandom } from '../kernel/index.js';
import type { OpenStoreOptions } from '../objects/index.js';
import type { Logger } from '../telemetry/index.js';

export type RoleName = Role;

/** How far column workers give way to who answers clients: less than queries do, as log that is not tiered fills the disk. */
export const workerNiceness = 5;

export interface RunningRole {
  readonly addresses: { readonly kafka?: string; readonly http?: string };
  /** Rejects when the role cannot go on and a restart would not help. */
  readonly failed: Promise<never>;
  /** Clean stop within seconds. */
  close(): Promise<void>;
}

export type StartRole = (config: ServerConfig, logger: Logger) => Promise<RunningRole>;

/** How this process introduces itself on the control socket. */
export function helloOf(role: Role): Hello {
  return { role, pid: process.pid, version: packageVersion() };
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

/** Where the bucket is, as the configuration says. */
export function storeOptions(config: ServerConfig): OpenStoreOptions {
  return {
    endpoint: config.get('bucket.endpoint') || undefined,
    region: config.get('bucket.region') || undefined,
    // Unset, the store decides: path style wherever an endpoint is named.
    forcePathStyle: config.entry('bucket.force-path-style')?.source === 'default' ? undefined : config.get('bucket.force-path-style'),
    clock: systemClock,
    random: systemRandom,
  };
}
