// segmentio/kafka-go: what a test asks for, done with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"thermocline.test/clients/facts"
)

func main() {
	facts.Main(map[string]facts.Scenario{
		"create":    create,
		"produce":   produce,
		"read":      read,
		"member":    member,
		"committed": committed,
		"offsets":   offsets,
		"admin":     administer,
	})
}

// 0 is none.
var codecs = map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

func clientOf(request facts.Request) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(request.Bootstrap)}
}

func createTopic(ctx context.Context, request facts.Request, partitions int, configs ...kafka.ConfigEntry) error {
	topic := kafka.TopicConfig{Topic: request.Topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}
	created, err := clientOf(request).CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err != nil {
		return err
	}
	return created.Errors[request.Topic]
}

func create(ctx context.Context, request facts.Request) (any, error) {
	return map[string]any{}, createTopic(ctx, request, int(request.Partitions))
}

func produce(ctx context.Context, request facts.Request) (any, error) {
	var writing sync.Mutex
	// By the place of a record in the request.
	acknowledged := make([]int64, len(request.Records))
	type place struct {
		index     int
		partition int
	}
	writer := &kafka.Writer{
		Addr:         kafka.TCP(request.Bootstrap),
		Topic:        request.Topic,
		Compression:  codecs[request.Codec],
		RequiredAcks: kafka.RequireAll,
		BatchSize:    max(len(request.Records), 1),
		BatchTimeout: 10 * time.Millisecond,
		Balancer: kafka.BalancerFunc(func(message kafka.Message, _ ...int) int {
			return message.WriterData.(place).partition
		}),
		Completion: func(messages []kafka.Message, err error) {
			writing.Lock()
			defer writing.Unlock()
			for _, message := range messages {
				acknowledged[message.WriterData.(place).index] = message.Offset
			}
		},
	}
	messages := make([]kafka.Message, len(request.Records))
	for i, wanted := range request.Records {
		message := kafka.Message{
			Key:        facts.Bytes(wanted.Key),
			Value:      facts.Bytes(wanted.Value),
			WriterData: place{i, int(wanted.Partition)},
		}
		if wanted.TimestampMs > 0 {
			message.Time = time.UnixMilli(wanted.TimestampMs)
		}
		for _, header := range wanted.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: header[0], Value: []byte(header[1])})
		}
		messages[i] = message
	}
	if err := errors.Join(writer.WriteMessages(ctx, messages...), writer.Close()); err != nil {
		return nil, err
	}
	return map[string]any{"offsets": acknowledged}, nil
}

func factOf(message kafka.Message) facts.Record {
	headers := [][2]string{}
	for _, header := range message.Headers {
		headers = append(headers, [2]string{header.Key, string(header.Value)})
	}
	return facts.Record{
		Partition:   int32(message.Partition),
		Offset:      message.Offset,
		TimestampMs: message.Time.UnixMilli(),
		Key:         facts.Text(message.Key),
		Value:       facts.Text(message.Value),
		Headers:     headers,
	}
}

// A reader of a group, which is how this client reads all partitions of a topic.
func read(ctx context.Context, request facts.Request) (any, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:        []string{request.Bootstrap},
		GroupID:        request.Group,
		Topic:          request.Topic,
		StartOffset:    kafka.FirstOffset,
		IsolationLevel: kafka.ReadCommitted,
		MaxWait:        200 * time.Millisecond,
		MaxBytes:       10 << 20,
		// Otherwise it commits each record by itself, and waits for that.
		CommitInterval: time.Second,
	})
	seen := []facts.Record{}
	for len(seen) < request.Count {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("after %d records: %w", len(seen), err)
		}
		seen = append(seen, factOf(message))
	}
	return map[string]any{"records": seen}, reader.Close()
}

