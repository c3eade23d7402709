/**
 * The control connection over a Unix or TCP socket. The side that connects introduces itself first; the other answers with
 * its own hello, or refuses a peer of another version.
 */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { errorFromPlain, errorToPlain, isErrno, LakeError, type PlainError, toLakeError } from '../kernel/index.js';
import { type ControlAddress, formatControlAddress, parseControlAddress } from './address.js';
import { type Channel, ControlConnection } from './connection.js';
import { encodeFrameHead, type Frame, FrameDecoder, frameBytesMax, frameKinds, noPayload } from './frames.js';
import type { ControlHandlers, ControlPeer, Hello } from './messages.js';

/** How long a fresh connection may take to introduce itself. */
const helloTimeoutMs = 5_000;
/** Connections at a time: a handful of roles, and room for restarts whose old connections linger. */
const peersMax = 64;

export interface ConnectControlOptions {
  readonly signal?: AbortSignal | undefined;
  /** For connecting and the two hellos; default 5000. */
  readonly timeoutMs?: number;
}

export interface ListenControlOptions {
  /** Told of each connection that was refused or broken off for what it sent. */
  readonly onRefused?: (error: LakeError) => void;
}

export interface ControlListener {
  /** As listened on, with the port that was picked. */
  readonly address: string;
  /** Connected now, in order of connection. */
  readonly peers: readonly ControlPeer[];
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

class SocketChannel implements Channel {
  onFrame: (frame: Frame) => void = () => {};
  onEnd: (cause: Error | undefined) => void = () => {};
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  #cause: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#decoder = new FrameDecoder((frame) => {
      if (!socket.destroyed) this.onFrame(frame);
    });
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#decoder.push(chunk);
      } catch (error) {
        this.close(toLakeError(error, 'frame-invalid', 'a control connection sent what cannot be read'));
      }
    });
    socket.on('error', (error) => {
      this.#cause ??= error;
    });
    socket.on('close', () => this.onEnd(this.#cause));
  }

  /** From now on frames of full size are taken. */
  trust(): void {
    this.#decoder.bytesMax = frameBytesMax;
  }

  send(frame: Frame): Promise<void> {
    return new Promise((resolve, reject) => {
      const head = encodeFrameHead(frame);
      const done = (error?: Error | null): void => {
        if (error === undefined || error === null) resolve();
        else reject(new LakeError('peer-gone', `a control message could not be sent: ${error.message}`, { cause: error }));
      };
      if (frame.payload.length === 0) {
        this.#socket.write(head, done);
        return;
      }
      this.#socket.cork();
      this.#socket.write(head);
      this.#socket.write(frame.payload, done);
      this.#socket.uncork();
    });
  }

  close(cause?: Error): void {
    this.#cause ??= cause;
    this.#socket.destroy();
  }

  /** Sends a last frame and ends. */
  async refuse(error: LakeError): Promise<void> {
    this.#cause ??= error;
    const frame: Frame = { kind: frameKinds.failure, id: 0, json: JSON.stringify(errorToPlain(error)), payload: noPayload };
    await this.send(frame).catch(() => {});
    this.#socket.destroySoon();
  }
}

function readHello(frame: Frame): Hello {
  if (frame.kind === frameKinds.failure) throw errorFromPlain(JSON.parse(frame.json) as PlainError);
  const hello = frame.kind === frameKinds.hello ? (JSON.parse(frame.json) as Partial<Hello>) : {};
  const { role, pid, version } = hello;
  if ((role !== 'broker' && role !== 'tier' && role !== 'gateway') || typeof pid !== 'number' || typeof version !== 'string') {
    throw new LakeError('frame-invalid', 'a control connection did not begin with a hello');
  }
  return { role, pid, version };
}

function assertSameVersion(own: Hello, peer: Hello): void {
  if (own.version === peer.version) return;
  throw new LakeError('peer-refused', `the ${peer.role} is of version ${peer.version}, the ${own.role} of ${own.version}`, {
    hint: 'Run all roles from the same version.',
    facts: { own: own.version, peer: peer.version },
  });
}

function helloFrame(hello: Hello): Frame {
  return { kind: frameKinds.hello, id: 0, json: JSON.stringify(hello), payload: noPayload };
}

/**
 * Connects to the role that listens at `address`. One try: whoever wants to stay connected connects again.
 * Errors: `peer-gone` (nobody there, or lost on the way), `peer-refused` (another version), `timeout`, `cancelled`.
 */
