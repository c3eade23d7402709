/**
 * Apache Kafka's own DumpLogSegments reads what the hot log writes.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { kafka44 } from '../support/outside-tools.js';
import { batch, files, partitionFolder, sequenced, world } from '../unit/log/hot-world.js';

async function dump(paths: readonly string[], ...options: string[]): Promise<string> {
  const run = promisify(execFile);
  const main = 'org.apache.kafka.tools.DumpLogSegments';
  const args = ['-Xmx256M', '-Djava.awt.headless=true', '-cp', join(kafka44.path ?? '', 'tools', '*'), main];
  const { stdout } = await run('java', [...args, ...options, '--files', paths.join(',')], { maxBuffer: 64 << 20 });
  return stdout;
}

describe.skipIf(kafka44.path === undefined)(`Kafka's DumpLogSegments${kafka44.note}`, () => {
  it('reads segments, indexes and snapshots, and finds nothing wrong', { timeout: 120_000 }, async () => {
    const { dir, log, partition } = await world({ segmentBytes: 20_000, indexIntervalBytes: 300 });
    const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
    for (let i = 0; i < 200; i++) {
      // Timestamps ascend, but not from one batch to the next.
      const timestampMs = 1_000_000 + i * 50 + ((i * 7919) % 100) * 10;
      const compression = codecs[i % codecs.length] ?? 'none';
      partition.append(
        batch({ compression, timestampMs, count: 3, valueBytes: 60, producerId: 7n, producerEpoch: 1, baseSequence: i * 3 }),
        1,
      );
      partition.append(sequenced(BigInt(100 + (i % 9)), Math.floor(i / 9)), 1);
    }
    const end = partition.logEndOffset;
    await log.close();

    const path = (name: string): string => join(dir, partitionFolder, name);
    const segments = await files(dir, '.log');
    expect(segments.length).toBeGreaterThan(2);
    const records = await dump(segments.map(path), '--deep-iteration');
    expect(records).not.toMatch(/isvalid: false/i);
    const offsets = [...records.matchAll(/^\| offset: (\d+) /gm)].map((match) => Number(match[1]));
    expect(offsets).toEqual(Array.from({ length: end }, (_none, i) => i));

    for (const kind of ['.index', '.timeindex']) {
      const found = await files(dir, kind);
      expect(found).toHaveLength(segments.length);
      const text = await dump(found.map(path));
      expect(text).not.toMatch(/mismatch|not found|out of order|Error|Exception/i);
      expect(text.match(kind === '.index' ? /offset: \d+ position: \d+/g : /timestamp: \d+ offset: \d+/g)?.length).toBeGreaterThan(20);
    }

    const snapshots = await files(dir, '.snapshot');
    expect(snapshots).toContain(`${String(end).padStart(20, '0')}.snapshot`);
    const last = await dump([path(snapshots.at(-1) as string)]);
    expect(last).toMatch(/producerId: 7 producerEpoch: 1/);
    expect(last.match(/producerId: /g)).toHaveLength(10);
    expect(last).toMatch(/lastSequence: 599/);
  });
});
