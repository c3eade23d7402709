/**
 * Requests and responses with their headers: the broker's side (decode a request, encode a response) and the client's (the other
 * way round). Header versions follow from the API: request v2 and response v1 where the version is flexible, except that the
 * response of ApiVersions always has header v0 (KIP-511).
 */
import { LakeError } from '../kernel/index.js';
import { apiByKey } from './api-table.js';
import { apiVersionsApi } from './apis/api-versions.js';
import { codecOf } from './codec.js';
import { MessageReader } from './message-reader.js';
import { MessageWriter } from './message-writer.js';
import type { Api, MessageInput } from './notation.js';

export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** Where the body begins in the frame; meaningless for a version that is not served. */
  readonly bodyAt: number;
}

/** Whether a version of an API is served, as opposed to announced: Produce v0–2 are announced only. */
export function isServed(api: Api, version: number): boolean {
  return version >= api.minVersion && version <= api.maxVersion;
}

/**
 * Reads the header of a frame (without its size prefix). Never refuses an unknown key or version, so that the caller can answer
 * ApiVersions at a version it does not know; throws `message-invalid` when even that much is not there.
 */
export function decodeRequestHeader(frame: Buffer): RequestHeader {
  const reader = new MessageReader(frame, 0, 'a request header');
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  const clientId = reader.string();
  const api = apiByKey(apiKey);
  if (api !== undefined && isServed(api, apiVersion) && apiVersion >= api.flexibleFrom) reader.skipTags();
  return { apiKey, apiVersion, correlationId, clientId, bodyAt: reader.at };
}

/**
 * Reads the body of a request. Bytes behind it are tolerated: librdkafka leaves three after some Metadata requests. Clients ask for
 * times and offsets such as 2^63−1 to mean "the end": what lies beyond ±(2^53−1), where no log has anything, is taken as that
 * bound. Byte fields are views into the frame. Throws `unsupported-version` or `message-invalid`.
 */
export function decodeRequest<Req, Res>(api: Api<Req, Res>, version: number, frame: Buffer, bodyAt: number): Req {
  const codec = codecOf(api, api.request, served(api, version));
  return codec.read(new MessageReader(frame, bodyAt, codec.name, true)) as Req;
}

/**
 * A response as chunks that begin with the size prefix; record batches are chunks of their own, not copied. What the version has
 * no field for is dropped. Throws `message-invalid` for a value that the version cannot say (null where there is no null, a
 * number that does not fit).
 */
export function encodeResponse<Req, Res>(
  api: Api<Req, Res>,
  version: number,
  correlationId: number,
  body: MessageInput<NoInfer<Res>>,
): Buffer[] {
  const codec = codecOf(api, api.response, served(api, version));
  const writer = new MessageWriter(codec.name);
  writer.int32(correlationId, 'correlationId');
  if (hasResponseTags(api, version)) writer.uvarint(0);
  codec.write(writer, body);
  return writer.finish();
}

/**
 * A request as chunks that begin with the size prefix. Throws `message-invalid` also for a value that the version has no field for,
 * unless the field is ignorable.
 */
export function encodeRequest<Req, Res>(
  api: Api<Req, Res>,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: MessageInput<NoInfer<Req>>,
): Buffer[] {
  const codec = codecOf(api, api.request, served(api, version));
  const writer = new MessageWriter(codec.name);
  writer.int16(api.key, 'apiKey');
  writer.int16(version, 'apiVersion');
  writer.int32(correlationId, 'correlationId');
  writer.string(clientId, 'clientId');
  if (version >= api.flexibleFrom) writer.uvarint(0);
  codec.write(writer, body);
  return writer.finish();
}

/** The correlation id of a response frame (without its size prefix), by which a client finds the API and version to decode it with. */
export function decodeCorrelationId(frame: Buffer): number {
  return new MessageReader(frame, 0, 'a response header').int32();
}

/** Reads a response frame (without its size prefix). Byte fields are views into the frame. */
export function decodeResponse<Req, Res>(
  api: Api<Req, Res>,
  version: number,
  frame: Buffer,
): { readonly correlationId: number; readonly body: Res } {
  const codec = codecOf(api, api.response, served(api, version));
  const reader = new MessageReader(frame, 0, codec.name);
  const correlationId = reader.int32();
  if (hasResponseTags(api, version)) reader.skipTags();
  return { correlationId, body: codec.read(reader) as Res };
}

function hasResponseTags(api: Api, version: number): boolean {
  return version >= api.flexibleFrom && api.key !== apiVersionsApi.key;
}

function served(api: Api, version: number): number {
  if (isServed(api, version)) return version;
  throw new LakeError('unsupported-version', `${api.name} v${version} is not served; v${api.minVersion} to v${api.maxVersion} are.`, {
    hint: 'Ask for the versions with ApiVersions first.',
    facts: { apiKey: api.key, version },
  });
}