export function connectControl(
  address: string,
  hello: Hello,
  handlers: ControlHandlers,
  options: ConnectControlOptions = {},
): Promise<ControlPeer> {
  const { signal, timeoutMs = helloTimeoutMs } = options;
  return new Promise((resolve, reject) => {
    const target = parseControlAddress(address);
    if (signal?.aborted === true) throw new LakeError('cancelled', `connecting to ${address} was cancelled`, { cause: signal.reason });
    const socket = connect(target);
    const channel = new SocketChannel(socket);
    const onAbort = (): void =>
      channel.close(new LakeError('cancelled', `connecting to ${address} was cancelled`, { cause: signal?.reason }));
    const timer = setTimeout(() => {
      channel.close(new LakeError('timeout', `nobody introduced itself at ${address} within ${timeoutMs} ms`));
    }, timeoutMs);
    const settled = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    channel.onEnd = (cause) => {
      settled();
      const why = cause === undefined ? 'it hung up' : cause.message;
      reject(cause instanceof LakeError ? cause : new LakeError('peer-gone', `cannot connect to ${address}: ${why}`, { cause }));
    };
    channel.onFrame = (frame) => {
      const peer = readHello(frame);
      assertSameVersion(hello, peer);
      settled();
      channel.trust();
      resolve(new ControlConnection(channel, peer, handlers));
    };
    socket.once('connect', () => {
      if ('host' in target) socket.setKeepAlive(true, 30_000);
      channel.send(helloFrame(hello)).catch((error: unknown) => channel.close(toLakeError(error)));
    });
  });
}

/**
 * Listens for peers. A Unix socket gets mode 0600; one that a killed process left behind is removed, if nobody answers on it.
 * `handlersFor` gives what each peer may ask; `onPeer` tells of each that has introduced itself.
 * Errors: `data-dir-locked` (somebody answers there), `config-invalid-value`.
 */
export async function listenControl(
  address: string,
  hello: Hello,
  onPeer: (peer: ControlPeer) => void,
  handlersFor: (peer: Hello) => ControlHandlers,
  options: ListenControlOptions = {},
): Promise<ControlListener> {
  const target = parseControlAddress(address);
  const peers: ControlPeer[] = [];
  const channels = new Set<SocketChannel>();

  const accept = (socket: Socket): void => {
    const channel = new SocketChannel(socket);
    channels.add(channel);
    const forget = (cause: Error | undefined): void => {
      clearTimeout(timer);
      channels.delete(channel);
      if (cause instanceof LakeError) options.onRefused?.(cause);
    };
    const timer = setTimeout(
      () => channel.close(new LakeError('timeout', 'a control connection did not introduce itself')),
      helloTimeoutMs,
    );
    channel.onEnd = forget;
    channel.onFrame = (frame) => {
      clearTimeout(timer);
      const peerHello = readHello(frame);
      try {
        assertSameVersion(hello, peerHello);
      } catch (error) {
        void channel.refuse(toLakeError(error));
        return;
      }
      channel.trust();
      const peer = new ControlConnection(channel, peerHello, handlersFor(peerHello));
      const endConnection = channel.onEnd;
      channel.onEnd = (cause) => {
        const index = peers.indexOf(peer);
        if (index >= 0) peers.splice(index, 1);
        forget(cause);
        endConnection(cause);
      };
      channel.send(helloFrame(hello)).catch((error: unknown) => channel.close(toLakeError(error)));
      peers.push(peer);
      onPeer(peer);
    };
  };

  const server = createServer(accept);
  server.maxConnections = peersMax;
  await listen(server, target);
  server.on('error', (error) => options.onRefused?.(toLakeError(error)));
  const bound = server.address();
  return {
    address: formatControlAddress(
      'path' in target || bound === null || typeof bound === 'string' ? target : { host: target.host, port: bound.port },
    ),
    peers,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const channel of channels) channel.close();
      }),
  };
}

async function listen(server: Server, target: ControlAddress): Promise<void> {
  try {
    await listenOnce(server, target);
  } catch (error) {
    const isTaken = isErrno(error, 'EADDRINUSE');
    const where = formatControlAddress(target);
    if (!isTaken || !('path' in target) || (await isAnswered(target.path))) {
      throw new LakeError(isTaken ? 'data-dir-locked' : 'config-invalid-value', `cannot listen on ${where}: ${(error as Error).message}`, {
        hint: isTaken
          ? 'Stop the process that listens there, or set control.listen to another address.'
          : 'Set control.listen to an address of this machine.',
        facts: { address: where },
        cause: error,
      });
    }
    await unlink(target.path);
    await listenOnce(server, target);
  }
  if ('path' in target) await chmod(target.path, 0o600);
}

function listenOnce(server: Server, target: ControlAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(target, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Whether the file at `path` is anything but a socket on which nobody listens. */
async function isAnswered(path: string): Promise<boolean> {
  if (!(await lstat(path)).isSocket()) return true;
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
