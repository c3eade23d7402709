"""confluent-kafka (librdkafka): what a test asks for, done with it."""

import threading

import facts
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

TIMEOUT_SECONDS = 30


def admin_of(asked):
    return AdminClient({"bootstrap.servers": asked["bootstrap"]})


def only(answers):
    """The one answer of a call that answers by name, or what it was refused with."""
    return next(iter(answers.values())).result(TIMEOUT_SECONDS)


def create(asked):
    # A client that nothing refers to is destroyed before it has its answer.
    admin = admin_of(asked)
    only(admin.create_topics([NewTopic(asked["topic"], asked["partitions"], 1)]))
    return {}


def produce(asked):
    producer = Producer(
        {
            "bootstrap.servers": asked["bootstrap"],
            "acks": "all",
            "enable.idempotence": asked.get("idempotent", False),
            "compression.type": asked.get("codec", "none"),
            "linger.ms": 20,
        }
    )
    offsets = [None] * len(asked["records"])

    def delivered(at):
        def keep(error, message):
            if error is not None:
                raise KafkaException(error)
            offsets[at] = message.offset()

        return keep

    for at, wanted in enumerate(asked["records"]):
        producer.produce(
            asked["topic"],
            partition=wanted["partition"],
            key=facts.raw(wanted.get("key")),
            value=facts.raw(wanted["value"]),
            headers=[(name, facts.raw(content)) for name, content in wanted.get("headers", ())],
            timestamp=wanted.get("timestampMs", 0),
            on_delivery=delivered(at),
        )
    if producer.flush(TIMEOUT_SECONDS) > 0:
        raise TimeoutError("not all records were acknowledged")
    return {"offsets": offsets}


def fact_of(message):
    _, timestamp_ms = message.timestamp()
    return facts.record(message.partition(), message.offset(), timestamp_ms, message.key(), message.value(), message.headers())


def consumed(consumer, seconds):
    """What came within the time, at most."""
    for message in consumer.consume(500, seconds):
        if message.error() is not None:
            raise KafkaException(message.error())
        yield fact_of(message)


