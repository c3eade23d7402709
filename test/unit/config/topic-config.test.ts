import { describe, expect, it } from 'vitest';
import { loadServerConfig, resolveTopicConfig } from '../../../src/config/index.js';

const server = loadServerConfig({});

describe('topic configuration', () => {
  it('tiers and keeps for ever by default', () => {
    const config = resolveTopicConfig(server, {});
    expect(config.get('remote.storage.enable')).toBe(true);
    expect(config.get('retention.ms')).toBe(-1);
    expect(config.get('segment.bytes')).toBe(1073741824);
  });

  it("has Kafka's retention where a topic is not tiered", () => {
    const config = resolveTopicConfig(server, { 'remote.storage.enable': 'false' });
    expect(config.get('retention.ms')).toBe(7 * 24 * 3600 * 1000);
    expect(resolveTopicConfig(server, { 'remote.storage.enable': 'false', 'retention.ms': '5' }).get('retention.ms')).toBe(5);
  });

  it("takes server-wide defaults by their broker names, under the topic's own keys", () => {
    const set = loadServerConfig({ flags: { 'log.segment.bytes': '2097152', 'lake.commit.interval.ms': '1000' } });
    expect(resolveTopicConfig(set, {}).get('segment.bytes')).toBe(2097152);
    expect(resolveTopicConfig(set, { 'segment.bytes': '3145728' }).get('segment.bytes')).toBe(3145728);
    const entry = resolveTopicConfig(set, {})
      .entries()
      .find((one) => one.name === 'lake.commit.interval.ms');
    expect(entry).toMatchObject({ text: '1000', source: 'server', serverName: 'lake.commit.interval.ms' });
  });

  it('reads and shows values as Kafka does: booleans in any case, numbers with a sign, and any negative retention.bytes for none', () => {
    const overrides = { 'preallocate': ' False', 'unclean.leader.election.enable': 'TRUE', 'segment.ms': '+05', 'retention.bytes': '-2' };
    const shown = Object.fromEntries(
      resolveTopicConfig(server, overrides)
        .entries()
        .map(({ name, text }) => [name, text]),
    );
    expect(shown).toMatchObject({
      'preallocate': 'false',
      'unclean.leader.election.enable': 'true',
      'segment.ms': '5',
      'retention.bytes': '-2',
      'flush.ms': '9223372036854775807',
    });
    expect(() => resolveTopicConfig(server, { preallocate: 'yes' })).toThrow('true or false');
  });

  it.each([
    ['1', '1.0'],
    ['+.250', '0.25'],
    ['0', '0.0'],
    ['0.00012', '1.2E-4'],
    ['1e-9', '1.0E-9'],
  ])('shows the fraction %s as %s', (written, shown) => {
    const entries = resolveTopicConfig(server, { 'min.cleanable.dirty.ratio': written }).entries();
    expect(entries.find(({ name }) => name === 'min.cleanable.dirty.ratio')?.text).toBe(shown);
  });

  it('refuses what cannot be honoured, with a way out', () => {
    for (const [key, value] of [
      ['cleanup.policy', ''],
      ['compression.gzip.level', '0'],
      ['compression.lz4.level', '12'],
    ] as const) {
      expect(() => resolveTopicConfig(server, { [key]: value }), key).toThrow(key);
    }
  });

  it('takes log append time, of a topic or for all', () => {
    const key = 'message.timestamp.type';
    expect(resolveTopicConfig(server, { [key]: 'LogAppendTime' }).get(key)).toBe('LogAppendTime');
    const byDefault = loadServerConfig({ flags: { [`log.${key}`]: 'LogAppendTime' } });
    expect(resolveTopicConfig(byDefault, {}).get(key)).toBe('LogAppendTime');
    expect(resolveTopicConfig(byDefault, { [key]: 'CreateTime' }).get(key)).toBe('CreateTime');
  });

  it.each(['ms', 'bytes'])('takes retention.%s of a tiered topic, and no more local than there is in all', (unit) => {
    const resolve = (total: string, local: string) =>
      resolveTopicConfig(server, { [`retention.${unit}`]: total, [`local.retention.${unit}`]: local });
    for (const [total, local] of [
      ['1000', '-2'],
      ['1000', '1000'],
      ['1000', '0'],
      ['-1', '-1'],
      ['-1', '5'],
    ] as const) {
      expect(resolve(total, local).entries()).toBeDefined();
    }
    for (const local of ['1001', '-1']) expect(() => resolve('1000', local)).toThrow(`local.retention.${unit}=${local}`);
    const untiered = { 'remote.storage.enable': 'false', [`retention.${unit}`]: '1000', [`local.retention.${unit}`]: '-1' };
    expect(resolveTopicConfig(server, untiered).entries()).toBeDefined();
  });

  it.each(['compact', 'compact,delete'])('compacts a topic of cleanup.policy=%s, which is not tiered', (policy) => {
    const config = resolveTopicConfig(server, { 'cleanup.policy': policy });
    expect(config.get('remote.storage.enable')).toBe(false);
    expect(config.get('min.cleanable.dirty.ratio')).toBe(0.5);
    expect(() => resolveTopicConfig(server, { 'cleanup.policy': policy, 'remote.storage.enable': 'true' })).toThrow(
      'remote.storage.enable=true',
    );
  });

  it('takes a share as a number with decimals, and no lag that ends before it begins', () => {
    const of = (overrides: Record<string, string>) => resolveTopicConfig(server, { 'cleanup.policy': 'compact', ...overrides });
    for (const [text, value] of [
      ['0', 0],
      ['0.01', 0.01],
      ['.5', 0.5],
      ['1e-3', 0.001],
    ] as const) {
      expect(of({ 'min.cleanable.dirty.ratio': text }).get('min.cleanable.dirty.ratio')).toBe(value);
    }
    for (const text of ['1.1', '-0.1', 'half', ''])
      expect(() => of({ 'min.cleanable.dirty.ratio': text }), text).toThrow('a number from 0 to 1');
    expect(() => of({ 'min.compaction.lag.ms': '5', 'max.compaction.lag.ms': '4' })).toThrow('max.compaction.lag.ms=4');
  });

  it('refuses to hold back, halt or undo tiering, and takes those keys where there is none', () => {
    for (const [key, value] of [
      ['remote.copy.lag.ms', '1'],
      ['remote.copy.lag.ms', '-1'],
      ['remote.log.copy.disable', 'true'],
      ['remote.log.delete.on.disable', 'true'],
    ] as const) {
      expect(() => resolveTopicConfig(server, { [key]: value }), key).toThrow(`${key}=${value} is not supported`);
      expect(resolveTopicConfig(server, { 'remote.storage.enable': 'false', [key]: value }).get(key)).toBeDefined();
    }
    // Of the two lags it is enough that one has passed.
    expect(resolveTopicConfig(server, { 'remote.copy.lag.bytes': '5' }).get('remote.copy.lag.bytes')).toBe(5);
    expect(resolveTopicConfig(server, { 'remote.copy.lag.ms': '5', 'remote.copy.lag.bytes': '0' }).get('remote.copy.lag.ms')).toBe(5);
    expect(() => resolveTopicConfig(server, { 'errors.deadletterqueue.group.enable': 'true' })).toThrow('no share groups');
  });

  it('never tiers an internal topic, and lets it compact', () => {
    const config = resolveTopicConfig(server, { 'cleanup.policy': 'compact' }, { isInternal: true });
    expect(config.get('remote.storage.enable')).toBe(false);
  });

  it('refuses an unknown key with the nearest known one', () => {
    expect(() => resolveTopicConfig(server, { 'retention.m': '1' })).toThrow('retention.m');
  });
});
