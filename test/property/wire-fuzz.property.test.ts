/** Mutated and made-up bytes: decoding answers with a value or a LakeError, and makes nothing larger than a bound. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLakeError } from '../../src/kernel/index.js';
import type { Api } from '../../src/wire/index.js';
import { apis, decodeRequest, decodeRequestHeader, decodeResponse, encodeRequest, encodeResponse } from '../../src/wire/index.js';
import { messageValue } from '../support/message-values.js';

interface Mutation {
  readonly at: number;
  readonly byte: number;
  readonly cut: boolean;
}

const mutations = fc.array(
  fc.record({ at: fc.nat(), byte: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)), cut: fc.constant(false) }),
  {
    minLength: 1,
    maxLength: 6,
  },
);
const cutOrNot = fc.oneof(
  { weight: 4, arbitrary: mutations },
  fc.record({ at: fc.nat(), byte: fc.constant(0), cut: fc.constant(true) }).map((m) => [m]),
);

function mutated(frame: Buffer, changes: readonly Mutation[]): Buffer {
  const copy = Buffer.from(frame);
  for (const { at, byte, cut } of changes) {
    if (copy.length === 0) break;
    if (cut) return copy.subarray(0, at % copy.length);
    copy[at % copy.length] = byte;
  }
  return copy;
}

/** Array elements anywhere in a decoded value. */
function elementsIn(value: unknown): number {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return 0;
  if (Array.isArray(value)) return value.length + value.reduce((sum: number, element) => sum + elementsIn(element), 0);
  return Object.values(value).reduce((sum: number, member) => sum + elementsIn(member), 0);
}

function expectBounded(decode: () => unknown, bytes: number): void {
  try {
    expect(elementsIn(decode())).toBeLessThanOrEqual(bytes);
  } catch (error) {
    if (!isLakeError(error, 'message-invalid')) throw error;
  }
}

const versionOf = (api: Api): fc.Arbitrary<number> => fc.integer({ min: api.minVersion, max: api.maxVersion });

describe.each(apis.map((api) => [api.name, api] as const))('%s', (_name, api) => {
  it('survives mutated requests', () => {
    const request = versionOf(api).chain((version) => messageValue(api.request, version).map((value) => ({ version, value })));
    fc.assert(
      fc.property(request, cutOrNot, ({ version, value }, changes) => {
        const frame = mutated(Buffer.concat(encodeRequest(api, version, 1, 'client', value)).subarray(4), changes);
        expectBounded(() => {
          const header = decodeRequestHeader(frame);
          return decodeRequest(api, version, frame, header.bodyAt);
        }, frame.length);
      }),
      { numRuns: 150 },
    );
  });

  it('survives mutated responses', () => {
    const response = versionOf(api).chain((version) => messageValue(api.response, version).map((value) => ({ version, value })));
    fc.assert(
      fc.property(response, cutOrNot, ({ version, value }, changes) => {
        const frame = mutated(Buffer.concat(encodeResponse(api, version, 1, value)).subarray(4), changes);
        expectBounded(() => decodeResponse(api, version, frame), frame.length);
      }),
      { numRuns: 150 },
    );
  });

  it('survives bytes that were never a message', () => {
    fc.assert(
      fc.property(versionOf(api), fc.uint8Array({ maxLength: 200 }), (version, bytes) => {
        expectBounded(() => decodeRequest(api, version, Buffer.from(bytes), 0), bytes.length);
        expectBounded(() => decodeResponse(api, version, Buffer.from(bytes)), bytes.length);
      }),
      { numRuns: 100 },
    );
  });
});
