/** The scrub of one topic's hot log for somebody who asks for it: faster than the one in the background, and one at a time. */
import type { ControlHandlers } from '../control/index.js';
import { LakeError, MiB, Semaphore } from '../kernel/index.js';
import type { BrokerCore } from './core.js';

/** Somebody waits for it; a disk gives several times that. */
const bytesPerSecond = 64 * MiB;
/** Scrubs that wait for the one under way; who asks for more is told to come again. */
const waitingMax = 4;

export function scrubHandlers({ topics, log, disk }: BrokerCore): Pick<ControlHandlers, 'broker.scrub'> {
  const turns = new Semaphore(1, waitingMax);
  const limits = { bytesPerSecond, mayGoOn: () => !disk.isBelowReserve };
  return {
    'broker.scrub': async ({ topic: name }, { signal }) => {
      const topic = topics.byName(name);
      if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic ${name}`, { facts: { topic: name } });
      const found = await turns.run(() => log.scrubTopic(topic.record.name, limits, signal), signal);
      const partitions = [...topic.partitions.values()].map(({ partition, offline }) => ({
        partition,
        ...(offline === undefined ? {} : { offline: offline.message }),
      }));
      return { ...found, partitions };
    },
  };
}
