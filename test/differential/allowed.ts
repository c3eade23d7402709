import type { Around } from './compare.js';

/**
 * All differences between Apache Kafka's answers and ours that are meant, each with its reason. What is not here is a bug of one of the two;
 * and an entry that no longer differs should go.
 */
export interface Allowed {
  /** Of an API: `Metadata`; `*` for all. */
  readonly api: string;
  /** Where in the answer: names of fields joined by dots, without indexes of arrays; a first `*` stands for any fields around. */
  readonly path: string | RegExp;
  readonly why: string;
  /** Whether it is needed is left to chance: it need not be in every run. */
  readonly isByChance?: true;
  /** Where given, only these values are allowed to differ. */
  readonly when?: (kafka: unknown, ours: unknown, around: Around) => boolean;
}

/** Keys of the lake that Kafka does not know. */
const onlyHere =
  /configs\.(lake\.(commit\.interval\.ms|delete\.max\.delay\.ms|file\.bytes|snapshot\.max\.age\.ms|value\.format)|query\.require\.time\.bound)$/;

/** What a synonym's value comes from. */
const defaultConfig = 5;

function areAmong(ours: readonly unknown[], kafka: readonly unknown[]): boolean {
  const theirs = new Set(kafka.map((item) => JSON.stringify(item)));
  return ours.every((item) => theirs.has(JSON.stringify(item)));
}

