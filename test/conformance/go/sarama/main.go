// sarama: what a test asks for, done with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

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

var codecs = map[string]sarama.CompressionCodec{
	"":       sarama.CompressionNone,
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

// The version that a client is configured for decides which versions of the requests it sends.
func configOf(request facts.Request) (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	if request.Protocol != "" {
		version, err := sarama.ParseKafkaVersion(request.Protocol)
		if err != nil {
			return nil, err
		}
		config.Version = version
	}
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 30 * time.Second
	config.Consumer.Group.InstanceId = request.Instance
	return config, nil
}

func admin(request facts.Request) (sarama.ClusterAdmin, error) {
	config, err := configOf(request)
	if err != nil {
		return nil, err
	}
	return sarama.NewClusterAdmin([]string{request.Bootstrap}, config)
}

func create(_ context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	detail := &sarama.TopicDetail{NumPartitions: request.Partitions, ReplicationFactor: 1}
	return map[string]any{}, asking.CreateTopic(request.Topic, detail, false)
}

func encoderOf(text *string) sarama.Encoder {
	if text == nil {
		return nil
	}
	return sarama.StringEncoder(*text)
}

func produce(_ context.Context, request facts.Request) (any, error) {
	config, err := configOf(request)
	if err != nil {
		return nil, err
	}
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Compression = codecs[request.Codec]
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Idempotent = request.Idempotent
	if request.Idempotent {
		// The client demands it.
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer([]string{request.Bootstrap}, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, len(request.Records))
	for i, wanted := range request.Records {
		message := &sarama.ProducerMessage{
			Topic:     request.Topic,
			Partition: wanted.Partition,
			Key:       encoderOf(wanted.Key),
			Value:     encoderOf(wanted.Value),
		}
		if wanted.TimestampMs > 0 {
			message.Timestamp = time.UnixMilli(wanted.TimestampMs)
		}
		for _, header := range wanted.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header[0]), Value: []byte(header[1])})
		}
		messages[i] = message
	}
	if err := producer.SendMessages(messages); err != nil {
		return nil, err
	}
	acknowledged := []int64{}
	for _, message := range messages {
		acknowledged = append(acknowledged, message.Offset)
	}
	return map[string]any{"offsets": acknowledged}, nil
}

func factOf(message *sarama.ConsumerMessage) facts.Record {
	headers := [][2]string{}
	for _, header := range message.Headers {
		headers = append(headers, [2]string{string(header.Key), string(header.Value)})
	}
	return facts.Record{
		Partition:   message.Partition,
		Offset:      message.Offset,
		TimestampMs: message.Timestamp.UnixMilli(),
		Key:         facts.Text(message.Key),
		Value:       facts.Text(message.Value),
		Headers:     headers,
	}
}

func read(ctx context.Context, request facts.Request) (any, error) {
	config, err := configOf(request)
	if err != nil {
		return nil, err
	}
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer([]string{request.Bootstrap}, config)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partitions, err := consumer.Partitions(request.Topic)
	if err != nil {
		return nil, err
	}
	coming := make(chan *sarama.ConsumerMessage)
	for _, partition := range partitions {
		reading, err := consumer.ConsumePartition(request.Topic, partition, sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		go func() {
			for message := range reading.Messages() {
				coming <- message
			}
		}()
	}
	seen := []facts.Record{}
	for len(seen) < request.Count {
		select {
		case message := <-coming:
			seen = append(seen, factOf(message))
		case <-ctx.Done():
			return nil, fmt.Errorf("after %d records: %w", len(seen), ctx.Err())
		}
	}
	return map[string]any{"records": seen}, nil
}

type claims struct{ topic string }

func (of claims) Setup(session sarama.ConsumerGroupSession) error {
	facts.Assigned(session.Claims()[of.topic])
	return nil
}

func (of claims) Cleanup(sarama.ConsumerGroupSession) error {
	facts.Assigned(nil)
	return nil
}

func (of claims) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		facts.Seen(factOf(message))
		session.MarkMessage(message, "")
	}
	return nil
}

func member(ctx context.Context, request facts.Request) (any, error) {
	config, err := configOf(request)
	if err != nil {
		return nil, err
	}
	group, err := sarama.NewConsumerGroup([]string{request.Bootstrap}, request.Group, config)
	if err != nil {
		return nil, err
	}
	leaving := facts.UntilLeave(ctx)
	for leaving.Err() == nil {
		// Ends at each rebalance. What was marked is committed then, and when the group is closed.
		if err := group.Consume(leaving, []string{request.Topic}, claims{request.Topic}); err != nil && leaving.Err() == nil {
			return nil, err
		}
	}
	return map[string]any{"left": true}, group.Close()
}

// Takes a static member out of its group.
func remove(_ context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	left, err := asking.RemoveMemberFromConsumerGroup(request.Group, []string{request.Instance})
	if err != nil {
		return nil, err
	}
	if code := left.Members[0].Err; code != sarama.ErrNoError {
		return nil, code
	}
	return map[string]any{}, nil
}

func positionOf(asking sarama.ClusterAdmin, request facts.Request, partition int32) (int64, error) {
	found, err := asking.ListConsumerGroupOffsets(request.Group, map[string][]int32{request.Topic: {partition}})
	if err != nil {
		return 0, err
	}
	block := found.GetBlock(request.Topic, partition)
	if block == nil {
		return 0, fmt.Errorf("nothing was answered of partition %d", partition)
	}
	if !errors.Is(block.Err, sarama.ErrNoError) {
		return 0, block.Err
	}
	return block.Offset, nil
}

