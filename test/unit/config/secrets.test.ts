import { describe, expect, it } from 'vitest';
import { loadServerConfig, splitSecrets, takeSecrets } from '../../../src/config/index.js';

describe('a secret key', () => {
  it('has its value for whoever needs it, and no text for a list', () => {
    const config = loadServerConfig({ flags: { 'http.token': 'tell-nobody' } });
    expect(config.get('http.token')).toBe('tell-nobody');
    expect(JSON.stringify(config.entries().map(({ name, text, source }) => ({ name, text, source })))).not.toContain('tell-nobody');
    expect(config.entry('http.token')).toMatchObject({ text: '(secret)', source: 'flag' });
    expect(loadServerConfig({}).entry('http.token')?.text).toBe('');
  });

  it('reaches a child by its environment alone', () => {
    const config = loadServerConfig({ flags: { 'http.token': 'tell-nobody', 'num.partitions': '3' } });
    const { open, variables } = splitSecrets(config.explicit());
    expect(open).toEqual({ 'num.partitions': '3' });
    const environment: Record<string, string | undefined> = { PATH: '/bin', ...variables };
    const taken = takeSecrets(environment);
    expect(environment).toEqual({ PATH: '/bin' });
    expect(loadServerConfig({ environment: taken, flags: open }).get('http.token')).toBe('tell-nobody');
  });

  it("does not take the client's token for a key", () => {
    expect(loadServerConfig({ environment: { THERMOCLINE_TOKEN: 'x' } }).get('http.token')).toBe('');
  });
});
