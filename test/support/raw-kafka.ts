// A Kafka client without manners, for bad input: bytes as they are, batches as they are, each answered or refused once.
import { connect, type Socket } from 'node:net';
import { connectBroker } from '../../src/client/index.js';
import {
  batchAt,
  batchHeaderBytes,
  computeBatchCrc,
  encodeBatch,
  FrameReader,
  type MessageInput,
  produceApi,
  type ProduceRequest,
} from '../../src/wire/index.js';

export interface RawConnection {
  readonly socket: Socket;
  readonly frames: readonly Buffer[];
  readonly closed: Promise<void>;
}

export async function rawConnection(address: string): Promise<RawConnection> {
  const [host, port] = address.split(':');
  const socket = connect({ host: host!, port: Number(port) });
  const frames: Buffer[] = [];
  const reader = new FrameReader();
  socket.on('data', (chunk: Buffer) => frames.push(...reader.push(chunk)));
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
  });
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
  });
  return { socket, frames, closed };
}

/** Writes bytes on a connection of its own, and waits until the broker ends it. */
export async function sendAndBeClosed(address: string, bytes: Buffer): Promise<void> {
  const { socket, closed } = await rawConnection(address);
  socket.write(bytes);
  await closed;
}

export interface ProduceOutcome {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly baseOffset: number;
}

/** One Produce request with one batch, sent once. */
export async function produceOnce(
  address: string,
  topic: string,
  records: Buffer,
  more: Partial<MessageInput<ProduceRequest>> = {},
): Promise<ProduceOutcome> {
  const connection = await connectBroker({ bootstrap: address, clientId: 'raw' });
  try {
    const answer = await connection.request(produceApi, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 10_000,
      topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
      ...more,
    });
    const { errorCode, errorMessage, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
    return { errorCode, errorMessage: errorMessage ?? null, baseOffset };
  } finally {
    connection.close();
  }
}

/** A batch of values, one a record. */
export function batchOf(...values: readonly (Buffer | string)[]): Buffer {
  return encodeBatch({ records: values.map((value) => ({ timestampMs: Date.now(), key: null, value: Buffer.from(value) })) });
}

/** A batch of one record whose compressed bytes are given, with a CRC that is right. */
export function batchWithBody(codec: number, body: Buffer): Buffer {
  const batch = Buffer.concat([batchOf('x').subarray(0, batchHeaderBytes), body]);
  batch.writeInt32BE(batch.length - batchAt.leaderEpoch, batchAt.length);
  batch.writeInt16BE(codec, batchAt.attributes);
  batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
  return batch;
}
