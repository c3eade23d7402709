import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Hello, listenControl } from '../../../src/control/index.js';
import { systemClock, systemRandom } from '../../../src/kernel/index.js';
import { BrokerLink } from '../../../src/server/broker-link.js';
import { silentLogger } from '../../../src/telemetry/index.js';

const hello = (role: Hello['role'], version = '1'): Hello => ({ role, pid: process.pid, version });
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function linkTo(address?: string): Promise<{ readonly link: BrokerLink; readonly address: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'link-'));
  const at = address ?? `unix:${join(folder, 'control.sock')}`;
  const [clock, random, logger] = [systemClock, systemRandom, silentLogger];
  const link = new BrokerLink({ address: at, hello: hello('tier'), handlers: {}, clock, random, logger, waitMs: 50 });
  endings.push(
    () => rm(folder, { recursive: true, force: true }),
    () => link.close(),
  );
  return { link, address: at };
}

describe('a link to the broker', () => {
  it('lets a role wait at start for a broker that takes long, while a call fails soon', async () => {
    const { link, address } = await linkTo();
    const arrived = link.arrived();
    await expect(link.call('broker.describe', {})).rejects.toMatchObject({ code: 'peer-gone' });
    const control = await listenControl(
      address,
      hello('broker'),
      () => undefined,
      () => ({ 'broker.metrics': async () => ({ samples: [] }) }),
    );
    endings.push(() => control.close());
    await arrived;
    expect(await link.call('broker.metrics', {})).toEqual({ samples: [] });
  });

  it('ends that wait where the broker is of another version, and where the role stops', async () => {
    const { link, address } = await linkTo();
    const control = await listenControl(
      address,
      hello('broker', '2'),
      () => undefined,
      () => ({}),
    );
    endings.push(() => control.close());
    await expect(link.arrived()).rejects.toMatchObject({ code: 'peer-refused' });
    const { link: stopped } = await linkTo();
    const ended = expect(stopped.arrived()).rejects.toMatchObject({ code: 'cancelled' });
    await stopped.close();
    await ended;
  });
});
