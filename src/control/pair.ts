/** Two peers in one process, for the single-process wiring and for tests: as over a socket, without one. */
import { type Channel, ControlConnection } from './connection.js';
import { encodeFrameHead } from './frames.js';
import type { ControlHandlers, ControlPeer, Hello } from './messages.js';

export interface PairEnd {
  readonly hello: Hello;
  readonly handlers: ControlHandlers;
}

/** The end that `a` holds (it asks `b`) and the end that `b` holds. Closing one ends both. */
export function controlPair(a: PairEnd, b: PairEnd): readonly [ControlPeer, ControlPeer] {
  let isOpen = true;
  const make = (other: () => Channel): Channel => ({
    onFrame: () => {},
    onEnd: () => {},
    send: async (frame) => {
      if (!isOpen) return;
      encodeFrameHead(frame);
      // As over a socket: the receiver's bytes are its own.
      const copy = { ...frame, payload: Buffer.from(frame.payload) };
      await Promise.resolve();
      if (!isOpen) return;
      try {
        other().onFrame(copy);
      } catch (error) {
        end(error as Error);
      }
    },
    close: (cause) => end(cause),
  });
  const end = (cause?: Error): void => {
    if (!isOpen) return;
    isOpen = false;
    channelOfA.onEnd(cause);
    channelOfB.onEnd(cause);
  };
  const channelOfA: Channel = make(() => channelOfB);
  const channelOfB: Channel = make(() => channelOfA);
  return [new ControlConnection(channelOfA, b.hello, a.handlers), new ControlConnection(channelOfB, a.hello, b.handlers)];
}
