import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TopicPattern } from '../../../src/broker/groups/consumer/topic-pattern.js';

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
    const pattern = new TopicPattern(source);
    expect(names.filter((name) => pattern.matches(name))).toEqual(names.filter((name) => javaScript.test(name)));
  });

  it.each([
    ['\\Aa\\z', ['a']],
    ['(?i)ORDERS', ['orders']],
    ['(?i:O)rders(?i)-1|A', ['a', 'A', 'orders-1']],
    ['\\Qa.b\\E', ['a.b']],
    ['[[:alpha:]]+', ['a', 'b', 'ab', 'aab', 'aba', 'A', 'orders']],
    ['[[:^alpha:]]+', ['12']],
    ['(?P<year>\\d+)', ['12']],
  ])('reads what only RE2 has: %s', (source, expected) => {
    const pattern = new TopicPattern(source);
    expect(names.filter((name) => pattern.matches(name))).toEqual(expected);
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
    '\\p{L}',
    '\\',
    '[b-a]',
    '[[:nope:]]',
    '(?)',
    '(((a{1000}){1000}){1000})',
    '((){1000}){1000}',
    '('.repeat(300),
  ])('refuses %s', (source) => {
    expect(() => new TopicPattern(source)).toThrow('cannot be used');
  });

  it('takes no time for what others backtrack over', () => {
    const pattern = new TopicPattern('(a*)*(a|a)*(a?){50}a{50}b');
    expect(pattern.matches(`${'a'.repeat(248)}c`)).toBe(false);
    expect(pattern.matches(`${'a'.repeat(248)}b`)).toBe(true);
  });

  it('answers or refuses whatever it is given', () => {
    const pieces = ['a', 'b', '.', '*', '+', '?', '|', '(', ')', '[', ']', '^', '$', '\\', '{', '}', '2', ',', '-', ':', 'Q', 'é', '😀'];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), fc.constantFrom(...names), (parts, name) => {
        try {
          expect(typeof new TopicPattern(parts.join('')).matches(name)).toBe('boolean');
        } catch (error) {
          expect(String(error)).toContain('cannot be used');
        }
      }),
      { numRuns: 1000 },
    );
  });
});