func committed(_ context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	positions := []int64{}
	for partition := range request.Partitions {
		position, err := positionOf(asking, request, partition)
		if err != nil {
			return nil, err
		}
		positions = append(positions, position)
	}
	return map[string]any{"offsets": positions}, nil
}

func offsets(_ context.Context, request facts.Request) (any, error) {
	config, err := configOf(request)
	if err != nil {
		return nil, err
	}
	client, err := sarama.NewClient([]string{request.Bootstrap}, config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found := []int64{}
	for _, timeMs := range append([]int64{sarama.OffsetOldest, sarama.OffsetNewest}, request.Times...) {
		offset, err := client.GetOffset(request.Topic, 0, timeMs)
		if err != nil {
			return nil, err
		}
		found = append(found, offset)
	}
	return map[string]any{"earliest": found[0], "latest": found[1], "forTimes": found[2:]}, nil
}

func codeOf(err error) any {
	var refused sarama.KError
	if errors.As(err, &refused) {
		return int16(refused)
	}
	return err.Error()
}

type administrator struct {
	admin   sarama.ClusterAdmin
	request facts.Request
	steps   facts.Steps
}

func administer(ctx context.Context, request facts.Request) (any, error) {
	asking, err := admin(request)
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	one := administrator{asking, request, facts.Steps{CodeOf: codeOf, Seen: map[string]any{}, SettleMs: request.SettleMs}}
	one.topic(ctx)
	one.group()
	one.end()
	return one.steps.Seen, nil
}

func (one administrator) create(configs map[string]*string) error {
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: configs}
	return one.admin.CreateTopic(one.request.Topic, detail, false)
}

func (one administrator) retention() (any, error) {
	entries, err := one.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: one.request.Topic})
	for _, entry := range entries {
		if entry.Name == "retention.ms" {
			return entry.Value, err
		}
	}
	return nil, err
}

func (one administrator) setRetention(value string) error {
	set := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": set}
	return one.admin.IncrementalAlterConfig(sarama.TopicResource, one.request.Topic, entries, false)
}

func (one administrator) topic(ctx context.Context) {
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
		_, err := produce(ctx, ten)
		return err
	})
	one.steps.Done("grow", func() error { return one.admin.CreatePartitions(topic, 5, nil, false) })
	one.steps.Do("partitions", func() (any, error) {
		described, err := one.admin.DescribeTopics([]string{topic})
		if err != nil {
			return nil, err
		}
		return len(described[0].Partitions), nil
	})
	one.steps.Done("recordsDeleted", func() error { return one.admin.DeleteRecords(topic, map[int32]int64{0: 4}) })
	one.steps.Do("start", func() (any, error) {
		found, err := one.admin.ListOffsets(map[string]map[int32]int64{topic: {0: sarama.OffsetOldest}}, nil)
		if err != nil {
			return nil, err
		}
		// The client has an error for none.
		if at := found[topic][0]; !errors.Is(at.Err, sarama.ErrNoError) {
			return nil, at.Err
		}
		return found[topic][0].Offset, nil
	})
	one.steps.Do("logDirs", func() (any, error) {
		stored, err := one.admin.DescribeLogDirs([]int32{1})
		partitions := []int32{}
		for _, folder := range stored[1] {
			for _, lying := range folder.Topics {
				for _, partition := range lying.Partitions {
					if lying.Topic == topic {
						partitions = append(partitions, partition.PartitionID)
					}
				}
			}
		}
		slices.Sort(partitions)
		return partitions, err
	})
}

func (one administrator) commit(at int64) error {
	to := map[string]map[int32]sarama.OffsetAndMetadata{one.request.Topic: {0: {Offset: at, Metadata: "note", LeaderEpoch: -1}}}
	answered, err := one.admin.AlterConsumerGroupOffsets(one.request.Group, to, nil)
	if err != nil {
		return err
	}
	if code := answered.Errors[one.request.Topic][0]; code != sarama.ErrNoError {
		return code
	}
	return nil
}

func (one administrator) position() (any, error) { return positionOf(one.admin, one.request, 0) }

func (one administrator) group() {
	group := one.request.Group
	one.steps.Done("commit", func() error { return one.commit(10) })
	one.steps.Do("committed", one.position)
	one.steps.Done("move", func() error { return one.commit(6) })
	one.steps.Do("moved", one.position)
	one.steps.Do("listedProtocol", func() (any, error) {
		listed, err := one.admin.ListConsumerGroups()
		protocol, isThere := listed[group]
		if !isThere {
			return nil, fmt.Errorf("%s is not listed: %w", group, err)
		}
		return protocol, err
	})
	one.steps.Do("described", func() (any, error) {
		described, err := one.admin.DescribeConsumerGroups([]string{group})
		if err != nil {
			return nil, err
		}
		return described[0].State, nil
	})
	one.steps.Done("forget", func() error { return one.admin.DeleteConsumerGroupOffset(group, one.request.Topic, 0) })
	one.steps.Do("forgotten", one.position)
}

func (one administrator) end() {
	deleteGroup := func() error { return one.admin.DeleteConsumerGroup(one.request.Group) }
	one.steps.Done("groupDeleted", deleteGroup)
	one.steps.Done("groupDeletedAgain", deleteGroup)
	deleteTopic := func() error { return one.admin.DeleteTopic(one.request.Topic) }
	one.steps.Done("topicDeleted", deleteTopic)
	one.steps.Done("topicDeletedAgain", deleteTopic)
}
