/**
 * librdkafka 2.15.1's own tests that need a broker: which of them run here, and why each of the others does not. Those that say of themselves
 * that they need none (`TEST_F_LOCAL`, mock clusters) are not listed, nor those that its runner leaves out by default.
 */
export interface LibrdkafkaTest {
  /** `name`, or `name#function` for one function of a test that is made of many. */
  readonly name: string;
  /** The runner's own way: with `-Q` a test does less, and says nothing of the sub-tests it leaves out. */
  readonly mode: 'quick' | 'full';
  /** With topics created on first use, or without. */
  readonly scenario: 'default' | 'noautocreate';
}

function test(name: string, more: Partial<LibrdkafkaTest> = {}): LibrdkafkaTest {
  return { name, mode: 'quick', scenario: 'default', ...more };
}

const full = { mode: 'full' } as const;
const noAutoCreate = { scenario: 'noautocreate' } as const;

export const librdkafkaTests: readonly LibrdkafkaTest[] = [
  test('0001_multiobj'),
  test('0002_unkpart'),
  test('0003_msgmaxsize'),
  test('0005_order'),
  test('0007_autotopic'),
  test('0008_reqacks'),
  test('0012_produce_consume'),
  test('0013_null_msgs'),
  test('0014_reconsume_191'),
  test('0015_offsets_seek'),
  test('0016_client_swname'),
  test('0017_compression'),
  test('0018_cgrp_term', full),
  test('0019_list_groups', full),
  test('0020_destroy_hang'),
  test('0021_rkt_destroy'),
  test('0022_consume_batch', full),
  test('0029_assign_offset'),
  test('0030_offset_commit'),
  test('0031_get_offsets'),
  test('0034_offset_reset'),
  test('0035_api_version'),
  test('0036_partial_fetch'),
  test('0038_performance'),
  test('0039_event_dr'),
  test('0040_io_event'),
  test('0041_fetch_max_bytes'),
  test('0042_many_topics'),
  test('0044_partition_cnt'),
  test('0048_partitioner'),
  test('0050_subscribe_adds', full),
  test('0051_assign_adds'),
  test('0054_offset_time'),
  test('0056_balanced_group_mt'),
  test('0057_invalid_topic'),
  test('0059_bsearch'),
  test('0060_op_prio'),
  test('0063_clusterid'),
  test('0064_interceptors'),
  test('0065_yield'),
  test('0067_empty_topic'),
  test('0069_consumer_add_parts'),
  test('0070_null_empty'),
  test('0073_headers'),
  test('0081_admin#do_test_CreateTopics'),
  test('0081_admin#do_test_DeleteTopics'),
  test('0081_admin#do_test_CreatePartitions'),
  test('0081_admin#do_test_DescribeConfigs'),
  test('0081_admin#do_test_DescribeConfigs_groups'),
  test('0081_admin#do_test_unclean_destroy'),
  test('0081_admin#do_test_DeleteRecords'),
  test('0081_admin#do_test_DeleteGroups'),
  test('0081_admin#do_test_ListConsumerGroups'),
  test('0081_admin#do_test_DescribeTopics'),
  test('0081_admin#do_test_DescribeCluster'),
  test('0081_admin#do_test_DeleteConsumerGroupOffsets'),
  test('0081_admin#do_test_AlterConsumerGroupOffsets'),
  test('0081_admin#do_test_ListConsumerGroupOffsets'),
  test('0081_admin#do_test_ListOffsets'),
  test('0083_cb_event'),
  test('0084_destroy_flags'),
  test('0085_headers'),
  test('0086_purge_remote'),
  test('0090_idempotence'),
  test('0093_holb_consumer'),
  test('0099_commit_metadata'),
  test('0111_delay_create_topics', noAutoCreate),
  test('0112_assign_unknown_part'),
  test('0113_cooperative_rebalance'),
  test('0114_sticky_partitioning'),
  test('0122_buffer_cleaning_after_rebalance', full),
  test('0123_connections_max_idle'),
  test('0125_immediate_flush'),
  test('0130_store_offsets'),
  test('0132_strategy_ordering', full),
  test('0140_commit_metadata'),
];