func member(ctx context.Context, request facts.Request) (any, error) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                request.Group,
		Brokers:           []string{request.Bootstrap},
		Topics:            []string{request.Topic},
		StartOffset:       kafka.FirstOffset,
		HeartbeatInterval: 200 * time.Millisecond,
		SessionTimeout:    30 * time.Second,
		RebalanceTimeout:  30 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	leaving := facts.UntilLeave(ctx)
	for {
		generation, err := group.Next(leaving)
		if leaving.Err() != nil {
			return map[string]any{"left": true}, group.Close()
		}
		// As the client's own reader does: a rebalance that goes on is an error to it.
		if refused := new(kafka.Error); errors.As(err, refused) {
			continue
		}
		if err != nil {
			return nil, err
		}
		partitions := []int32{}
		for _, assigned := range generation.Assignments[request.Topic] {
			partitions = append(partitions, int32(assigned.ID))
			generation.Start(func(ctx context.Context) { consume(ctx, request, generation, assigned) })
		}
		slices.Sort(partitions)
		facts.Assigned(partitions)
	}
}

// One partition, for as long as the generation of its group lasts.
func consume(ctx context.Context, request facts.Request, generation *kafka.Generation, assigned kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:   []string{request.Bootstrap},
		Topic:     request.Topic,
		Partition: assigned.ID,
		MaxWait:   200 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(assigned.Offset); err != nil {
		panic(err)
	}
	for {
		message, err := reader.ReadMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			panic(err)
		}
		facts.Seen(factOf(message))
		// Refused where the group goes on to its next generation: then the record is consumed again.
		_ = generation.CommitOffsets(map[string]map[int]int64{request.Topic: {assigned.ID: message.Offset + 1}})
	}
}

func positionOf(ctx context.Context, request facts.Request, partition int) (int64, error) {
	asked := &kafka.OffsetFetchRequest{GroupID: request.Group, Topics: map[string][]int{request.Topic: {partition}}}
	found, err := clientOf(request).OffsetFetch(ctx, asked)
	if err == nil {
		err = found.Error
	}
	if err != nil {
		return 0, err
	}
	at := found.Topics[request.Topic][0]
	return at.CommittedOffset, at.Error
}

func committed(ctx context.Context, request facts.Request) (any, error) {
	positions := []int64{}
	for partition := range int(request.Partitions) {
		position, err := positionOf(ctx, request, partition)
		if err != nil {
			return nil, err
		}
		positions = append(positions, position)
	}
	return map[string]any{"offsets": positions}, nil
}

func offsets(ctx context.Context, request facts.Request) (any, error) {
	leader, err := kafka.DialLeader(ctx, "tcp", request.Bootstrap, request.Topic, 0)
	if err != nil {
		return nil, err
	}
	defer leader.Close()
	first, last, err := leader.ReadOffsets()
	if err != nil {
		return nil, err
	}
	forTimes := []int64{}
	for _, timeMs := range request.Times {
		offset, err := leader.ReadOffset(time.UnixMilli(timeMs))
		if err != nil {
			return nil, err
		}
		forTimes = append(forTimes, offset)
	}
	return map[string]any{"earliest": first, "latest": last, "forTimes": forTimes}, nil
}

func codeOf(err error) any {
	var refused kafka.Error
	if errors.As(err, &refused) {
		return int(refused)
	}
	return err.Error()
}

type administrator struct {
	ctx     context.Context
	client  *kafka.Client
	request facts.Request
	steps   facts.Steps
}

func administer(ctx context.Context, request facts.Request) (any, error) {
	one := administrator{ctx, clientOf(request), request, facts.Steps{CodeOf: codeOf, Seen: map[string]any{}, SettleMs: request.SettleMs}}
	one.topic()
	one.group()
	one.end()
	return one.steps.Seen, nil
}

func (one administrator) retention() (any, error) {
	resource := kafka.DescribeConfigRequestResource{
		ResourceType: kafka.ResourceTypeTopic,
		ResourceName: one.request.Topic,
		ConfigNames:  []string{"retention.ms"},
	}
	described, err := one.client.DescribeConfigs(one.ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{resource},
	})
	if err != nil {
		return nil, err
	}
	if described.Resources[0].Error != nil {
		return nil, described.Resources[0].Error
	}
	return described.Resources[0].ConfigEntries[0].ConfigValue, nil
}

func (one administrator) setRetention(value string) error {
	set := kafka.IncrementalAlterConfigsRequestConfig{Name: "retention.ms", Value: value, ConfigOperation: kafka.ConfigOperationSet}
	altered, err := one.client.IncrementalAlterConfigs(one.ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic,
			ResourceName: one.request.Topic,
			Configs:      []kafka.IncrementalAlterConfigsRequestConfig{set},
		}},
	})
	if err != nil {
		return err
	}
	return altered.Resources[0].Error
}