def read(asked):
    consumer = Consumer(
        {
            "bootstrap.servers": asked["bootstrap"],
            "group.id": asked["group"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    topic = asked["topic"]
    partitions = consumer.list_topics(topic, TIMEOUT_SECONDS).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    seen = []
    while len(seen) < asked["count"]:
        seen.extend(consumed(consumer, 0.2))
    consumer.close()
    return {"records": seen}


def member(asked):
    settings = {
        "bootstrap.servers": asked["bootstrap"],
        "group.id": asked["group"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
    if asked["protocol"] == "consumer":
        settings["group.protocol"] = "consumer"
    else:
        settings["partition.assignment.strategy"] = "cooperative-sticky" if asked["protocol"] == "cooperative" else "range"
        settings["heartbeat.interval.ms"] = 200
        settings["session.timeout.ms"] = 30_000
    if "instance" in asked:
        settings["group.instance.id"] = asked["instance"]
    consumer = Consumer(settings)
    own = set()

    def gain(_, partitions):
        own.update(one.partition for one in partitions)
        facts.assigned(own)

    def lose(_, partitions):
        own.difference_update(one.partition for one in partitions)
        facts.assigned(own)

    consumer.subscribe([asked["topic"]], on_assign=gain, on_revoke=lose, on_lost=lose)
    leaving = threading.Event()
    facts.on_leave(leaving.set)
    while not leaving.is_set():
        records = list(consumed(consumer, 0.2))
        if records:
            facts.show({"records": records})
            consumer.commit(asynchronous=True)
    consumer.close()
    return {"left": True}


def position_of(admin, asked, partition):
    wanted = ConsumerGroupTopicPartitions(asked["group"], [TopicPartition(asked["topic"], partition)])
    found = only(admin.list_consumer_group_offsets([wanted])).topic_partitions[0].offset
    # The client has a number of its own for none.
    return found if found >= 0 else -1


def committed(asked):
    admin = admin_of(asked)
    return {"offsets": [position_of(admin, asked, partition) for partition in range(asked["partitions"])]}


def offsets(asked):
    admin = admin_of(asked)

    def at(spec):
        return only(admin.list_offsets({TopicPartition(asked["topic"], 0): spec})).offset

    return {
        "earliest": at(OffsetSpec.earliest()),
        "latest": at(OffsetSpec.latest()),
        "forTimes": [at(OffsetSpec.for_timestamp(time_ms)) for time_ms in asked["times"]],
        "maxTimestamp": at(OffsetSpec.max_timestamp()),
    }


def code_of(error):
    if isinstance(error, KafkaException):
        return error.args[0].code()
    return f"{type(error).__name__}: {error}"


class Administrator:
    def __init__(self, asked):
        self._asked = asked
        self._topic = asked["topic"]
        self._group = asked["group"]
        self._admin = admin_of(asked)
        self._steps = facts.Steps(asked, code_of)

    def work(self):
        self._about_topic()
        self._about_group()
        self._to_end()
        return self._steps.seen

    def _create(self, configs):
        only(self._admin.create_topics([NewTopic(self._topic, 3, 1, config=configs)]))

    def _retention(self):
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        return only(self._admin.describe_configs([resource]))["retention.ms"].value

    def _set_retention(self, value):
        entry = ConfigEntry("retention.ms", value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self._topic, incremental_configs=[entry])
        only(self._admin.incremental_alter_configs([resource]))

    def _about_topic(self):
        do = self._steps.do
        do("created", lambda: self._create({"retention.ms": "86400000"}))
        do("createdAgain", lambda: self._create({}))
        do("retention", self._retention)
        do("set", lambda: self._set_retention("7200000"))
        do("retentionSet", self._retention)
        do("setWrong", lambda: self._set_retention("x"))
        ten = [{"partition": 0, "value": "x"}] * 10
        do("produced", lambda: len(produce({**self._asked, "records": ten, "idempotent": True})["offsets"]) - 10)
        do("grow", self._grow)
        do("partitions", self._partitions)
        do("recordsDeleted", lambda: only(self._admin.delete_records([TopicPartition(self._topic, 0, 4)])).low_watermark)
        do("start", lambda: only(self._admin.list_offsets({TopicPartition(self._topic, 0): OffsetSpec.earliest()})).offset)

    def _grow(self):
        only(self._admin.create_partitions([NewPartitions(self._topic, 5)]))

    def _partitions(self):
        return len(self._admin.list_topics(self._topic, TIMEOUT_SECONDS).topics[self._topic].partitions)

    def _position(self):
        return position_of(self._admin, self._asked, 0)

    def _commit(self, offset):
        to = ConsumerGroupTopicPartitions(self._group, [TopicPartition(self._topic, 0, offset, "note")])
        answer = only(self._admin.alter_consumer_group_offsets([to])).topic_partitions[0]
        if answer.error is not None:
            raise KafkaException(answer.error)

    def _listed(self):
        listed = self._admin.list_consumer_groups().result(TIMEOUT_SECONDS).valid
        return next(one for one in listed if one.group_id == self._group)

    def _about_group(self):
        do = self._steps.do
        do("commit", lambda: self._commit(10))
        do("committed", self._position)
        do("move", lambda: self._commit(6))
        do("moved", self._position)
        do("listed", lambda: self._listed().state.name.capitalize())
        do("type", lambda: self._listed().type.name.lower())
        do("described", lambda: only(self._admin.describe_consumer_groups([self._group])).state.name.capitalize())

    def _delete_group(self):
        only(self._admin.delete_consumer_groups([self._group]))

    def _delete_topic(self):
        only(self._admin.delete_topics([self._topic]))

    def _to_end(self):
        do = self._steps.do
        do("groupDeleted", self._delete_group)
        do("groupDeletedAgain", self._delete_group)
        do("topicDeleted", self._delete_topic)
        do("topicDeletedAgain", self._delete_topic)


if __name__ == "__main__":
    facts.main(
        {
            "create": create,
            "produce": produce,
            "read": read,
            "member": member,
            "committed": committed,
            "offsets": offsets,
            "admin": lambda asked: Administrator(asked).work(),
        }
    )
