/** Where things are by default, derived from the configuration in one place. */
import { LakeError } from '../kernel/index.js';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ServerConfig } from './server-config.js';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port`, `[v6]:port`. Errors: `config-invalid-value` naming the key. */
export function parseHostPort(key: string, text: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new LakeError('config-invalid-value', `${key}: "${text}" is not HOST:PORT`, {
      hint: `Write ${key} as 127.0.0.1:9092; port 0 picks a free one.`,
      facts: { key, value: text },
    });
  }
  return { host: match[1] ?? match[2]!, port };
}

export function formatHostPort(address: HostPort): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Absolute folders and addresses of one service. */
export interface Places {
  readonly dataDir: string;
  readonly logDir: string;
  readonly spoolDir: string;
  readonly queryDir: string;
  readonly bucketUrl: string;
  readonly controlAddress: string;
}

export function placesOf(config: ServerConfig): Places {
  const dataDir = resolve(config.get('data.dir'));
  return {
    dataDir,
    logDir: join(dataDir, 'log'),
    spoolDir: join(dataDir, 'tier'),
    queryDir: join(dataDir, 'query'),
    bucketUrl: config.get('bucket.url') || pathToFileURL(join(dataDir, 'bucket')).href,
    controlAddress: config.get('control.listen') || `unix:${join(dataDir, 'control.sock')}`,
  };
}
