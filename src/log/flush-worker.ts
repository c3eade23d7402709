/**
 * A worker thread that waits for the disk, so that neither the event loop nor libuv's small thread pool does. Descriptors are
 * the process's own: the sender keeps them open until the answer.
 */
import { systemDisk } from '../kernel/index.js';
import { type FlushJob, runFlushJob } from './flush-jobs.js';
import { answerJobs } from './job-threads.js';

answerJobs((job: FlushJob) => runFlushJob(systemDisk, job));
