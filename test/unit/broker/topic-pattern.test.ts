import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { TopicPattern } from '../../../src/broker/groups/consumer/topic-pattern.js';

/** Whether a pattern matches the whole name. */
function matchedBy(source: string): (name: string) => boolean {
  const walk = new TopicPattern(source).walk();
  return (name) => {
    walk.begin(name);
    return walk.goOn(Infinity) === true;
  };
}

const names = ['', 'a', 'b', 'ab', 'aab', 'aba', 'A', 'a.b', 'a-b', 'a_1', 'orders', 'orders-1', 'orders.eu', 'x9', '12'];

describe('a topic pattern', () => {
  // What JavaScript reads as RE2 does.
  it.each([
    'a',
    'a|b',
    'a*b',
    '(a|b)+',
    'a?b?',
    'a{2}b',
    'a{1,2}b*',
    'a{0,}',
    '.*',
    'orders.*',
    'orders(-\\d+)?',
    '[a-c]+',
    '[^a]*',
    '\\w+',
    '[\\w.]+',
    'a\\.b',
    'a.b',
    '^a$',
    '^(orders|x)[.0-9a-z]*$',
    'a\\b.*',
    '\\Ba',
    '(?:a|b)*',
    'a+?b',
    '',
    '(|a)b',
    '()*a',
    '(a*)*b',
    '[]a]',
    '[a-]+b',
    '(?<n>a)b',
    '\\x61b',
    '[.\\-]',
    '[^\\d]+',
  ])('matches whole names with %s as the language does', (source) => {
    const javaScript = new RegExp(`^(?:${source === '[]a]' ? '[\\]a]' : source})$`);
    expect(names.filter(matchedBy(source))).toEqual(names.filter((name) => javaScript.test(name)));
  });

  it.each([
    ['\\Aa\\z', ['a']],
    ['(?i)ORDERS', ['orders']],
    ['(?i:O)rders(?i)-1|A', ['a', 'A', 'orders-1']],
    ['\\Qa.b\\E', ['a.b']],
    ['[[:alpha:]]+', ['a', 'b', 'ab', 'aab', 'aba', 'A', 'orders']],
    ['[[:^alpha:]]+', ['12']],
    ['(?P<year>\\d+)', ['12']],
    ['(?<1>a)', ['a']],
    ['\\141\\0?', ['a']],
    ['\\p{L}+', ['a', 'b', 'ab', 'aab', 'aba', 'A', 'orders']],
    ['\\pN\\p{Nd}', ['12']],
    ['\\p{Lu}', ['A']],
    ['(?i)\\p{Lu}', ['a', 'b', 'A']],
    ['(?i)\\P{Lu}+', ['12']],
    ['(?i)[[:upper:]]', ['a', 'b', 'A']],
    ['[\\p{Greek}b]', ['b']],
    ['\\P{^Latin}', ['a', 'b', 'A']],
    ['\\p{Any}', ['a', 'b', 'A']],
    ['(?i)order\\x{17f}', ['orders']],
    ['(?i)order[^\\x{17f}]', []],
    // Flags are nothing that could be repeated: what is before them is.
    ['a(?i)*b', ['b', 'ab', 'aab']],
    ['\\Qab\\E+', ['ab']],
    ['\\Qa\\E*b', ['b', 'ab', 'aab']],
    ['(?)a|\\é', ['a']],
    ['a{2', []],
    ['(a{10}){101}|a', ['a']],
  ])('reads what only RE2 has: %s', (source, expected) => {
    expect(names.filter(matchedBy(source))).toEqual(expected);
  });

  it.each([
    '(',
    ')',
    '[',
    'a**',
    '*a',
    'a{2}{3}',
    'a{3,2}',
    'a{1001}',
    '(?=a)',
    '(?!a)',
    '(?<=a)',
    '(a)\\1',
    '\\p{Nope}',
    '\\pX',
    '\\1',
    '\\8',
    '\\x{110000}',
    '{2}',
    '(|{2})',
    '(?i)*',
    '{*',
    '(?P<n>a)(?P<n>b)',
    '\\Z',
    '\\',
    '[b-a]',
    '[[:nope:]]',
    '(((a{1000}){1000}){1000})',
    '((){1000}){1000}',
    `${'('.repeat(1001)}${')'.repeat(1001)}`,
    `[${'a'.repeat(16_383)}]`,
  ])('refuses %s', (source) => {
    expect(() => new TopicPattern(source)).toThrow('cannot be used');
  });

  it.each(['\\d', '\\pL', '[:alpha:]', '(?i)\\P{Greek}'])('finds out once what %s is, however often that is said', (named) => {
    const source = named.startsWith('[') ? `[${named.repeat(1_000)}]` : named.repeat(1_000);
    const test = vi.spyOn(RegExp.prototype, 'test');
    try {
      expect(new TopicPattern(source)).toBeDefined();
      expect(test.mock.calls.length).toBeLessThan(10_000);
    } finally {
      test.mockRestore();
    }
  });

  // Names as long as they may be, against what others backtrack over.
  const longest = 'a'.repeat(248);
  it.each([
    ['(a+)+$', 1_000],
    ['(a*)*(a|a)*(a?){50}a{50}b', 100_000],
    ['(.*a){400}', 1_000_000],
    ['(((a?){20}){20}){4}b', 6_000_000],
    [`${'(?:'.repeat(999)}a${')*'.repeat(999)}b`, 100_000],
  ])('matches a long name with %s in bounded work', (source, workMax) => {
    const walk = new TopicPattern(source).walk();
    for (const end of ['c', '-']) {
      const before = walk.work;
      walk.begin(`${longest}${end}`);
      expect(walk.goOn(Infinity)).toBe(false);
      expect(walk.work - before).toBeLessThan(workMax);
    }
    expect(matchedBy('(a*)*(a|a)*(a?){50}a{50}b')(`${longest}b`)).toBe(true);
  });

  it('stops after so much work, and goes on where it was', () => {
    const walk = new TopicPattern('(.*a){100}(b|c)').walk();
    walk.begin(`${longest}c`);
    let turns = 0;
    let mostAtOnce = 0;
    let found: boolean | undefined;
    for (; found === undefined && turns < 1_000; turns++) {
      const before = walk.work;
      found = walk.goOn(1_000);
      mostAtOnce = Math.max(mostAtOnce, walk.work - before);
    }
    expect(found).toBe(true);
    expect(turns).toBeGreaterThan(50);
    // One character of a pattern of some 400 steps.
    expect(mostAtOnce).toBeLessThan(10_000);
  });

  it('remembers no more than it may, and answers alike when it has forgotten', () => {
    // Which of the last twelve characters were an a: four thousand sets.
    const matches = matchedBy('.*a.{12}');
    const javaScript = /^.*a.{12}$/;
    let bits = 1;
    const name = Array.from({ length: 249 }, () => ((bits = (bits * 75 + 74) % 65_537) & 1 ? 'a' : 'b')).join('');
    const all = Array.from({ length: 236 }, (_, at) => name.slice(at));
    expect(all.filter(matches)).toEqual(all.filter((one) => javaScript.test(one)));
  });

  it('answers or refuses whatever it is given', () => {
    const pieces = ['a', 'b', '.', '*', '+', '?', '|', '(', ')', '[', ']', '^', '$', '\\', '{', '}', '2', ',', '-', ':', 'Q', 'é', '😀'];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), fc.constantFrom(...names), (parts, name) => {
        try {
          expect(typeof matchedBy(parts.join(''))(name)).toBe('boolean');
        } catch (error) {
          expect(String(error)).toContain('cannot be used');
        }
      }),
      { numRuns: 1000 },
    );
  });
});
