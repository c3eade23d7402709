// One half of the seeds; the other runs beside it.
import { describeSeeds } from './seeds.js';

describeSeeds(0, 2);
