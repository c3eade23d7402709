/**
 * The control socket's frames. Big-endian.
 *
 * | at | field                                    |
 * |---:|------------------------------------------|
 * |  0 | bytes after this field u32               |
 * |  4 | kind u8 (`frameKinds`)                   |
 * |  5 | call id u32, of the side that asked      |
 * |  9 | bytes of the JSON text u32               |
 * | 13 | JSON text, UTF-8                         |
 * |  … | payload: the rest                        |
 */
import { KiB, LakeError, MiB } from '../kernel/index.js';

export const frameKinds = { hello: 1, request: 2, result: 3, failure: 4, part: 5, partAck: 6, cancel: 7 } as const;
export type FrameKind = (typeof frameKinds)[keyof typeof frameKinds];

export interface Frame {
  readonly kind: FrameKind;
  readonly id: number;
  readonly json: string;
  readonly payload: Buffer;
}

/** Room for Kafka's largest request (100 MiB) as one part of a hydration, and for its facts. */
export const frameBytesMax = 128 * MiB;
/** Before a connection has introduced itself, it is not trusted with more. */
export const helloBytesMax = 16 * KiB;

export const noPayload: Buffer = Buffer.alloc(0);

const frameHeaderBytes = 13;
/** Kind, id and JSON length, which the length field counts. */
const countedHeaderBytes = frameHeaderBytes - 4;

/** Header and JSON of a frame as one buffer; the payload is written after it, never copied. */
export function encodeFrameHead(frame: Frame): Buffer {
  const jsonBytes = Buffer.byteLength(frame.json);
  const bytes = countedHeaderBytes + jsonBytes + frame.payload.length;
  if (bytes > frameBytesMax) {
    throw new LakeError('frame-invalid', `a control message of ${bytes} bytes is larger than ${frameBytesMax}`, { facts: { bytes } });
  }
  const head = Buffer.allocUnsafe(frameHeaderBytes + jsonBytes);
  head.writeUInt32BE(bytes, 0);
  head.writeUInt8(frame.kind, 4);
  head.writeUInt32BE(frame.id, 5);
  head.writeUInt32BE(jsonBytes, 9);
  head.write(frame.json, frameHeaderBytes);
  return head;
}

/** Cuts a stream of bytes into frames. A frame's payload is a view of bytes that nobody writes to again. */
export class FrameDecoder {
  /** Frames above this are refused; raised once the peer has introduced itself. */
  bytesMax = helloBytesMax;
  readonly #onFrame: (frame: Frame) => void;
  readonly #length = Buffer.alloc(4);
  #lengthBytes = 0;
  #body: Buffer | undefined;
  #bodyBytes = 0;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  /** Errors: `frame-invalid`; nothing more can be read from the stream then. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === undefined) {
        const copied = chunk.copy(this.#length, this.#lengthBytes, at, at + 4 - this.#lengthBytes);
        this.#lengthBytes += copied;
        at += copied;
        if (this.#lengthBytes < 4) return;
        this.#lengthBytes = 0;
        const bytes = this.#length.readUInt32BE(0);
        if (bytes < countedHeaderBytes || bytes > this.bytesMax) {
          throw new LakeError(
            'frame-invalid',
            `a control frame of ${bytes} bytes is not between ${countedHeaderBytes} and ${this.bytesMax}`,
            {
              facts: { bytes },
            },
          );
        }
        if (at + bytes <= chunk.length) {
          this.#emit(chunk.subarray(at, at + bytes));
          at += bytes;
          continue;
        }
        this.#body = Buffer.allocUnsafeSlow(bytes);
        this.#bodyBytes = 0;
      }
      const copied = chunk.copy(this.#body, this.#bodyBytes, at);
      this.#bodyBytes += copied;
      at += copied;
      if (this.#bodyBytes === this.#body.length) {
        const body = this.#body;
        this.#body = undefined;
        this.#emit(body);
      }
    }
  }

  #emit(body: Buffer): void {
    const kind = body.readUInt8(0);
    const jsonBytes = body.readUInt32BE(5);
    if (kind < frameKinds.hello || kind > frameKinds.cancel || countedHeaderBytes + jsonBytes > body.length) {
      throw new LakeError('frame-invalid', `a control frame of kind ${kind} with ${jsonBytes} bytes of JSON is malformed`, {
        facts: { kind, jsonBytes },
      });
    }
    this.#onFrame({
      kind: kind as FrameKind,
      id: body.readUInt32BE(1),
      json: body.toString('utf8', countedHeaderBytes, countedHeaderBytes + jsonBytes),
      payload: body.subarray(countedHeaderBytes + jsonBytes),
    });
  }
}
