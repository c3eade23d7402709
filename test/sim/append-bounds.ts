/** When clients know records to have been appended at the earliest and at the latest, held against what the broker says of a time. */
import type { Seeded } from '../support/seed.js';
import type { ClientTopic } from './client.js';
import type { PartitionModel } from './model.js';
import { Violation } from './scheduler.js';
import { within } from './scenario.js';
import type { World } from './world.js';

interface AppendBound {
  readonly partition: number;
  readonly id: number;
  readonly sentMs: number;
  readonly acknowledgedMs: number;
}

/** Appends of one millisecond count as of the next where a question or a start stands between them. */
const laterMsMax = 10;
const questions = 12;

export class AppendBounds {
  readonly #known = new Map<string, AppendBound[]>();

  note({ id: topicId }: ClientTopic, partition: number, ids: readonly number[], sentMs: number, acknowledgedMs: number): void {
    const bounds = this.#known.get(topicId) ?? [];
    this.#known.set(topicId, bounds);
    for (const id of ids) bounds.push({ partition, id, sentMs, acknowledgedMs });
  }

  /** Asks as of times from the first record to now. What was acknowledged before is in every answer, what was sent after in none. */
  async hold(
    world: World,
    topic: ClientTopic,
    modelOf: (partition: number) => PartitionModel,
    random: Seeded,
    withinMs: number,
  ): Promise<number> {
    const bounds = this.#known.get(topic.id) ?? [];
    const firstMs = Math.min(...bounds.map(({ sentMs }) => sentMs));
    let told = 0;
    for (let question = 0; question < questions && bounds.length > 0; question++) {
      const nowMs = world.scheduler.wallMs;
      const atMs = Math.floor(firstMs + random.float() * (nowMs - firstMs));
      const asked = world.asGateway((peer, signal) => peer.call('broker.as-of', { topicIds: [topic.id], atMs }, { signal }));
      const { topics } = await within(world, asked, withinMs, `${topic.name} is told as of a time`);
      const [answer] = topics;
      // A log that begins anew at its boundary remembers nothing.
      if (answer?.cut === undefined) continue;
      told++;
      if (answer.cut.atMs > atMs) throw new Violation('as-of', `${topic.name} as of ${atMs} is told as of ${answer.cut.atMs}`);
      for (const { partition, id, sentMs, acknowledgedMs } of bounds) {
        const offset = modelOf(partition).offsets.get(id);
        const end = answer.cut.partitions.find((candidate) => candidate.partition === partition)?.endOffset ?? 0;
        if (offset === undefined) continue;
        const what = `${topic.name}-${partition} ended at ${end} at ${answer.cut.atMs}; offset ${offset} was sent at ${sentMs} and acknowledged at ${acknowledgedMs}`;
        if (sentMs > answer.cut.atMs && offset < end) throw new Violation('as-of', what);
        if (acknowledgedMs + laterMsMax <= answer.cut.atMs && offset >= end) throw new Violation('as-of', what);
      }
    }
    return told;
  }
}
