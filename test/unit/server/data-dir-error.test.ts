import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadServerConfig } from '../../../src/config/index.js';
import { dataDirError } from '../../../src/server/data-dir-error.js';
import { runRole } from '../../../src/server/roles.js';
import { openLogger } from '../../../src/telemetry/index.js';

const errno = (code: string, path: string): Error => Object.assign(new Error(`${code}: mkdir '${path}'`), { code, path, syscall: 'mkdir' });

describe('what the operating system refuses of a data directory', () => {
  it('is told with what to do', () => {
    expect(dataDirError(errno('EEXIST', '/data/log'), '/data')).toMatchObject({
      code: 'data-dir-unusable',
      message: expect.stringContaining('/data/log is in the way'),
      hint: expect.stringContaining('move it away'),
    });
    expect(dataDirError(errno('EACCES', '/data'), '/data')).toMatchObject({
      code: 'data-dir-unusable',
      hint: expect.stringContaining('right'),
    });
  });

  it('is left as it is elsewhere, and for another reason', () => {
    for (const error of [errno('EEXIST', '/elsewhere/log'), errno('EIO', '/data/log'), new Error('no'), 'no'])
      expect(dataDirError(error, '/data')).toBe(error);
  });
});

it('refuses a broker whose folder is a file', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'thermocline-data-dir-'));
  try {
    writeFileSync(join(dataDir, 'log'), '');
    const config = loadServerConfig({ flags: { 'data.dir': dataDir, 'kafka.listen': '127.0.0.1:0' } });
    const started = runRole('broker', config, openLogger({ role: 'broker', level: 'fatal' }));
    await expect(started).rejects.toMatchObject({ code: 'data-dir-unusable', facts: { path: join(dataDir, 'log') } });
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
