import { describe, expect, it } from 'vitest';
import { exitCodeOf, exitCodes, renderTable } from '../../../src/cli/index.js';
import { LakeError } from '../../../src/kernel/index.js';

describe('tables', () => {
  it('stand numbers right and texts left, and cut what is too wide', () => {
    const text = renderTable(
      [{ name: 'origin' }, { name: 'n', isNumeric: true }],
      [
        ['ORD', 12],
        ['LAX', 3],
        [null, 100],
        ['x'.repeat(80), 1],
      ],
    );
    const lines = text.split('\n');
    expect(lines[0]).toBe(`origin${' '.repeat(54)}    n`);
    expect(lines[2]).toBe(`ORD${' '.repeat(57)}   12`);
    expect(lines[4]).toBe(`${' '.repeat(60)}  100`);
    expect(lines[5]).toBe(`${'x'.repeat(59)}…    1`);
  });

  it('never let a value break the line or speak to the terminal', () => {
    expect(renderTable([{ name: 'v' }], [['a\nb\u001b[31m']])).toContain('a⏎b·[31m');
  });
});

describe('exit codes', () => {
  it('tell a script what kind of failure it was', () => {
    expect(exitCodeOf(new LakeError('topic-unknown', ''))).toBe(exitCodes.notFound);
    expect(exitCodeOf(new LakeError('data-dir-foreign', ''))).toBe(exitCodes.conflict);
    expect(exitCodeOf(new LakeError('config-unknown-key', ''))).toBe(exitCodes.usage);
    expect(exitCodeOf(new LakeError('timeout', ''))).toBe(exitCodes.failed);
    expect(exitCodeOf(new Error('x'))).toBe(exitCodes.failed);
  });
});
