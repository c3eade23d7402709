// The test of the test: each bug that somebody could make is found, within few seeds.
import { describe, expect, it } from 'vitest';
import { type BugName, bugs, plantedRun, type PlantedBug } from './bugs.js';
import { run } from './scenario.js';

describe('the simulation finds a planted bug', () => {
  it.each(Object.keys(bugs) as BugName[])('%s', async (name) => {
    const bug: PlantedBug = bugs[name];
    let found: string | undefined;
    for (let seed = 1; seed <= bug.seedsMax && found === undefined; seed++) {
      found = (await run({ seed, ...plantedRun(bug) })).failure?.message;
    }
    expect(found, `${bug.what}: not found in ${bug.seedsMax} seeds`).toBeDefined();
  });
});
