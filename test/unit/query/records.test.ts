import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordLine } from '../../../src/query/records.js';

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(null, '', 'base64:', 'base64:/wA=', '"\\\n\u0000'));
const named = (name: string, value: string | null): object =>
  value?.startsWith('base64:') === true ? { [`${name}_base64`]: value.slice(7) } : { [name]: value };

describe('a record as a line', () => {
  it('is the JSON text of the record, whatever it holds', () => {
    const header = fc.record({ key: text, key_raw: fc.constantFrom(null, 'base64:/w=='), value: text });
    const ms = fc.oneof(
      fc.integer({ min: -8.64e15, max: 8.64e15 }),
      fc.constantFrom(0, -1, -86_400_000, 8.64e15, -8.64e15, 978_307_200_000),
    );
    fc.assert(
      fc.property(fc.nat(), ms, text, text, fc.option(fc.array(header, { maxLength: 3 })), (offset, timestampMs, key, value, headers) => {
        const line = recordLine([3, offset, timestampMs, key, value, headers]);
        expect(line).toBe(
          JSON.stringify({
            partition: 3,
            offset,
            timestamp: new Date(timestampMs).toISOString(),
            ...named('key', key),
            ...named('value', value),
            headers: (headers ?? []).map((one) => ({ ...named('key', one.key_raw ?? one.key), ...named('value', one.value) })),
          }),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('gives a time that no date can say as a number', () => {
    expect(recordLine([0, 0, 9e15, null, null, []])).toBe(
      '{"partition":0,"offset":0,"timestamp":9000000000000000,"key":null,"value":null,"headers":[]}',
    );
  });
});
