// One half of the seeds; the other runs beside it.
import { describeSeeds } from './seeds.js';

describeSeeds(1, 2);
