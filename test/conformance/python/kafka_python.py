"""kafka-python: what a test asks for, done with it."""

import threading

import facts
import kafka.errors
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

ASSIGNORS = {"classic": RangePartitionAssignor, "cooperative": CooperativeStickyAssignor}


def admin_of(asked):
    return KafkaAdminClient(bootstrap_servers=asked["bootstrap"])


def create(asked):
    admin = admin_of(asked)
    admin.create_topics({asked["topic"]: {"num_partitions": asked["partitions"], "replication_factor": 1}})
    admin.close()
    return {}


def produce(asked):
    codec = asked.get("codec", "none")
    producer = KafkaProducer(
        bootstrap_servers=asked["bootstrap"],
        acks="all",
        enable_idempotence=asked.get("idempotent", False),
        compression_type=None if codec == "none" else codec,
        linger_ms=20,
    )
    sent = [
        producer.send(
            asked["topic"],
            partition=wanted["partition"],
            key=facts.raw(wanted.get("key")),
            value=facts.raw(wanted["value"]),
            headers=[(name, facts.raw(content)) for name, content in wanted.get("headers", ())],
            timestamp_ms=wanted.get("timestampMs"),
        )
        for wanted in asked["records"]
    ]
    producer.flush()
    offsets = [one.get(30).offset for one in sent]
    producer.close()
    return {"offsets": offsets}


def fact_of(message):
    return facts.record(message.partition, message.offset, message.timestamp, message.key, message.value, message.headers)


def read(asked):
    consumer = KafkaConsumer(
        bootstrap_servers=asked["bootstrap"], group_id=None, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    topic = asked["topic"]
    consumer.assign([TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)])
    seen = []
    while len(seen) < asked["count"]:
        for messages in consumer.poll(500).values():
            seen.extend(fact_of(message) for message in messages)
    consumer.close()
    return {"records": seen}


class Listener(ConsumerRebalanceListener):
    """Is told of what changes where the assignor is cooperative, and of all where it is not: what is lost comes first then."""

    def __init__(self):
        self._own = set()

    def on_partitions_assigned(self, assigned):
        self._own |= {one.partition for one in assigned}
        facts.assigned(self._own)

    def on_partitions_revoked(self, revoked):
        self._own -= {one.partition for one in revoked}
        facts.assigned(self._own)