const takesLong = 'passes, and takes more than 45 seconds';
const timing = 'fails on a busy machine: it measures time';
const javaInAMinute = 'fails on a busy machine: it starts Kafka’s tools, and has a minute';
const transactions = 'transactions';
const security = 'SASL, TLS, or access rules of Kafka’s own';
const shareGroups = 'share groups';

/** By name: what a test needs that is not here, or why it is no test for every day. */
export const librdkafkaTestsLeftOut: Readonly<Record<string, string>> = {
  '0011_produce_batch': 'makes a tiered topic compacted',
  '0026_consume_pause': takesLong,
  '0033_regex_subscribe': 'fails on a busy machine: it sees the topics of its last round',
  '0045_resubscribe_with_regex': takesLong,
  '0045_subscribe_many_updates': takesLong,
  '0045_subscribe_update': takesLong,
  '0045_subscribe_update_non_exist_and_partchange': javaInAMinute,
  '0045_subscribe_update_topic_remove': javaInAMinute,
  '0052_msg_timestamps': javaInAMinute,
  '0053_stats': 'needs RapidJSON, and is left out by its runner',
  '0055_producer_latency': timing,
  '0061_consumer_lag': transactions,
  '0066_plugins': 'needs a plugin that is not built',
  '0077_compaction': javaInAMinute,
  '0081_admin#do_test_AlterConfigs': 'sets keys of a broker’s SASL',
  '0081_admin#do_test_IncrementalAlterConfigs': 'sets keys of a broker’s SASL',
  '0081_admin#do_test_UserScramCredentials': security,
  '0081_admin#do_test_CreateAcls': security,
  '0081_admin#do_test_DescribeConsumerGroups': timing,
  '0081_admin#do_test_DescribeAcls': security,
  '0081_admin#do_test_DeleteAcls': security,
  '0082_fetch_max_bytes': 'does nothing in the quick mode, and takes long in the full one',
  '0089_max_poll_interval': takesLong,
  '0091_max_poll_interval_timeout': takesLong,
  '0092_mixed_msgver': 'formats of before Kafka 4',
  '0097_ssl_verify': security,
  '0098_consumer_txn': transactions,
  '0101_fetch_from_follower': 'several brokers',
  '0102_static_group_rebalance': 'Kafka 4.4 passes it only with an initial rebalance delay of three seconds',
  '0103_transactions': transactions,
  '0107_topic_recreate': 'several brokers: it asks for three replicas',
  '0109_auto_create_topics': security,
  '0110_batch_size': 'needs RapidJSON',
  '0115_producer_auth': security,
  '0118_commit_rebalance': 'Kafka 4.4 passes it only with an initial rebalance delay of three seconds',
  '0119_consumer_auth': security,
  '0126_oauthbearer_oidc': security,
  '0127_fetch_queue_backoff': timing,
  '0129_fetch_aborted_msgs': transactions,
  '0135_sasl_credentials': security,
  '0137_barrier_batch_consume': transactions,
  '0139_offset_validation_mock': 'needs no broker',
  '0142_reauthentication': security,
  '0150_telemetry_mock': 'needs no broker',
  '0170_share_consumer_subscription': shareGroups,
  '0171_share_consumer_consume': shareGroups,
  '0172_share_consumer_acknowledge': shareGroups,
  '0173_share_consumer_commit_async': shareGroups,
  '0174_share_consumer_concurrency': shareGroups,
  '0175_share_consumer_groups': shareGroups,
  '0176_share_consumer_commit_sync': shareGroups,
  '0177_share_consumer_transactions': shareGroups,
  '0178_share_consumer_close': shareGroups,
  '0179_share_consumer_destroy': shareGroups,
  '0180_share_consumer_config': shareGroups,
  '0181_share_consumer_topic_delete': shareGroups,
  '0184_share_consumer_topic_recreate': shareGroups,
  '0185_share_consumer_max_poll_interval': shareGroups,
};
