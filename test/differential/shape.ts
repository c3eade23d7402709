// What generators of steps share: the seeded randomness, the versions both brokers serve, and what the sequence has made so far.
import { apis } from '../../src/wire/index.js';
import type { Seeded } from '../support/seed.js';
import type { Step } from './step.js';

export const topicNames = ['a', 'b', 'c'] as const;

export interface Shape {
  readonly versions: ReadonlyMap<number, readonly [number, number]>;
  readonly random: Seeded;
  /** The next sequence number of each producer. */
  readonly producers: Map<string, number>;
}

export type Kind = (shape: Shape) => Step;

const versionsOf = new Map(apis.map(({ key, minVersion, maxVersion }) => [key, [minVersion, maxVersion] as const]));

/** A step at any version that both serve, from `minVersion` on. */
export function step(shape: Shape, api: number, body: unknown, more: Partial<Step> = {}, minVersion = 0): Step {
  const [low, high] = shape.versions.get(api) ?? versionsOf.get(api)!;
  return { api, version: shape.random.whole(Math.max(low, minVersion), high + 1), body, ...more };
}

/** One time in `times`. */
export function seldom({ random }: Shape, times: number): boolean {
  return random.whole(0, times) === 0;
}

export function topicOf({ random }: Shape): string {
  return `$topic:${random.pick(topicNames)}`;
}

export function partitionOf({ random }: Shape): number {
  return random.pick([0, 0, 0, 0, 1, 2, 7, -1]);
}