def member(asked):
    consumer = KafkaConsumer(
        bootstrap_servers=asked["bootstrap"],
        group_id=asked["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
        session_timeout_ms=30_000,
        partition_assignment_strategy=[ASSIGNORS[asked["protocol"]]],
        group_instance_id=asked.get("instance"),
    )
    consumer.subscribe([asked["topic"]], listener=Listener())
    # Joins knowing the topic. Else it joins again as leader once it does, and where a poll's time ends in that rebalance, it takes its
    # assignment for taken: no rejoin is needed any more (3.0.12; KAFKA-9815 in the Java client).
    consumer.topics()
    leaving = threading.Event()
    facts.on_leave(leaving.set)
    while not leaving.is_set():
        for messages in consumer.poll(200).values():
            facts.show({"records": [fact_of(message) for message in messages]})
        consumer.commit_async()
    consumer.close()
    return {"left": True}


def remove(asked):
    """Takes a static member out of its group."""
    admin = admin_of(asked)
    answers = admin.remove_group_members(asked["group"], [MemberToRemove(group_instance_id=asked["instance"])])
    admin.close()
    return {"codes": [answer.errno for answer in answers.values()]}


def position_of(admin, asked, partition):
    found = admin.list_group_offsets({asked["group"]: None})[asked["group"]].get(TopicPartition(asked["topic"], partition))
    return -1 if found is None else found.offset


def committed(asked):
    admin = admin_of(asked)
    offsets = [position_of(admin, asked, partition) for partition in range(asked["partitions"])]
    admin.close()
    return {"offsets": offsets}


def offsets(asked):
    consumer = KafkaConsumer(bootstrap_servers=asked["bootstrap"])
    first = TopicPartition(asked["topic"], 0)
    seen = {
        "earliest": consumer.beginning_offsets([first])[first],
        "latest": consumer.end_offsets([first])[first],
        "forTimes": [consumer.offsets_for_times({first: time_ms})[first].offset for time_ms in asked["times"]],
    }
    consumer.close()
    admin = admin_of(asked)
    seen["maxTimestamp"] = admin.list_partition_offsets({first: OffsetSpec.MAX_TIMESTAMP})[first].offset
    admin.close()
    return seen


def code_of(error):
    return getattr(error, "errno", None) or f"{type(error).__name__}: {error}"


class Administrator:
    def __init__(self, asked):
        self._asked = asked
        self._topic = asked["topic"]
        self._group = asked["group"]
        self._first = TopicPartition(self._topic, 0)
        self._admin = admin_of(asked)
        self._steps = facts.Steps(asked, code_of)

    def work(self):
        self._about_topic()
        self._about_group()
        self._to_end()
        self._admin.close()
        return self._steps.seen

    def _create(self, configs):
        topic = {"num_partitions": 3, "replication_factor": 1, "configs": configs}
        self._admin.create_topics({self._topic: topic})

    def _retention(self):
        resource = ConfigResource(ConfigResourceType.TOPIC, self._topic)
        return self._admin.describe_configs([resource])["topic"][self._topic]["retention.ms"]["value"]

    def _set_retention(self, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, self._topic, {"retention.ms": value})
        answer = self._admin.alter_configs([resource])["topic"][self._topic]
        # "OK", or the refusal with its number.
        return None if answer == "OK" else int(answer.removeprefix("[Error ").split("]")[0])

    def _about_topic(self):
        topic, first, do = self._topic, self._first, self._steps.do
        do("created", lambda: self._create({"retention.ms": "86400000"}))
        do("createdAgain", lambda: self._create({}))
        do("retention", self._retention)
        do("set", lambda: self._set_retention("7200000"))
        do("retentionSet", self._retention)
        do("setWrong", lambda: self._set_retention("x"))
        ten = [{"partition": 0, "value": "x"}] * 10
        do("produced", lambda: len(produce({**self._asked, "records": ten, "idempotent": True})["offsets"]) - 10)
        do("lastSequences", lambda: [one.last_sequence for one in self._admin.describe_producers([first])[first].active_producers])
        do("grow", self._grow)
        do("partitions", self._partitions)
        do("recordsDeleted", lambda: self._admin.delete_records({first: 4})[first]["low_watermark"])
        do("start", lambda: self._admin.list_partition_offsets({first: OffsetSpec.EARLIEST})[first].offset)
        do("logDirs", self._log_dirs)
        do("quorum", self._quorum)

    def _grow(self):
        self._admin.create_partitions({self._topic: 5})

    def _partitions(self):
        return len(self._admin.describe_topics([self._topic])[0]["partitions"])

    def _log_dirs(self):
        return sorted(
            partition["partition_index"]
            for broker in self._admin.describe_log_dirs()
            for folder in broker["log_dirs"]
            for topic in folder["topics"]
            if topic["name"] == self._topic
            for partition in topic["partitions"]
        )

    def _quorum(self):
        at = self._admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
        return {"leader": at["leader_id"], "voters": [voter["replica_id"] for voter in at["current_voters"]]}

    def _position(self):
        return position_of(self._admin, self._asked, 0)

    def _commit(self, offset):
        to = {self._first: OffsetAndMetadata(offset, "note", -1)}
        return self._admin.alter_group_offsets(self._group, to)[self._first].errno

    def _listed(self):
        return next(one for one in self._admin.list_groups() if one["group_id"] == self._group)

    def _about_group(self):
        do = self._steps.do
        do("commit", lambda: self._commit(10))
        do("committed", self._position)
        do("move", lambda: self._commit(6))
        do("moved", self._position)
        do("listed", lambda: self._listed()["group_state"])
        do("listedProtocol", lambda: self._listed()["protocol_type"])
        do("type", lambda: self._listed()["group_type"])
        do("described", lambda: self._admin.describe_groups([self._group])[self._group]["group_state"])
        do("forget", lambda: self._admin.delete_group_offsets(self._group, [self._first])[self._first].errno)
        do("forgotten", self._position)

    def _delete_group(self):
        answer = self._admin.delete_groups([self._group])[self._group]
        # "OK", or the refusal by its name.
        return None if answer == "OK" else getattr(kafka.errors, answer).errno

    def _delete_topic(self):
        self._admin.delete_topics([self._topic])

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
            "remove": remove,
            "committed": committed,
            "offsets": offsets,
            "admin": lambda asked: Administrator(asked).work(),
        }
    )
