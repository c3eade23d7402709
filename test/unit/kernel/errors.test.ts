import { describe, expect, it } from 'vitest';
import { errorCatalogue, errorFromPlain, errorToPlain, LakeError, nearestName, toLakeError } from '../../../src/kernel/index.js';

describe('operating errors', () => {
  it('cross a process border and stay what they were', () => {
    const error = new LakeError('topic-unknown', 'there is no topic "x"', { hint: 'Create it.', facts: { topic: 'x', at: 5n } });
    const back = errorFromPlain(JSON.parse(JSON.stringify(errorToPlain(error))) as ReturnType<typeof errorToPlain>);
    expect(back).toMatchObject({ code: 'topic-unknown', kind: 'not-found', message: error.message, hint: 'Create it.', retriable: false });
    expect(back.kafkaCode).toBe(3);
    expect(back.httpStatus).toBe(404);
    expect(back.facts).toEqual({ topic: 'x', at: '5' });
  });

  it('make anything else an internal one, keeping the cause', () => {
    const cause = new TypeError('boom');
    expect(toLakeError(cause)).toMatchObject({ code: 'internal', message: 'boom', cause });
    expect(toLakeError(cause).kafkaCode).toBe(-1);
  });

  it('have a sentence each', () => {
    for (const [code, entry] of Object.entries(errorCatalogue)) expect(entry.sentence, code).toMatch(/^[A-Z].*\.$/);
  });
});

describe('nearest names', () => {
  it('finds a typing error and keeps silent where nothing is near', () => {
    expect(nearestName('orgin', ['origin', 'destination'])).toBe('origin');
    expect(nearestName('flights', ['FLIGHTS_2', 'weather'])).toBe('FLIGHTS_2');
    expect(nearestName('zzzzzz', ['origin', 'destination'])).toBeUndefined();
  });
});