interface Served {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

function isServedToo(ours: readonly Served[], kafka: readonly Served[]): boolean {
  return ours.every((own) =>
    kafka.some((their) => their.apiKey === own.apiKey && their.minVersion <= own.minVersion && own.maxVersion <= their.maxVersion),
  );
}

/** Whether a classic group may be one that nothing was ever written of. Early versions do not tell a state. */
function isUnwritten({ groupState, protocolType }: Readonly<Record<string, unknown>>): boolean {
  return (groupState === 'Empty' || groupState === '') && protocolType === '';
}

export const allowed: readonly Allowed[] = [
  {
    api: 'DescribeGroups',
    path: /^groups\.(groupState|errorCode|errorMessage)$/,
    why: 'a group that only ids or refused positions were asked of: Kafka shows it once it has written of another one near it',
    isByChance: true,
    when: (_kafka, _ours, around) => around.at(-1)?.kafka['groupState'] === 'Dead' && isUnwritten(around.at(-1)?.ours ?? {}),
  },
  {
    api: 'ListGroups',
    path: 'groups',
    why: 'the same',
    isByChance: true,
    when: (kafka, ours) => {
      const theirs = kafka as readonly unknown[];
      const mine = ours as readonly Readonly<Record<string, unknown>>[];
      return (
        areAmong(theirs, mine) &&
        areAmong(
          mine.filter((group) => !isUnwritten(group)),
          theirs,
        )
      );
    },
  },
  { api: 'Metadata', path: 'clusterId', why: 'each cluster has its own' },
  { api: 'Metadata', path: 'brokers.port', why: 'two brokers on one machine' },
  { api: 'FindCoordinator', path: 'port', why: 'two brokers on one machine' },
  { api: 'FindCoordinator', path: 'coordinators.port', why: 'two brokers on one machine' },
  {
    api: '*',
    path: '*rrorMessage',
    why: 'words for people: ours say what to do next, also where Kafka says nothing; never where nothing is wrong',
    when: (_kafka, ours, around) => around.at(-1)?.ours['errorCode'] !== 'NONE' && (ours === null || typeof ours === 'string'),
  },
  {
    api: 'DescribeProducers',
    path: 'topics.partitions.activeProducers.lastTimestamp',
    why: 'ours remembers when something was written, not what time it bore: a producer of old records is not forgotten at once',
    when: (_kafka, ours) => ours === 'now',
  },
  {
    api: 'CreateTopics',
    path: 'topics.topicId',
    why: 'where only validation is asked for, Kafka tells an id that no topic will have',
    when: (_kafka, ours) => ours === 'no id',
  },
  {
    api: 'Produce',
    path: 'responses.partitionResponses.errorCode',
    why: 'records or codecs that cannot be decoded are an unexpected exception in Kafka',
    when: (kafka) => kafka === 'UNKNOWN_SERVER_ERROR',
  },
  {
    api: 'Produce',
    path: 'responses.partitionResponses.logStartOffset',
    why: 'the same: after an exception Kafka names the log start',
    when: (kafka, ours) => typeof kafka === 'number' && kafka >= 0 && ours === -1,
  },
  {
    api: 'Produce',
    path: 'responses.partitionResponses.recordErrors',
    why: 'we stop at the first record that is wrong, and name that',
    when: (kafka, ours) => Array.isArray(kafka) && Array.isArray(ours) && ours.length === 1 && kafka.length > 1,
  },
  { api: '*', path: onlyHere, why: 'keys of the lake', when: (kafka) => kafka === undefined },
  {
    api: '*',
    path: '*configs.remote.storage.enable.value',
    why: 'a lake tiers its topics by default',
    when: (kafka, ours) => kafka === 'false' && ours === 'true',
  },
  {
    api: '*',
    path: '*configs.retention.ms.value',
    why: 'and keeps what is tiered for ever',
    when: (kafka, ours) => kafka === '604800000' && ours === '-1',
  },
  {
    api: 'ApiVersions',
    path: /^(supportedFeatures|finalizedFeatures|finalizedFeaturesEpoch)$/,
    why: 'features that a cluster turns on when all its brokers have them: one broker has no use for them',
    when: (kafka, ours) => ours === 0 || areAmong(ours as readonly unknown[], kafka as readonly unknown[]),
  },
  {
    api: 'DescribeQuorum',
    path: /^topics\.partitions\.(leaderEpoch|highWatermark|currentVoters\.(logEndOffset|lastFetchTimestamp|lastCaughtUpTimestamp|replicaDirectoryId))$/,
    why: 'each has metadata of its own, and ours is no log',
  },
  { api: 'DescribeQuorum', path: /^nodes\.listeners\.(name|port)$/, why: 'ours has no listener of its own for controllers' },
  { api: 'DescribeCluster', path: 'clusterId', why: 'each cluster has its own' },
  { api: 'DescribeCluster', path: 'brokers.port', why: 'two brokers on one machine' },
  {
    api: 'DescribeLogDirs',
    path: 'results.topics.partitions.partitionSize',
    why: 'positions of groups are written as each broker likes',
    when: (_kafka, _ours, around) => around.some(({ kafka }) => kafka['name'] === '__consumer_offsets'),
  },
  {
    api: 'DescribeLogDirs',
    path: 'results.topics.partitions.partitionSize',
    why: 'each gives back in its own time what records took that were deleted',
    isByChance: true,
    when: (kafka, ours) => ours === 0 && typeof kafka === 'number' && kafka > 0,
  },
  {
    api: 'DescribeConfigs',
    path: /^results\.configs\.(errors\.deadletterqueue|share|streams)\.[a-z.]+\.readOnly$/,
    why: 'keys of groups for queues and streams, which are not served: nobody can set them',
    when: (kafka, ours) => kafka === false && ours === true,
  },
  {
    api: 'ApiVersions',
    path: 'apiKeys',
    why: 'we serve fewer APIs and versions than Kafka, and none that it does not',
    when: (kafka, ours) => isServedToo(ours as readonly Served[], kafka as readonly Served[]),
  },
  { api: 'DescribeLogDirs', path: 'results.logDir', why: 'each has its own folder' },
  { api: 'DescribeLogDirs', path: 'results.usableBytes', why: 'the disk is used while both are asked' },
  {
    api: 'DescribeConfigs',
    path: /configs\.[a-z.]+\.ms\.synonyms$/,
    why: 'Kafka names no synonym of a default that its own server keys have only by another unit',
    when: (kafka, ours) => {
      const byDefault = (synonym: { readonly source: number }): boolean => synonym.source === defaultConfig;
      const [theirs, mine] = [kafka, ours] as (readonly { readonly source: number }[])[];
      return JSON.stringify(theirs) === JSON.stringify(mine!.filter((synonym) => !byDefault(synonym)));
    },
  },
  {
    api: 'DescribeConfigs',
    path: '*min.insync.replicas.synonyms',
    why: 'Kafka sets it for the cluster by itself, for eligible leader replicas (KIP-966)',
  },
  {
    api: '*',
    path: '*configs.min.insync.replicas.configSource',
    why: 'Kafka sets it for the cluster by itself, for eligible leader replicas (KIP-966)',
  },
];
