// Deaths at the calls of ports: every one of a small scenario, every so many of a larger one.
import { describe, expect, it } from 'vitest';
import { callsOf, crashScenarios, pointsOf, runWithDeath, undisturbed, victims } from './crash-points.js';
import { seedsWanted } from './seeds.js';

/** Of the points, so that both cores have their share. */
const groups = 8;
const parts = Array.from({ length: groups }, (_, group) => group);

describe.each(victims)('a death of the %s at each call of a port', (of) => {
  const scenario = crashScenarios.calm;

  it.each(parts)('breaks no promise (part %i)', async (group) => {
    const calls = callsOf(await undisturbed(scenario), of);
    expect(calls).toBeGreaterThan(100);
    for (const death of pointsOf(of, calls, group, groups)) {
      const { failure, figures } = await runWithDeath(scenario, death);
      if (failure !== undefined) expect.fail(`${death.when} call ${death.calls} of the ${of}: ${failure.message}`);
      // A call that fails has no moment after its effect.
      if (death.when === 'before') expect(figures.daemonLives + figures.brokerLives).toBeGreaterThan(2);
    }
  });
});

describe.each(victims)('a death of the %s among compaction, head, expiry and sweep', (of) => {
  const scenario = crashScenarios.upkept;
  const stride = (seedsWanted >= 1000 ? scenario.strides : scenario.longStrides)[of];

  it.each(parts)('breaks no promise (part %i)', async (group) => {
    const whole = await undisturbed(scenario);
    expect(whole.figures).toMatchObject({ filesRewritten: 2, filesRemoved: 9 });
    for (const death of pointsOf(of, callsOf(whole, of), group * stride, groups * stride)) {
      const { failure } = await runWithDeath(scenario, death);
      if (failure !== undefined) expect.fail(`${death.when} call ${death.calls} of the ${of}: ${failure.message}`);
    }
  });
});
