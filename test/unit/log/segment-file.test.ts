import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OpenFiles, SegmentFile } from '../../../src/log/segment-file.js';
import { temporaryFolder } from './hot-world.js';

async function three(limit: number): Promise<{ openFiles: OpenFiles; files: [SegmentFile, SegmentFile, SegmentFile] }> {
  const dir = await temporaryFolder();
  const openFiles = new OpenFiles(limit);
  const make = (name: string): SegmentFile => SegmentFile.createSync(join(dir, name), openFiles);
  return { openFiles, files: [make('a'), make('b'), make('c')] };
}

function isOpen(fd: number): boolean {
  try {
    fs.fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

describe('a segment file', () => {
  it('that is given up stays readable for those who hold it, and is closed by the last', async () => {
    const { files } = await three(10);
    const [file] = files;
    const fd = file.retain();
    file.appendSync(Buffer.from('abcdef'));
    file.retain();
    file.giveUp();
    fs.rmSync(file.path);
    const into = Buffer.alloc(3);
    await file.readInto(into, 2);
    expect(into.toString()).toBe('cde');
    file.release();
    expect(isOpen(fd)).toBe(true);
    file.release();
    expect(isOpen(fd)).toBe(false);
    expect(() => file.retain()).toThrow(expect.objectContaining({ code: 'log-offline' }));
  });

  it('stays open while idle, up to a number in all', async () => {
    const { openFiles, files } = await three(2);
    const fds = files.map((file) => file.retain());
    for (const file of files) file.release();
    expect(openFiles.idleCount).toBe(2);
    expect(fds.map(isOpen)).toEqual([false, true, true]);
    expect(files[1].retain()).toBe(fds[1]);
    files[0].retain();
    files[0].release();
    expect(fds.slice(1).map(isOpen)).toEqual([true, true]);
    files[1].release();
    expect(openFiles.idleCount).toBe(2);
  });

  it('that ends before it should says so', async () => {
    const { files } = await three(2);
    const [file] = files;
    file.retain();
    file.appendSync(Buffer.from('abcdef'));
    fs.truncateSync(file.path, 4);
    await expect(file.readInto(Buffer.alloc(6), 0)).rejects.toMatchObject({ code: 'log-damaged' });
    file.release();
  });

  it('goes on where a write that failed began', async () => {
    const { files } = await three(2);
    const [file] = files;
    file.retain();
    file.appendSync(Buffer.from('abc'));
    fs.appendFileSync(file.path, 'torn');
    file.appendSync(Buffer.from('d'));
    file.cutSync(file.bytes);
    expect(fs.readFileSync(file.path, 'utf8')).toBe('abcd');
    file.release();
  });
});
