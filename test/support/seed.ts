// Randomness of a test run: one seed, one run. The seed is printed, and THERMOCLINE_TEST_SEED repeats it.

export interface Seeded {
  readonly seed: number;
  /** Uniform in [0, 1). */
  float(): number;
  /** A whole number in [from, to). */
  whole(from: number, to: number): number;
  pick<T>(from: readonly T[]): T;
  shuffled<T>(list: readonly T[]): T[];
  /** A stream of its own, for what runs at the same time: its draws do not shift those of others. */
  apart(): Seeded;
}

/** Takes the seed of the environment where there is one. */
export function seeded(what: string): Seeded {
  const seed = seedOfRun();
  process.stderr.write(`${what}: THERMOCLINE_TEST_SEED=${seed}\n`);
  return stream(seed);
}

export function stream(seed: number): Seeded {
  let state = seed >>> 0;
  // mulberry32
  const float = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = (from: number, to: number): number => from + Math.floor(float() * (to - from));
  const shuffled = <T>(list: readonly T[]): T[] => {
    const left = [...list];
    return list.map(() => left.splice(whole(0, left.length), 1)[0]!);
  };
  return { seed, float, whole, pick: (from) => from[whole(0, from.length)]!, shuffled, apart: () => stream(whole(1, 2 ** 31)) };
}

function seedOfRun(): number {
  const given = Number(process.env['THERMOCLINE_TEST_SEED']);
  return Number.isInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * 2 ** 31);
}
