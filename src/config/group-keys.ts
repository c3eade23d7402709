/**
 * Configuration of groups (KIP-848): Kafka's names, beside the broker's key that each stands over. Groups of the kinds that there are
 * not here (share, streams) have keys too: they are shown, so that tools find every key of Kafka's, and cannot be set.
 */
import { secondMs } from '../kernel/index.js';
import { bool, int, type KeySpec, listLike, oneOf, text } from './key.js';

export interface GroupKeySpec<Value = unknown> extends KeySpec<Value> {
  /** The broker's key of the same meaning. */
  readonly server?: string;
  /** Which groups would obey it, where there are none of them here. */
  readonly absent?: 'share' | 'streams';
}

const over = <Value>(server: string, spec: KeySpec<Value>): GroupKeySpec<Value> => ({ ...spec, server });

function absent<Value>(kind: 'share' | 'streams', server: string | undefined, spec: KeySpec<Value>): GroupKeySpec<Value> {
  return { ...spec, absent: kind, ...(server === undefined ? {} : { server }) };
}

const shareGroups = 'There are no share groups here: shown as Kafka’s default, and cannot be set.';
const streamsGroups = 'There are no streams groups here: shown as Kafka’s default, and cannot be set.';

const anyTags = /^.*$/;

export const groupKeys = {
  'consumer.session.timeout.ms': over(
    'group.consumer.session.timeout.ms',
    int(45 * secondMs, 'Silence after which a member of this consumer group (KIP-848) is fenced.', { min: 1 }),
  ),
  'consumer.heartbeat.interval.ms': over(
    'group.consumer.heartbeat.interval.ms',
    int(5 * secondMs, 'How often members of this consumer group (KIP-848) are told to report.', { min: 1 }),
  ),
  'consumer.assignment.interval.ms': over(
    'group.consumer.assignment.interval.ms',
    int(secondMs, 'Least time between two assignments of this consumer group (KIP-1263); 0 assigns with every change.', { min: 0 }),
  ),
  'errors.deadletterqueue.copy.record.enable': absent('share', undefined, bool(false, shareGroups)),
  'errors.deadletterqueue.topic.name': absent('share', undefined, text('', shareGroups)),
  'share.assignment.interval.ms': absent('share', 'group.share.assignment.interval.ms', int(secondMs, shareGroups)),
  'share.auto.offset.reset': absent('share', undefined, text('latest', shareGroups)),
  'share.delivery.count.limit': absent('share', 'group.share.delivery.count.limit', int(5, shareGroups)),
  'share.heartbeat.interval.ms': absent('share', 'group.share.heartbeat.interval.ms', int(5 * secondMs, shareGroups)),
  'share.isolation.level': absent('share', undefined, oneOf(['read_committed', 'read_uncommitted'], 'read_uncommitted', shareGroups)),
  'share.partition.max.record.locks': absent('share', 'group.share.partition.max.record.locks', int(2000, shareGroups)),
  'share.record.lock.duration.ms': absent('share', 'group.share.record.lock.duration.ms', int(30 * secondMs, shareGroups)),
  'share.renew.acknowledge.enable': absent('share', undefined, bool(true, shareGroups)),
  'share.session.timeout.ms': absent('share', 'group.share.session.timeout.ms', int(45 * secondMs, shareGroups)),
  'streams.assignment.interval.ms': absent('streams', 'group.streams.assignment.interval.ms', int(secondMs, streamsGroups)),
  'streams.assignor.name': absent('streams', 'group.streams.assignors', text('sticky', streamsGroups)),
  'streams.heartbeat.interval.ms': absent('streams', 'group.streams.heartbeat.interval.ms', int(5 * secondMs, streamsGroups)),
  'streams.initial.rebalance.delay.ms': absent('streams', 'group.streams.initial.rebalance.delay.ms', int(3 * secondMs, streamsGroups)),
  'streams.num.standby.replicas': absent('streams', 'group.streams.num.standby.replicas', int(0, streamsGroups)),
  'streams.rack.aware.assignment.tags': absent('streams', 'group.streams.rack.aware.assignment.tags', listLike(anyTags, streamsGroups)),
  'streams.session.timeout.ms': absent('streams', 'group.streams.session.timeout.ms', int(45 * secondMs, streamsGroups)),
} as const;

export type GroupKey = keyof typeof groupKeys;
type ValueOf<S> = S extends KeySpec<infer V> ? V : never;
export type GroupValues = { readonly [K in GroupKey]: ValueOf<(typeof groupKeys)[K]> };

export const groupKeyNames = Object.keys(groupKeys) as GroupKey[];

export function groupKeySpec(name: GroupKey): GroupKeySpec {
  return groupKeys[name];
}
