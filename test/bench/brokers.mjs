// The brokers that stand beside each other in a bench: ours with each flush policy, and Apache Kafka where it is installed.
import { join } from 'node:path';
import { findKafka, startKafka } from './apache-kafka.mjs';
import { startService } from './service.mjs';

/** Deleted topics leave the disk soon; made-up timestamps are no reason to drop anything before. */
const topicConfig = { 'file.delete.delay.ms': '1000', 'retention.ms': '-1' };
/** Topics of ours are not tiered, so that only the broker is at work. */
const ourTopicConfig = { ...topicConfig, 'remote.storage.enable': 'false' };

/** `os` is compared with Kafka, whose default does not wait for the disk either; `group-commit`, our default, promises more. */
export const policies = ['group-commit', 'os'];

/** The broker alone, in a folder of its policy. */
export async function startOurs(work, policy) {
  const broker = await startService({ dataDir: join(work, policy), command: ['broker'], set: { 'flush.policy': policy } });
  return { name: `thermocline ${policy}`, policy, broker, config: ourTopicConfig };
}

/** Apache Kafka in the same form; with a port where it had one before. */
export async function startTheirs(work, kafka, port) {
  return { name: 'kafka', policy: 'kafka', broker: await startKafka(kafka, join(work, 'kafka'), [], port), config: topicConfig };
}

/** Adds each broker to `targets` as it is there, so that what was started is stopped whatever fails. Resolves to what was left out. */
export async function startAll(targets, work) {
  for (const policy of policies) targets.push(await startOurs(work, policy));
  const kafka = findKafka();
  if (kafka.missing !== undefined) return [`Apache Kafka: ${kafka.missing}`];
  targets.push(await startTheirs(work, kafka));
  return [];
}

/** By turns: which of them comes first changes from round to round. */
export function inTurn(targets, round) {
  return round % 2 === 0 ? targets : targets.toReversed();
}

/** `1.23×, aim ≤ 0.7: short` of a ratio that must not exceed, or must reach, its aim. */
export function judged(ratio, aim, isCeiling) {
  const isMet = isCeiling ? ratio <= aim : ratio >= aim;
  return `${ratio.toFixed(2)}×, aim ${isCeiling ? '≤' : '≥'} ${aim}: ${isMet ? 'met' : 'short'}`;
}

/** Ratio of two medians; undefined where one of them is missing. */
export function ratioOf(spreads, row, peerRow, figure) {
  const [ours, theirs] = [spreads[row]?.[figure], spreads[peerRow]?.[figure]];
  return ours === undefined || theirs === undefined ? undefined : ours.median / theirs.median;
}
