// franz-go with kadm: what a test asks for, done with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"thermocline.test/clients/facts"
)

func main() {
	facts.Main(map[string]facts.Scenario{
		"create":    create,
		"produce":   produce,
		"read":      read,
		"member":    member,
		"remove":    remove,
		"committed": committed,
		"offsets":   offsets,
		"admin":     administer,
	})
}

var codecs = map[string]kgo.CompressionCodec{
	"":       kgo.NoCompression(),
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func admin(request facts.Request) (*kadm.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(request.Bootstrap))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

func create(ctx context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	_, err = asking.CreateTopic(ctx, request.Partitions, 1, nil, request.Topic)
	return map[string]any{}, err
}

func produce(ctx context.Context, request facts.Request) (any, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(request.Bootstrap),
		kgo.DefaultProduceTopic(request.Topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[request.Codec]),
	}
	if !request.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(request.Records))
	for i, wanted := range request.Records {
		record := &kgo.Record{Partition: wanted.Partition, Key: facts.Bytes(wanted.Key), Value: facts.Bytes(wanted.Value)}
		if wanted.TimestampMs > 0 {
			record.Timestamp = time.UnixMilli(wanted.TimestampMs)
		}
		for _, header := range wanted.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: header[0], Value: []byte(header[1])})
		}
		records[i] = record
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	acknowledged := []int64{}
	for _, record := range records {
		acknowledged = append(acknowledged, record.Offset)
	}
	return map[string]any{"offsets": acknowledged}, nil
}

func factOf(record *kgo.Record) facts.Record {
	headers := [][2]string{}
	for _, header := range record.Headers {
		headers = append(headers, [2]string{header.Key, string(header.Value)})
	}
	return facts.Record{
		Partition:   record.Partition,
		Offset:      record.Offset,
		TimestampMs: record.Timestamp.UnixMilli(),
		Key:         facts.Text(record.Key),
		Value:       facts.Text(record.Value),
		Headers:     headers,
	}
}

func read(ctx context.Context, request facts.Request) (any, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(request.Bootstrap),
		kgo.ConsumeTopics(request.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	seen := []facts.Record{}
	for len(seen) < request.Count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("after %d records: %w", len(seen), err)
		}
		fetches.EachRecord(func(record *kgo.Record) { seen = append(seen, factOf(record)) })
	}
	return map[string]any{"records": seen}, nil
}

// The client serves groups of KIP-848 to those who say that they know it is new there.
const newProtocol = "opt_in_kafka_next_gen_balancer_beta"

func member(ctx context.Context, request facts.Request) (any, error) {
	balancer := map[string]kgo.GroupBalancer{
		"classic":     kgo.RangeBalancer(),
		"cooperative": kgo.CooperativeStickyBalancer(),
		"consumer":    kgo.CooperativeStickyBalancer(),
	}[request.Protocol]
	own := struct {
		sync.Mutex
		partitions []int32
	}{}
	// With a cooperative balancer a member is told of what changes, not of all that it has.
	change := func(to func(had []int32) []int32) {
		own.Lock()
		defer own.Unlock()
		own.partitions = to(own.partitions)
		slices.Sort(own.partitions)
		facts.Assigned(own.partitions)
	}
	lose := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		change(func(had []int32) []int32 {
			return slices.DeleteFunc(had, func(one int32) bool { return slices.Contains(lost[request.Topic], one) })
		})
	}
	within := ctx
	if request.Protocol == "consumer" {
		within = context.WithValue(ctx, newProtocol, true)
	}
	options := []kgo.Opt{
		kgo.WithContext(within),
		kgo.SeedBrokers(request.Bootstrap),
		kgo.ConsumerGroup(request.Group),
		kgo.ConsumeTopics(request.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(balancer),
		kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, gained map[string][]int32) {
			change(func(had []int32) []int32 { return append(had, gained[request.Topic]...) })
		}),
		kgo.OnPartitionsRevoked(lose),
		kgo.OnPartitionsLost(lose),
	}
	if request.Instance != "" {
		options = append(options, kgo.InstanceID(request.Instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	// What a static member has, its group keeps for it when it closes.
	defer client.Close()
	leaving := facts.UntilLeave(ctx)
	for leaving.Err() == nil {
		fetches := client.PollFetches(leaving)
		if err := fetches.Err(); err != nil && leaving.Err() == nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) { facts.Seen(factOf(record)) })
		if !fetches.Empty() {
			if err := client.CommitUncommittedOffsets(ctx); err != nil && !isOfRebalance(err) {
				return nil, err
			}
		}
	}
	return map[string]any{"left": true}, nil
}

