/** How many seeds the tests try: few in `npm test`, thousands in CI. */
export const seedsWanted = Number(process.env['THERMOCLINE_TEST_SIM_SEEDS'] ?? 60);
