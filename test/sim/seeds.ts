// Many seeds as tests, in groups, so that each group has a bound of its own. THERMOCLINE_TEST_SIM_SEEDS says how many in all.
import { describe, expect, it } from 'vitest';
import { run } from './scenario.js';

export const seedsWanted = Number(process.env['THERMOCLINE_TEST_SIM_SEEDS'] ?? 60);
const groupSeeds = 25;

/** The seeds of one of several test files, which run at the same time. */
export function describeSeeds(part: number, parts: number): void {
  const groups = Array.from({ length: Math.ceil(seedsWanted / groupSeeds) }, (_, group) => group).filter((group) => group % parts === part);
  describe('the simulated world keeps every promise', () => {
    it.each(groups.map((group) => [group * groupSeeds + 1, Math.min(seedsWanted, (group + 1) * groupSeeds)]))(
      'for the seeds %i to %i',
      async (from, to) => {
        for (let seed = from; seed <= to; seed++) {
          const { failure, lines } = await run({ seed });
          if (failure === undefined) continue;
          process.stderr.write(`${lines.join('\n')}\n`);
          expect.fail(`seed ${seed}: ${failure.message}\nrepeat: npm run sim -- --seed ${seed}`);
        }
      },
    );
  });
}