// What a commit may meet while others come and go: the records are consumed again.
func isOfRebalance(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.StaleMemberEpoch)
}

// Takes a static member out of its group.
func remove(ctx context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	left, err := asking.LeaveGroup(ctx, kadm.LeaveGroup(request.Group).InstanceIDs(request.Instance))
	if err == nil {
		err = left.Error()
	}
	return map[string]any{}, err
}

func committed(ctx context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	found, err := asking.FetchOffsets(ctx, request.Group)
	if err != nil {
		return nil, err
	}
	positions := []int64{}
	for partition := range request.Partitions {
		positions = append(positions, positionIn(found, request.Topic, partition))
	}
	return map[string]any{"offsets": positions}, nil
}

func positionIn(found kadm.OffsetResponses, topic string, partition int32) int64 {
	at, isThere := found.Lookup(topic, partition)
	if !isThere {
		return -1
	}
	return at.At
}

func offsets(ctx context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	at := func(listed kadm.ListedOffsets, err error) int64 {
		if err == nil {
			err = listed.Error()
		}
		found, isThere := listed.Lookup(request.Topic, 0)
		if err != nil || !isThere {
			panic(fmt.Sprintf("list offsets: %v", err))
		}
		return found.Offset
	}
	forTimes := []int64{}
	for _, timeMs := range request.Times {
		forTimes = append(forTimes, at(asking.ListOffsetsAfterMilli(ctx, timeMs, request.Topic)))
	}
	return map[string]any{
		"earliest":     at(asking.ListStartOffsets(ctx, request.Topic)),
		"latest":       at(asking.ListEndOffsets(ctx, request.Topic)),
		"forTimes":     forTimes,
		"maxTimestamp": at(asking.ListMaxTimestampOffsets(ctx, request.Topic)),
	}, nil
}

func codeOf(err error) any {
	var refused *kerr.Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return err.Error()
}

func administer(ctx context.Context, request facts.Request) (any, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(request.Bootstrap), kgo.DefaultProduceTopic(request.Topic))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	one := administrator{ctx, client, kadm.NewClient(client), request, facts.Steps{CodeOf: codeOf, Seen: map[string]any{}, SettleMs: request.SettleMs}}
	one.topic()
	one.group()
	one.cluster()
	one.end()
	return one.steps.Seen, nil
}

type administrator struct {
	ctx     context.Context
	client  *kgo.Client
	admin   *kadm.Client
	request facts.Request
	steps   facts.Steps
}

func (one administrator) create(configs map[string]*string) error {
	_, err := one.admin.CreateTopic(one.ctx, 3, 1, configs, one.request.Topic)
	return err
}

func (one administrator) retention() (any, error) {
	described, err := one.admin.DescribeTopicConfigs(one.ctx, one.request.Topic)
	if err != nil {
		return nil, err
	}
	for _, config := range described[0].Configs {
		if config.Key == "retention.ms" {
			return config.MaybeValue(), nil
		}
	}
	return nil, described[0].Err
}

func (one administrator) setRetention(value string) error {
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	altered, err := one.admin.AlterTopicConfigs(one.ctx, set, one.request.Topic)
	if err != nil {
		return err
	}
	return altered[0].Err
}

func (one administrator) first() kadm.TopicsSet {
	set := kadm.TopicsSet{}
	set.Add(one.request.Topic, 0)
	return set
}

