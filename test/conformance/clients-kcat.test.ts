// kcat (librdkafka), unmodified, against the broker. Skipped where it is not installed.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Broker } from '../../src/broker/index.js';
import { batchCompression, compressionCodecs, walkBatches } from '../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from '../unit/broker/broker-fixture.js';

const kcatPath = '/usr/bin/kcat';

const children = new Set<ChildProcess>();
afterEach(async () => {
  await Promise.all(
    [...children].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once('close', () => resolve());
          child.kill('SIGKILL');
        }),
    ),
  );
  children.clear();
});

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly errors: () => string;
  readonly ended: Promise<number | null>;
}

function start(broker: Broker, args: readonly string[], input = ''): Running {
  const { host, port } = broker.kafkaAddress;
  const child = spawn(kcatPath, ['-b', `${host}:${port}`, ...args]);
  children.add(child);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      children.delete(child);
      resolve(code);
    });
  });
  return { child, output: () => out, errors: () => err, ended };
}

/** Runs kcat to its end and gives its output. */
async function kcat(broker: Broker, args: readonly string[], input?: string): Promise<string> {
  const running = start(broker, args, input);
  expect([await running.ended, running.errors()]).toEqual([0, expect.anything()]);
  return running.output();
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
const numbers = Array.from({ length: 500 }, (_, i) => String(i));

describe.skipIf(!existsSync(kcatPath))('kcat', () => {
  it.each(compressionCodecs)('produces and consumes with codec %s, and the batches are stored so', async (codec) => {
    const broker = await testBroker();
    const topicId = await (await WireClient.open(broker)).createTopic('t');
    await kcat(broker, ['-P', '-t', 't', '-z', codec, '-X', 'acks=all'], numbers.join('\n'));
    const { records } = await (await WireClient.open(broker)).fetch(topicId, 0);
    // librdkafka sends a batch as it is where compressing it (the first record alone, say) would make it no smaller.
    const stored: string[] = [];
    walkBatches(records!, (at) => void stored.push(batchCompression(records!, at)));
    expect(stored).toContain(codec);
    expect(lines(await kcat(broker, ['-C', '-t', 't', '-o', 'beginning', '-e', '-q']))).toEqual(numbers);
  });

  it('is idempotent when asked, and reads committed records', async () => {
    const broker = await testBroker();
    await kcat(broker, ['-P', '-t', 't', '-X', 'enable.idempotence=true'], numbers.join('\n'));
    const read = ['-C', '-t', 't', '-o', 'beginning', '-e', '-q', '-X', 'isolation.level=read_committed'];
    expect(lines(await kcat(broker, read))).toEqual(numbers);
  });

  it('keeps keys, nulls and headers apart', async () => {
    const broker = await testBroker();
    await kcat(broker, ['-P', '-t', 't', '-K:', '-Z', '-H', 'a=1', '-H', 'a=2'], 'k:v\n:no key\nk:\n');
    const seen = lines(await kcat(broker, ['-C', '-t', 't', '-o', 'beginning', '-e', '-q', '-J'])).map(
      (line) => JSON.parse(line) as Record<string, unknown>,
    );
    expect(seen.map(({ key, payload, headers }) => ({ key, payload, headers }))).toEqual([
      { key: 'k', payload: 'v', headers: ['a', '1', 'a', '2'] },
      { key: null, payload: 'no key', headers: ['a', '1', 'a', '2'] },
      { key: 'k', payload: null, headers: ['a', '1', 'a', '2'] },
    ]);
  });

  it('finds offsets for times and both ends', async () => {
    const broker = await testBroker();
    await kcat(broker, ['-P', '-t', 't'], 'a\nb\n');
    const [written] = lines(await kcat(broker, ['-C', '-t', 't', '-o', 'beginning', '-c', '1', '-q', '-J'])).map(
      (line) => JSON.parse(line) as { ts: number },
    );
    const query = async (at: number | string): Promise<string> => (await kcat(broker, ['-Q', '-t', `t:0:${at}`])).trim();
    expect(await query(-1)).toBe('t [0] offset 2');
    expect(await query(-2)).toBe('t [0] offset 0');
    expect(await query(written!.ts)).toBe('t [0] offset 0');
    expect(lines(await kcat(broker, ['-C', '-t', 't', '-o', `s@${written!.ts}`, '-e', '-q']))).toEqual(['a', 'b']);
  });

  it('waits at the end and sees what is produced later', async () => {
    const broker = await testBroker();
    await kcat(broker, ['-P', '-t', 't'], 'a\n');
    const reader = start(broker, ['-C', '-t', 't', '-o', 'beginning', '-u', '-q']);
    await expect.poll(() => lines(reader.output()), { timeout: 10_000 }).toEqual(['a']);
    await kcat(broker, ['-P', '-t', 't'], 'b\n');
    await expect.poll(() => lines(reader.output()), { timeout: 10_000 }).toEqual(['a', 'b']);
  });

  it('balances a group of three, rebalances when one leaves, and resumes after a restart', async () => {
    const dataDir = await temporaryFolder();
    const flags = { 'num.partitions': '6' };
    let broker = await testBroker({ dataDir, flags });
    await kcat(broker, ['-P', '-t', 't'], 'warm up\n');
    const group = ['-G', 'g', '-X', 'auto.offset.reset=earliest', '-X', 'session.timeout.ms=6000', '-u', 't'];
    const members = [0, 1, 2].map(() => start(broker, group));
    const assigned = (member: Running): number =>
      (
        lines(member.errors())
          .findLast((line) => line.includes('assigned:'))
          ?.match(/t \[\d+\]/g) ?? []
      ).length;
    await expect.poll(() => members.map(assigned), { timeout: 30_000 }).toEqual([2, 2, 2]);
    members[2]!.child.kill('SIGTERM');
    await members[2]!.ended;
    await expect.poll(() => members.slice(0, 2).map(assigned), { timeout: 30_000 }).toEqual([3, 3]);
    for (let partition = 0; partition < 6; partition++) await kcat(broker, ['-P', '-t', 't', '-p', String(partition)], `p${partition}\n`);
    const seen = (): string[] => members.flatMap((member) => lines(member.output())).sort();
    await expect.poll(seen, { timeout: 15_000 }).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'warm up']);
    for (const member of members.slice(0, 2)) {
      member.child.kill('SIGTERM');
      await member.ended;
    }
    await broker.close();
    broker = await testBroker({ dataDir, flags });
    await kcat(broker, ['-P', '-t', 't', '-p', '4'], 'after\n');
    const resumed = start(broker, group);
    await expect.poll(() => lines(resumed.output()), { timeout: 15_000 }).toEqual(['after']);
  });

  it('goes on beside clients that send garbage', async () => {
    const broker = await testBroker();
    for (const garbage of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(64, 0xff),
      Buffer.from('0000000a0000000f00000001ffff', 'hex'),
    ]) {
      const socket = connect(broker.kafkaAddress);
      socket.on('error', () => undefined);
      socket.write(garbage);
      await new Promise((resolve) => {
        socket.on('close', resolve);
      });
    }
    await kcat(broker, ['-P', '-t', 't'], 'a\n');
    expect(lines(await kcat(broker, ['-C', '-t', 't', '-o', 'beginning', '-e', '-q']))).toEqual(['a']);
    expect(execFileSync(kcatPath, ['-V']).toString()).toMatch(/librdkafka/);
  });
});
