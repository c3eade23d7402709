/** Where a control socket lies: `unix:/path`, a bare absolute path, or `host:port`. */
import { isAbsolute, resolve } from 'node:path';
import { LakeError } from '../kernel/index.js';

export type ControlAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** What `sun_path` holds on Linux, without its closing zero. */
const unixPathBytesMax = 107;

/** Errors: `config-invalid-value`. */
export function parseControlAddress(text: string): ControlAddress {
  if (text.startsWith('unix:') || isAbsolute(text)) {
    const path = resolve(text.startsWith('unix:') ? text.slice('unix:'.length) : text);
    const bytes = Buffer.byteLength(path);
    if (bytes > unixPathBytesMax) {
      throw new LakeError(
        'config-invalid-value',
        `the control socket's path has ${bytes} bytes, more than the ${unixPathBytesMax} of a Unix socket: ${path}`,
        {
          hint: 'Set control.listen to a TCP address such as 127.0.0.1:9091, or to unix: and a shorter path.',
          facts: { path, bytes },
        },
      );
    }
    return { path };
  }
  const match = /^(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<name>[^:\s]+)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.['port']);
  if (match === null || port > 65_535) {
    throw new LakeError('config-invalid-value', `control.listen is neither unix:/path nor host:port: ${text}`, {
      hint: 'Use unix:/path/to/control.sock or 127.0.0.1:9091.',
      facts: { address: text },
    });
  }
  return { host: match.groups?.['v6'] ?? match.groups?.['name'] ?? '', port };
}

export function formatControlAddress(address: ControlAddress): string {
  if ('path' in address) return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
