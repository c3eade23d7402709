/**
 * All differences between Apache Kafka's answers and ours that are meant, each with its reason. What is not here is a bug of one of the two;
 * and an entry that no longer differs should go.
 */
export interface Allowed {
  /** Of an API: `Metadata`; `*` for all. */
  readonly api: string;
  /** Where in the answer: names of fields joined by dots, without indexes of arrays; a last `*` stands for any field. */
  readonly path: string;
  readonly why: string;
  /** Where given, only these values are allowed to differ. */
  readonly when?: (kafka: unknown, ours: unknown) => boolean;
}

/**
 * Configuration keys that are not compared: a lake tiers its topics and keeps what it is given, so the defaults of the first ones
 * differ; the others are ours alone.
 */
export const configNamesAllowed = /^(remote\.storage\.enable|retention\.ms|local\.retention\.ms|lake\..*)$/;

export const allowed: readonly Allowed[] = [
  { api: '*', path: 'throttleTimeMs', why: 'no quotas are configured; a broker may throttle as it likes' },
  { api: 'Metadata', path: 'clusterId', why: 'each cluster has its own' },
  { api: 'Metadata', path: 'brokers.port', why: 'two brokers on one machine' },
  { api: 'FindCoordinator', path: 'port', why: 'two brokers on one machine' },
  { api: 'FindCoordinator', path: 'coordinators.port', why: 'two brokers on one machine' },
  { api: 'Fetch', path: 'sessionId', why: 'we decline fetch sessions, which a broker may do at any time (KIP-227)' },
  {
    api: '*',
    path: '*rrorMessage',
    why: 'words for people: ours say what to do next, also where Kafka says nothing',
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
  {
    api: 'IncrementalAlterConfigs',
    path: 'responses.errorCode',
    why: 'two things are wrong, and each names another first',
    when: (kafka, ours) => (kafka === 'INVALID_CONFIG' || kafka === 'INVALID_REQUEST') && ours === 'UNKNOWN_TOPIC_OR_PARTITION',
  },
  {
    api: 'DescribeConfigs',
    path: '*throttled.replicas.configType',
    why: 'keys without effect on one broker are plain texts here, lists in Kafka',
  },
  {
    api: 'DescribeConfigs',
    path: '*synonyms',
    why: 'Kafka names no synonym of a default that its own server keys have only by another unit',
    when: (kafka) => Array.isArray(kafka) && kafka.length === 0,
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
