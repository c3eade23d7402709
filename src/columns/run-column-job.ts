/** Does any column job in this process: what a worker child runs, and what tests call directly. */
import type { ColumnJob, ColumnJobKind, ColumnJobs } from './jobs.js';
import { compact } from './compact.js';
import { encode } from './encode.js';
import type { ColumnEngine } from './engine.js';
import { stage } from './stage.js';
import { verify } from './verify.js';

type Result = ColumnJobs[ColumnJobKind]['result'];
type WithoutCpu<T> = T extends { readonly cpuMs: number } ? Omit<T, 'cpuMs'> : never;

/** The result's `cpuMs` is this process's CPU time during the job. Errors: as the job's. */
export async function runColumnJob<K extends ColumnJobKind>(
  job: ColumnJobs[K]['job'] & { readonly kind: K },
  engine: ColumnEngine,
): Promise<ColumnJobs[K]['result']> {
  const before = process.cpuUsage();
  const result = await dispatch(job, engine);
  const used = process.cpuUsage(before);
  return { ...result, cpuMs: Math.round((used.user + used.system) / 1000) } as ColumnJobs[K]['result'];
}

async function dispatch(job: ColumnJob, engine: ColumnEngine): Promise<WithoutCpu<Result>> {
  switch (job.kind) {
    case 'stage':
      return stage(job);
    case 'encode':
      return await encode(job, engine);
    case 'compact':
      return await compact(job, engine);
    case 'verify':
      return await verify(job, engine);
  }
}