func (one administrator) topic() {
	topic := one.request.Topic
	day := "86400000"
	one.steps.Done("created", func() error { return one.create(map[string]*string{"retention.ms": &day}) })
	one.steps.Done("createdAgain", func() error { return one.create(nil) })
	one.steps.Do("retention", one.retention)
	one.steps.Done("set", func() error { return one.setRetention("7200000") })
	one.steps.Do("retentionSet", one.retention)
	one.steps.Done("setWrong", func() error { return one.setRetention("x") })
	one.steps.Done("produced", func() error {
		ten := facts.Request{Bootstrap: one.request.Bootstrap, Topic: topic, Records: make([]facts.Record, 10), Idempotent: true}
		_, err := produce(one.ctx, ten)
		return err
	})
	one.steps.Do("lastSequences", func() (any, error) {
		producers, err := one.admin.DescribeProducers(one.ctx, one.first())
		sequences := []int32{}
		for _, producer := range producers[topic].Partitions[0].ActiveProducers {
			sequences = append(sequences, producer.LastSequence)
		}
		return sequences, err
	})
	one.steps.Done("grow", func() error {
		grown, err := one.admin.UpdatePartitions(one.ctx, 5, topic)
		if err != nil {
			return err
		}
		return grown.Error()
	})
	one.steps.Do("partitions", func() (any, error) {
		metadata, err := one.admin.Metadata(one.ctx, topic)
		return len(metadata.Topics[topic].Partitions), err
	})
	one.steps.Do("recordsDeleted", func() (any, error) {
		before := kadm.Offsets{}
		before.Add(kadm.Offset{Topic: topic, Partition: 0, At: 4})
		deleted, err := one.admin.DeleteRecords(one.ctx, before)
		return deleted[topic][0].LowWatermark, err
	})
	one.steps.Do("start", func() (any, error) {
		starts, err := one.admin.ListStartOffsets(one.ctx, topic)
		return starts[topic][0].Offset, err
	})
	one.steps.Do("endOfEpoch", func() (any, error) {
		ended, err := one.admin.OffsetForLeaderEpoch(one.ctx, kadm.OffsetForLeaderEpochRequest{topic: {0: 0}})
		return ended[topic][0].EndOffset, err
	})
	one.steps.Do("logDirs", func() (any, error) {
		stored, err := one.admin.DescribeAllLogDirs(one.ctx, nil)
		partitions := []int32{}
		for _, folders := range stored {
			folders.EachPartition(func(at kadm.DescribedLogDirPartition) {
				if at.Topic == topic {
					partitions = append(partitions, at.Partition)
				}
			})
		}
		slices.Sort(partitions)
		return partitions, err
	})
}

func (one administrator) commit(at int64) error {
	to := kadm.Offsets{}
	to.Add(kadm.Offset{Topic: one.request.Topic, Partition: 0, At: at, LeaderEpoch: -1, Metadata: "note"})
	answered, err := one.admin.CommitOffsets(one.ctx, one.request.Group, to)
	if err != nil {
		return err
	}
	return answered.Error()
}

func (one administrator) position() (any, error) {
	found, err := one.admin.FetchOffsets(one.ctx, one.request.Group)
	return positionIn(found, one.request.Topic, 0), err
}

func (one administrator) group() {
	group := one.request.Group
	one.steps.Done("commit", func() error { return one.commit(10) })
	one.steps.Do("committed", one.position)
	one.steps.Done("move", func() error { return one.commit(6) })
	one.steps.Do("moved", one.position)
	one.steps.Do("lag", func() (any, error) {
		lags, err := one.admin.Lag(one.ctx, group)
		return lags[group].Lag.Total(), err
	})
	one.steps.Do("listed", func() (any, error) {
		listed, err := one.admin.ListGroups(one.ctx)
		return listed[group].State, err
	})
	one.steps.Do("type", func() (any, error) {
		listed, err := one.admin.ListGroupsByType(one.ctx, []string{"classic"}, "Empty")
		return listed[group].GroupType, err
	})
	one.steps.Do("described", func() (any, error) {
		described, err := one.admin.DescribeGroups(one.ctx, group)
		return described[group].State, err
	})
	one.steps.Done("forget", func() error {
		forgotten, err := one.admin.DeleteOffsets(one.ctx, group, one.first())
		if err != nil {
			return err
		}
		return forgotten.Error()
	})
	one.steps.Do("forgotten", one.position)
}

// The leader of the metadata log and its voters; kadm has no call for it.
func (one administrator) cluster() {
	one.steps.Do("quorum", func() (any, error) {
		asked := kmsg.NewPtrDescribeQuorumRequest()
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic = "__cluster_metadata"
		topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		asked.Topics = append(asked.Topics, topic)
		answered, err := asked.RequestWith(one.ctx, one.client)
		if err != nil {
			return nil, err
		}
		if err := kerr.ErrorForCode(answered.ErrorCode); err != nil {
			return nil, err
		}
		at := answered.Topics[0].Partitions[0]
		voters := []int32{}
		for _, voter := range at.CurrentVoters {
			voters = append(voters, voter.ReplicaID)
		}
		return map[string]any{"leader": at.LeaderID, "voters": voters}, nil
	})
}

func (one administrator) end() {
	deleteGroup := func() error {
		_, err := one.admin.DeleteGroup(one.ctx, one.request.Group)
		return err
	}
	one.steps.Done("groupDeleted", deleteGroup)
	one.steps.Done("groupDeletedAgain", deleteGroup)
	deleteTopic := func() error {
		_, err := one.admin.DeleteTopic(one.ctx, one.request.Topic)
		return err
	}
	one.steps.Done("topicDeleted", deleteTopic)
	one.steps.Done("topicDeletedAgain", deleteTopic)
}
