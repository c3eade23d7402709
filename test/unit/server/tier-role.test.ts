import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadServerConfig } from '../../../src/config/index.js';
import { type ControlPeer, listenControl } from '../../../src/control/index.js';
import { helloOf } from '../../../src/server/role.js';
import { runRole } from '../../../src/server/roles.js';
import { silentLogger } from '../../../src/telemetry/index.js';

it('a tier daemon that has connected and is not started yet says that the cold side is not ready', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tier-role-'));
  const socket = `unix:${join(folder, 'control.sock')}`;
  let asked: Promise<unknown> | undefined;
  let describe: (() => void) | undefined;
  const described = new Promise<void>((resolve) => {
    describe = resolve;
  });
  const onPeer = (peer: ControlPeer): void => {
    asked = peer.call('tier.flush', {}).finally(() => describe?.());
    asked.catch(() => undefined);
  };
  const refuse = async (): Promise<never> => {
    await described;
    throw new Error('no more is needed');
  };
  const control = await listenControl(socket, helloOf('broker'), onPeer, () => ({ 'broker.describe': refuse }));
  try {
    const flags = { 'data.dir': folder, 'control.listen': socket };
    await expect(runRole('tier', loadServerConfig({ flags }), silentLogger)).rejects.toThrow('no more is needed');
    await expect(asked).rejects.toMatchObject({ code: 'cold-unavailable', retriable: true });
  } finally {
    await control.close();
    await rm(folder, { recursive: true, force: true });
  }
});
