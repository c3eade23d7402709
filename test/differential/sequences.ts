// Seeded sequences: what clients do, and what no client should do, in an order that reaches the interesting states.
import { stream } from '../support/seed.js';
import type { Kind, Shape } from './shape.js';
import type { Step } from './step.js';
import { clusterKinds } from './steps/cluster-steps.js';
import { groupKinds } from './steps/group-steps.js';
import { initProducerId, logKinds } from './steps/log-steps.js';
import { refusedKinds } from './steps/refused-steps.js';
import { firstTopic, topicKinds } from './steps/topic-steps.js';

/** A sequence is mostly about one thing, and touches the others. */
const moods: readonly (readonly [log: number, topics: number, groups: number])[] = [
  [6, 2, 0],
  [4, 2, 1],
  [1, 6, 1],
  [1, 1, 20],
  [0, 1, 40],
];

/** The steps of a seed. `versions` are those that both brokers serve, by API key. */
export function sequence(seed: number, versions: ReadonlyMap<number, readonly [number, number]>): readonly Step[] {
  const random = stream(seed);
  const shape: Shape = { versions, random, producers: new Map() };
  const steps: Step[] = [firstTopic(shape)];
  if (random.whole(0, 2) === 0) steps.push(initProducerId(shape));
  const [log, topics, groups] = random.pick(moods);
  const times = (kinds: readonly (readonly [number, Kind])[], factor: number): Kind[] =>
    kinds.flatMap(([weight, kind]) => Array.from({ length: weight * factor }, () => kind));
  const weighted = [
    ...times(logKinds, log),
    ...times(topicKinds, topics),
    ...times(groupKinds, groups),
    ...times(clusterKinds, 2),
    ...times(refusedKinds, 1),
  ];
  const length = groups > log ? random.whole(12, 40) : random.whole(6, 22);
  while (steps.length < length) steps.push(random.pick(weighted)(shape));
  return steps;
}
