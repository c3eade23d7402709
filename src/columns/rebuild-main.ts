/**
 * A thread that rebuilds batches: one job after the other, each to its end, asleep where no more parts may be ahead of whoever takes
 * them. Pages and batches lie in memory of WebAssembly, and no DuckDB is loaded: what fails here fails as an error.
 */
import { setPriority } from 'node:os';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { errorToPlain, invariant, type Offset } from '../kernel/index.js';
import { partsAheadMax, type RebuildAnswer, type RebuildOrder, type RebuildThreadSetup } from './batch-rebuilder.js';
import { keptBytes, rebuild } from './rebuild.js';

/** Buffers that travel: out with a part, back when it is taken. */
class TravellingBuffers {
  readonly #returns: MessagePort;
  readonly #returned: Int32Array;
  #home: ArrayBuffer[] = [];
  #away = 0;

  constructor({ returns, returned }: RebuildThreadSetup) {
    this.#returns = returns;
    this.#returned = returned;
  }

  /** One of so many bytes; sleeps until one may go out. */
  take(bytes: number): ArrayBuffer {
    for (;;) {
      const seen = Atomics.load(this.#returned, 0);
      this.#collect();
      if (this.#away < partsAheadMax) break;
      Atomics.wait(this.#returned, 0, seen);
    }
    this.#away++;
    const fitting = this.#home.pop();
    // Of another size: from a job of other parts, or of a batch larger than one.
    return fitting?.byteLength === bytes ? fitting : new ArrayBuffer(bytes);
  }

  #collect(): void {
    for (;;) {
      const message = receiveMessageOnPort(this.#returns);
      if (message === undefined) return;
      this.#home.push(message.message as ArrayBuffer);
      this.#away--;
    }
  }
}

type SendPart = (buffer: ArrayBuffer, bytes: number, nextOffset: Offset, endOffset: Offset | undefined) => void;

/** Gathers whole batches to parts. */
class Parts {
  readonly #buffers: TravellingBuffers;
  readonly #partBytes: number;
  readonly #send: SendPart;
  #part: Buffer | undefined;
  #bytes = 0;
  #nextOffset: Offset = 0;
  #endOffset: Offset | undefined;

  constructor(buffers: TravellingBuffers, partBytes: number, send: SendPart) {
    this.#buffers = buffers;
    this.#partBytes = partBytes;
    this.#send = send;
  }

  add(batch: Buffer, nextOffset: Offset, endOffset: Offset | undefined): void {
    if (this.#part !== undefined && this.#bytes + batch.length > this.#part.length) this.flush();
    // A batch larger than a part goes alone.
    this.#part ??= Buffer.from(this.#buffers.take(Math.max(batch.length, this.#partBytes)));
    this.#part.set(batch, this.#bytes);
    this.#bytes += batch.length;
    this.#nextOffset = nextOffset;
    this.#endOffset = endOffset;
  }

  /** Sends what is gathered. */
  flush(): void {
    if (this.#part === undefined) return;
    this.#send(this.#part.buffer as ArrayBuffer, this.#bytes, this.#nextOffset, this.#endOffset);
    this.#part = undefined;
    this.#bytes = 0;
  }
}

const port = parentPort;
invariant(port !== null, 'this runs as a thread');
const setup = workerData as RebuildThreadSetup;
const buffers = new TravellingBuffers(setup);

function send(answer: RebuildAnswer): void {
  port?.postMessage(answer, answer.kind === 'part' ? [answer.buffer] : []);
}

// Elsewhere than on Linux it would be the priority of the whole process.
if (process.platform === 'linux') {
  try {
    setPriority(setup.niceness);
  } catch {
    // The system does not let us: the work goes on as it is.
  }
}

port.on('message', ({ id, job, partBytes }: RebuildOrder) => {
  const parts = new Parts(buffers, partBytes, (buffer, bytes, nextOffset, endOffset) =>
    send({ id, kind: 'part', buffer, bytes, nextOffset, endOffset }),
  );
  try {
    const result = rebuild(job, (batch, nextOffset, endOffset) => parts.add(batch, nextOffset, endOffset));
    parts.flush();
    send({ id, kind: 'done', result, keptBytes: keptBytes() });
  } catch (error) {
    send({ id, kind: 'failed', error: errorToPlain(error), keptBytes: keptBytes() });
  }
});
