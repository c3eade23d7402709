// librdkafka's own rdkafka_performance as load generator: a client that nobody here wrote, the same for every broker.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const timeoutMs = 120_000;

/** The program, or why there is none. */
export function findLibrdkafka() {
  const program = process.env.THERMOCLINE_TEST_RDKAFKA_PERFORMANCE;
  return program === undefined ? { missing: 'THERMOCLINE_TEST_RDKAFKA_PERFORMANCE names no rdkafka_performance' } : { program };
}

async function run(program, args, records) {
  const { stdout, stderr } = await promisify(execFile)(program, args, { timeout: timeoutMs });
  const all = stdout + stderr;
  const found = [...all.matchAll(/(\d+) messages (?:produced )?\((\d+) bytes\).*? in (\d+)ms/g)].at(-1);
  if (found === undefined) throw new Error(`${program} ${args.join(' ')} gave no figures:\n${all.slice(-2000)}`);
  if (Number(found[1]) < records) throw new Error(`${program} ${args.join(' ')} came to ${found[1]} records of ${records}`);
  return { records: Number(found[1]), ms: Number(found[3]) };
}

const partitionsOf = (count) => Array.from({ length: count }, (_, partition) => ['-p', String(partition)]).flat();

/** Produces and consumes so many records of one size with the program's defaults. Both resolve to `{ records, ms }`. */
export function librdkafka(program) {
  const common = (bootstrap, topic) => ['-b', bootstrap, '-t', topic, '-i', '1000'];
  return {
    produce: ({ bootstrap, topic, partitions, valueBytes, records, acks }) => {
      const place = partitions === 1 ? partitionsOf(1) : [];
      const what = ['-P', ...place, '-s', String(valueBytes), '-c', String(records), '-a', String(acks)];
      return run(program, [...common(bootstrap, topic), ...what], records);
    },
    consume: ({ bootstrap, topic, partitions, records }) => {
      const what = ['-C', ...partitionsOf(partitions), '-o', 'beginning', '-c', String(records)];
      return run(program, [...common(bootstrap, topic), ...what], records);
    },
  };
}
