import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connectControl,
  type ControlListener,
  formatControlAddress,
  type Hello,
  listenControl,
  parseControlAddress,
} from '../../../src/control/index.js';
import type { LakeError } from '../../../src/kernel/index.js';

const hello = (role: Hello['role'], version = '1'): Hello => ({ role, pid: 1, version });

let dir = '';
const listeners: ControlListener[] = [];
const refused: LakeError[] = [];

async function listen(address: string, version = '1'): Promise<ControlListener> {
  const listener = await listenControl(
    address,
    hello('broker', version),
    () => {},
    () => ({ 'tier.status': async () => ({ topics: [] }) }),
    { onRefused: (error) => refused.push(error) },
  );
  listeners.push(listener);
  return listener;
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'control-'));
  refused.length = 0;
});
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close();
  await rm(dir, { recursive: true, force: true });
});

describe('control addresses', () => {
  it('are a Unix path or a host and port', () => {
    for (const text of ['unix:/run/c.sock', '127.0.0.1:9091', '[::1]:9091', 'localhost:0'])
      expect(formatControlAddress(parseControlAddress(text))).toBe(text);
    expect(parseControlAddress('/run/c.sock')).toEqual({ path: '/run/c.sock' });
    for (const text of ['', 'nonsense', '127.0.0.1', 'host:99999', ':1']) {
      expect(() => parseControlAddress(text)).toThrow(expect.objectContaining({ code: 'config-invalid-value' }) as Error);
    }
  });

  it('that are too long for a Unix socket are refused with the way out', () => {
    expect(() => parseControlAddress(`/${'d'.repeat(106)}`)).not.toThrow();
    expect(() => parseControlAddress(`/${'d'.repeat(107)}`)).toThrow(
      expect.objectContaining({ code: 'config-invalid-value', hint: expect.stringContaining('TCP') as string }) as Error,
    );
  });
});

describe('listenControl', () => {
  it('takes over a socket file that a killed process left behind', async () => {
    const path = join(dir, 'c.sock');
    const script = 'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
    expect(() => execFileSync(process.execPath, ['-e', script, path], { stdio: 'ignore' })).toThrow();
    expect((await stat(path)).isSocket()).toBe(true);
    const listener = await listen(path);
    await connectControl(listener.address, hello('tier'), {});
    expect(listener.peers.map((peer) => peer.peer.role)).toEqual(['tier']);
  });

  it('leaves alone a socket that somebody answers, and a file that is none', async () => {
    const path = join(dir, 'c.sock');
    const first = await listen(path);
    await expect(listen(path)).rejects.toMatchObject({ code: 'data-dir-locked' });
    await connectControl(first.address, hello('tier'), {});
    const file = join(dir, 'notes.txt');
    await writeFile(file, 'keep me');
    await expect(listen(file)).rejects.toMatchObject({ code: 'data-dir-locked' });
    expect((await stat(file)).size).toBe(7);
  });

  it('refuses a peer of another version, and says so to both', async () => {
    const listener = await listen('127.0.0.1:0', '2');
    await expect(connectControl(listener.address, hello('tier', '1'), {})).rejects.toMatchObject({
      code: 'peer-refused',
      hint: 'Run all roles from the same version.',
    });
    expect(listener.peers).toEqual([]);
    while (refused.length === 0) await new Promise(setImmediate);
    expect(refused[0]).toMatchObject({ code: 'peer-refused' });
  });

  it('breaks off whoever sends garbage, and goes on', async () => {
    const listener = await listen('127.0.0.1:0');
    const port = Number(listener.address.split(':')[1]);
    const frames = [
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      Buffer.from('0000000901000000000000000100', 'hex'),
      Buffer.from('0000000b0100000000000000027b7d', 'hex'),
      Buffer.from('0000000b0100000000000000027b7b', 'hex'),
      Buffer.from('0000000963000000000000000000', 'hex'),
      Buffer.from('00ffffff', 'hex'),
    ];
    for (const bytes of frames) {
      await new Promise<void>((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port }, () => socket.write(bytes));
        socket.resume();
        socket.on('error', reject);
        socket.on('close', () => resolve());
      });
    }
    expect(refused.map((error) => error.code)).toEqual(frames.map(() => 'frame-invalid'));
    const peer = await connectControl(listener.address, hello('gateway'), {});
    expect(await peer.call('tier.status', {})).toEqual({ topics: [] });
  });

  it('reads frames however the bytes are cut', async () => {
    const listener = await listen('127.0.0.1:0');
    const json = JSON.stringify(hello('tier'));
    const frame = Buffer.alloc(13 + json.length);
    frame.writeUInt32BE(9 + json.length, 0);
    frame.writeUInt8(1, 4);
    frame.writeUInt32BE(json.length, 9);
    frame.write(json, 13);
    const socket = connect({ host: '127.0.0.1', port: Number(listener.address.split(':')[1]), noDelay: true });
    for (const byte of frame) {
      socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    while (listener.peers.length === 0) await new Promise(setImmediate);
    socket.destroy();
    await listener.peers[0]?.closed;
    expect(listener.peers).toEqual([]);
  });
});

describe('connectControl', () => {
  it('says that nobody is there', async () => {
    await expect(connectControl(join(dir, 'none.sock'), hello('tier'), {})).rejects.toMatchObject({ code: 'peer-gone', retriable: true });
  });
});