func (one administrator) topic() {
	topic := one.request.Topic
	day := kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "86400000"}
	one.steps.Done("created", func() error { return createTopic(one.ctx, one.request, 3, day) })
	one.steps.Done("createdAgain", func() error { return createTopic(one.ctx, one.request, 3) })
	one.steps.Do("retention", one.retention)
	one.steps.Done("set", func() error { return one.setRetention("7200000") })
	one.steps.Do("retentionSet", one.retention)
	one.steps.Done("setWrong", func() error { return one.setRetention("x") })
	one.steps.Done("produced", func() error {
		_, err := produce(one.ctx, facts.Request{Bootstrap: one.request.Bootstrap, Topic: topic, Records: make([]facts.Record, 10)})
		return err
	})
	one.steps.Done("grow", func() error {
		more := []kafka.TopicPartitionsConfig{{Name: topic, Count: 5}}
		grown, err := one.client.CreatePartitions(one.ctx, &kafka.CreatePartitionsRequest{Topics: more})
		if err != nil {
			return err
		}
		return grown.Errors[topic]
	})
	one.steps.Do("partitions", func() (any, error) {
		// Not from the client, which answers from what it remembers for some seconds.
		connection, err := kafka.DialContext(one.ctx, "tcp", one.request.Bootstrap)
		if err != nil {
			return nil, err
		}
		defer connection.Close()
		partitions, err := connection.ReadPartitions(topic)
		return len(partitions), err
	})
}

func (one administrator) commit(at int64) error {
	answered, err := one.client.OffsetCommit(one.ctx, &kafka.OffsetCommitRequest{
		GroupID:      one.request.Group,
		GenerationID: -1,
		Topics:       map[string][]kafka.OffsetCommit{one.request.Topic: {{Partition: 0, Offset: at, Metadata: "note"}}},
	})
	if err != nil {
		return err
	}
	return answered.Topics[one.request.Topic][0].Error
}

func (one administrator) position() (any, error) { return positionOf(one.ctx, one.request, 0) }

func (one administrator) group() {
	group := one.request.Group
	one.steps.Done("commit", func() error { return one.commit(10) })
	one.steps.Do("committed", one.position)
	one.steps.Done("move", func() error { return one.commit(6) })
	one.steps.Do("moved", one.position)
	one.steps.Do("listedProtocol", func() (any, error) {
		listed, err := one.client.ListGroups(one.ctx, &kafka.ListGroupsRequest{})
		if err != nil {
			return nil, err
		}
		for _, found := range listed.Groups {
			if found.GroupID == group {
				return found.ProtocolType, listed.Error
			}
		}
		return nil, io.EOF
	})
	one.steps.Do("described", func() (any, error) {
		described, err := one.client.DescribeGroups(one.ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
		if err != nil {
			return nil, err
		}
		return described.Groups[0].GroupState, described.Groups[0].Error
	})
	one.steps.Done("forget", func() error {
		asked := &kafka.OffsetDeleteRequest{GroupID: group, Topics: map[string][]int{one.request.Topic: {0}}}
		forgotten, err := one.client.OffsetDelete(one.ctx, asked)
		if err == nil {
			err = forgotten.Error
		}
		if err != nil {
			return err
		}
		return forgotten.Topics[one.request.Topic][0].Error
	})
	one.steps.Do("forgotten", one.position)
}

func (one administrator) end() {
	deleteGroup := func() error {
		deleted, err := one.client.DeleteGroups(one.ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{one.request.Group}})
		if err != nil {
			return err
		}
		return deleted.Errors[one.request.Group]
	}
	one.steps.Done("groupDeleted", deleteGroup)
	one.steps.Done("groupDeletedAgain", deleteGroup)
	deleteTopic := func() error {
		deleted, err := one.client.DeleteTopics(one.ctx, &kafka.DeleteTopicsRequest{Topics: []string{one.request.Topic}})
		if err != nil {
			return err
		}
		return deleted.Errors[one.request.Topic]
	}
	one.steps.Done("topicDeleted", deleteTopic)
	one.steps.Done("topicDeletedAgain", deleteTopic)
}
