/** Decode∘encode is the identity for every message at every version, and agrees with a codec that interprets Kafka's own schemas. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apis, decodeRequest, decodeRequestHeader, decodeResponse, encodeRequest, encodeResponse } from '../../src/wire/index.js';
import { frameBySchema, hasSchemas, schemaOf } from '../support/kafka-schema-codec.js';
import { messageValue } from '../support/message-values.js';

const numRuns = 25;

describe.each(apis.map((api) => [api.name, api] as const))('%s', (_name, api) => {
  const versions = Array.from({ length: api.maxVersion - api.minVersion + 1 }, (_, i) => api.minVersion + i);

  it.each(versions)('brings back every request of v%i as it was', (version) => {
    fc.assert(
      fc.property(messageValue(api.request, version), fc.integer(), fc.option(fc.string()), (value, correlationId, clientId) => {
        const frame = Buffer.concat(encodeRequest(api, version, correlationId, clientId, value));
        expect(frame.readInt32BE(0)).toBe(frame.length - 4);
        const header = decodeRequestHeader(frame.subarray(4));
        expect(header).toMatchObject({ apiKey: api.key, apiVersion: version, correlationId, clientId });
        expect(decodeRequest(api, version, frame.subarray(4), header.bodyAt)).toStrictEqual(value);
        if (hasSchemas) expect(frame).toEqual(frameBySchemaOrNullClient(api.request.name, version, correlationId, clientId, value, frame));
      }),
      { numRuns },
    );
  });

  it.each(versions)('brings back every response of v%i as it was', (version) => {
    fc.assert(
      fc.property(messageValue(api.response, version), fc.integer(), (value, correlationId) => {
        const frame = Buffer.concat(encodeResponse(api, version, correlationId, value));
        expect(frame.readInt32BE(0)).toBe(frame.length - 4);
        expect(decodeResponse(api, version, frame.subarray(4))).toStrictEqual({ correlationId, body: value });
        if (hasSchemas) expect(frame).toEqual(frameBySchema(schemaOf(api.response.name), version, correlationId, '', value));
      }),
      { numRuns },
    );
  });
});

/** The interpreting codec writes no null client id; such a frame is compared with itself. */
function frameBySchemaOrNullClient(
  name: string,
  version: number,
  correlationId: number,
  clientId: string | null,
  value: Readonly<Record<string, unknown>>,
  frame: Buffer,
): Buffer {
  return clientId === null ? frame : frameBySchema(schemaOf(name), version, correlationId, clientId, value);
}
