/** Deletes what nobody needs any more of a topic's table, as the table tells it; of a topic that the broker knows, and no other. */
import type { TopicName } from '../kernel/index.js';
import type { GarbageObject, TopicTable } from '../lake/index.js';
import type { TierPorts } from './ports.js';
import { removeObject } from './store-file.js';

export interface Swept {
  readonly objects: number;
  readonly bytes: number;
  /** Whether all that was found is gone: else the next sweep goes on. */
  readonly isComplete: boolean;
}

const deletesAtOnce = 8;
/** So much is said while a sweep is long. */
const progressObjects = 1000;

/**
 * One sweep: at most `sweepObjectsMax` objects, the first found first. Errors: those of `TopicTable.garbage` and of the store; what was
 * deleted before stays so.
 */
export async function sweepTable(ports: TierPorts, topic: TopicName, table: TopicTable, signal: AbortSignal): Promise<Swept> {
  const { clock, settings, counters, logger } = ports;
  let [objects, bytes, said] = [0, 0, 0];
  let group: GarbageObject[] = [];
  const remove = async (): Promise<void> => {
    await Promise.all(group.map(({ key }) => removeObject(ports, key, signal)));
    const groupBytes = group.reduce((sum, object) => sum + object.bytes, 0);
    objects += group.length;
    bytes += groupBytes;
    counters.sweptObjects += group.length;
    counters.sweptBytes += groupBytes;
    group = [];
    if (objects - said < progressObjects) return;
    said = objects;
    logger.info('sweeping', { topic, objects, bytes });
  };
  const rules = { nowMs: clock.nowMs(), graceMs: settings.sweepGraceMs, minAgeMs: settings.sweepMinAgeMs };
  let isComplete = true;
  for await (const object of table.garbage(rules, signal)) {
    if (objects + group.length >= settings.sweepObjectsMax) {
      isComplete = false;
      break;
    }
    group.push(object);
    if (group.length >= deletesAtOnce) await remove();
  }
  await remove();
  return { objects, bytes, isComplete };
}
