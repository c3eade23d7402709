import { describe, expect, it } from 'vitest';
import { loadServerConfig } from '../../../src/config/index.js';
import { LakeError } from '../../../src/kernel/index.js';

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof LakeError) return `${error.code}: ${error.hint}`;
    throw error;
  }
  return 'nothing thrown';
};

describe('server configuration', () => {
  it('takes flags over environment over file over defaults, and says which', () => {
    const config = loadServerConfig({
      file: { path: 'x.toml', text: '"num.partitions" = 2\n[hot.disk]\nbytes = 5\n[query]\nconcurrency = 7' },
      environment: { THERMOCLINE_NUM_PARTITIONS: '3', THERMOCLINE_QUERY_CONCURRENCY: '8', OTHER: 'x' },
      flags: { 'num.partitions': '4' },
    });
    expect(config.get('num.partitions')).toBe(4);
    expect(config.get('query.concurrency')).toBe(8);
    expect(config.get('hot.disk.bytes')).toBe(5);
    expect(config.get('node.id')).toBe(1);
    expect(config.entry('num.partitions')?.source).toBe('flag');
    expect(config.entry('query.concurrency')?.source).toBe('environment');
    expect(config.entry('hot.disk.bytes')?.source).toBe('file');
    expect(config.entry('node.id')?.source).toBe('default');
  });

  it('refuses an unknown key with the nearest known one, wherever it stands', () => {
    expect(codeOf(() => loadServerConfig({ flags: { 'num.partition': '1' } }))).toBe('config-unknown-key: Did you mean num.partitions?');
    expect(codeOf(() => loadServerConfig({ environment: { THERMOCLINE_NUM_PARTITION: '1' } }))).toBe(
      'config-unknown-key: Did you mean THERMOCLINE_NUM_PARTITIONS?',
    );
    expect(codeOf(() => loadServerConfig({ file: { path: 'x', text: '"flush.polici" = "os"' } }))).toContain('flush.policy');
  });

  it("leaves the client's variables alone", () => {
    expect(codeOf(() => loadServerConfig({ environment: { THERMOCLINE_SERVER: 'http://x', THERMOCLINE_BOOTSTRAP: 'x:1' } }))).toBe(
      'nothing thrown',
    );
  });

  it('refuses values of the wrong type or range, naming the key', () => {
    for (const [key, value] of [
      ['num.partitions', 'many'],
      ['num.partitions', '0'],
      ['num.partitions', '1.5'],
      ['auto.create.topics.enable', 'yes'],
      ['flush.policy', 'never'],
    ] as const) {
      expect(() => loadServerConfig({ flags: { [key]: value } }), `${key}=${value}`).toThrow(key);
    }
  });

  it('names line and column of a file that is not TOML', () => {
    expect(() => loadServerConfig({ file: { path: 'x.toml', text: 'a = \n' } })).toThrow(/x\.toml: line 1/);
  });

  it('hands on what was set, so that a child process has the same configuration', () => {
    const config = loadServerConfig({ environment: { THERMOCLINE_NODE_ID: '7' }, flags: { 'http.listen': '127.0.0.1:0' } });
    expect(config.explicit()).toEqual({ 'node.id': '7', 'http.listen': '127.0.0.1:0' });
    expect(config.with({ 'node.id': '8' }).get('node.id')).toBe(8);
  });
});
