/**
 * The scrub of one topic's hot log for somebody who asks for it: faster than the one in the background, and one at a time. It may take
 * hours, and be waited for as long: who asks is told every few seconds how far it is, so that nobody on the way takes it for dead.
 */
import type { ControlHandlers, HotScrubPart } from '../control/index.js';
import { LakeError, MiB, Semaphore, secondMs } from '../kernel/index.js';
import type { ScrubFound } from '../log/index.js';
import type { BrokerCore } from './core.js';

/** Somebody waits for it; a disk gives several times that. */
const bytesPerSecond = 64 * MiB;
/** Scrubs that wait for the one under way; who asks for more is told to come again. */
const waitingMax = 4;
/** Between two parts that tell how far it is. */
const tellMs = 5 * secondMs;

export function scrubHandlers({ topics, log, disk, clock }: BrokerCore): Pick<ControlHandlers, 'broker.scrub'> {
  const turns = new Semaphore(1, waitingMax);
  const limits = { bytesPerSecond, mayGoOn: () => !disk.isBelowReserve };
  return {
    'broker.scrub': async ({ topic: name }, { signal, sendPart }) => {
      const topic = topics.byName(name);
      if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic ${name}`, { facts: { topic: name } });
      const send = (part: HotScrubPart): Promise<void> => sendPart(part, new Uint8Array());
      let soFar: ScrubFound = { bytes: 0, findings: 0 };
      const watch = {
        onStep: (found: ScrubFound): void => {
          soFar = found;
        },
        onPartition: (partition: number, found: ScrubFound): Promise<void> => {
          const offline = topic.partitions.get(partition)?.offline;
          return send({ partition, ...found, ...(offline === undefined ? {} : { offline: offline.message }) });
        },
      };
      const isOver = new AbortController();
      const tell = async (): Promise<void> => {
        await send({ soFar });
        while (!isOver.signal.aborted) {
          await clock.sleep(tellMs, isOver.signal);
          await send({ soFar });
        }
      };
      // Also while it waits for its turn, or for room on the disk. Where nobody is left to be told, the signal ends the scrub.
      const telling = tell().catch(() => undefined);
      try {
        return await turns.run(() => log.scrubTopic(topic.record.name, limits, signal, watch), signal);
      } finally {
        isOver.abort();
        await telling;
      }
    },
  };
}
