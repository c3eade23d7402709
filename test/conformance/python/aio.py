"""aiokafka: what a test asks for, done with it."""

import asyncio

import facts
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError, for_code
from aiokafka.structs import OffsetAndMetadata


async def admin_of(asked):
    admin = AIOKafkaAdminClient(bootstrap_servers=asked["bootstrap"])
    await admin.start()
    return admin


def check(code):
    """Raises what the code of an answer stands for."""
    if code != 0:
        raise for_code(code)


async def create_topic(admin, topic, partitions, configs=None):
    created = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs or {})])
    check(created.topic_errors[0][1])


async def create(asked):
    admin = await admin_of(asked)
    await create_topic(admin, asked["topic"], asked["partitions"])
    await admin.close()
    return {}


async def produce(asked):
    codec = asked.get("codec", "none")
    producer = AIOKafkaProducer(
        bootstrap_servers=asked["bootstrap"],
        acks="all",
        enable_idempotence=asked.get("idempotent", False),
        compression_type=None if codec == "none" else codec,
        linger_ms=20,
    )
    await producer.start()
    sent = [
        await producer.send(
            asked["topic"],
            partition=wanted["partition"],
            key=facts.raw(wanted.get("key")),
            value=facts.raw(wanted["value"]),
            headers=[(name, facts.raw(content)) for name, content in wanted.get("headers", ())],
            timestamp_ms=wanted.get("timestampMs"),
        )
        for wanted in asked["records"]
    ]
    offsets = [(await one).offset for one in sent]
    await producer.stop()
    return {"offsets": offsets}


def fact_of(message):
    return facts.record(message.partition, message.offset, message.timestamp, message.key, message.value, message.headers)


async def read(asked):
    consumer = AIOKafkaConsumer(
        asked["topic"], bootstrap_servers=asked["bootstrap"], auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    seen = []
    while len(seen) < asked["count"]:
        for messages in (await consumer.getmany(timeout_ms=500)).values():
            seen.extend(fact_of(message) for message in messages)
    await consumer.stop()
    return {"records": seen}


class Listener(ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned):
        facts.assigned(one.partition for one in assigned)

    async def on_partitions_revoked(self, revoked):
        facts.assigned(())


async def member(asked):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=asked["bootstrap"],
        group_id=asked["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
        session_timeout_ms=30_000,
        group_instance_id=asked.get("instance"),
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
    )
    consumer.subscribe([asked["topic"]], listener=Listener())
    await consumer.start()
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    facts.on_leave(lambda: loop.call_soon_threadsafe(leaving.set))
    while not leaving.is_set():
        batches = await consumer.getmany(timeout_ms=200)
        if batches:
            facts.show({"records": [fact_of(message) for messages in batches.values() for message in messages]})
            try:
                await consumer.commit()
            except (CommitFailedError, RebalanceInProgressError):
                # While others come and go: the records are consumed again.
                pass
    await consumer.stop()
    return {"left": True}


async def position_of(admin, asked, partition):
    wanted = TopicPartition(asked["topic"], partition)
    return (await admin.list_consumer_group_offsets(asked["group"], partitions=[wanted]))[wanted].offset


async def committed(asked):
    admin = await admin_of(asked)
    offsets = [await position_of(admin, asked, partition) for partition in range(asked["partitions"])]
    await admin.close()
    return {"offsets": offsets}


async def offsets(asked):
    consumer = AIOKafkaConsumer(bootstrap_servers=asked["bootstrap"])
    await consumer.start()
    first = TopicPartition(asked["topic"], 0)
    seen = {
        "earliest": (await consumer.beginning_offsets([first]))[first],
        "latest": (await consumer.end_offsets([first]))[first],
        "forTimes": [(await consumer.offsets_for_times({first: time_ms}))[first].offset for time_ms in asked["times"]],
    }
    await consumer.stop()
    return seen


def code_of(error):
    return error.errno if isinstance(error, KafkaError) and error.errno else f"{type(error).__name__}: {error}"


class Administrator:
    def __init__(self, asked, admin):
        self._asked = asked
        self._topic = asked["topic"]
        self._group = asked["group"]
        self._first = TopicPartition(self._topic, 0)
        self._admin = admin
        self._steps = facts.Steps(asked, code_of)

    async def work(self):
        await self._about_topic()
        await self._about_group()
        await self._steps.wait("topicDeleted", self._delete_topic())
        await self._steps.wait("topicDeletedAgain", self._delete_topic())
        await self._admin.close()
        return self._steps.seen

    async def _retention(self):
        resource = ConfigResource(ConfigResourceType.TOPIC, self._topic, {"retention.ms": None})
        [answer] = await self._admin.describe_configs([resource])
        code, _, _, _, entries = answer.resources[0]
        check(code)
        return entries[0][1]

    async def _set_retention(self, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, self._topic, {"retention.ms": value})
        [answer] = await self._admin.alter_configs([resource])
        check(answer.resources[0][0])

    async def _about_topic(self):
        wait = self._steps.wait
        await wait("created", create_topic(self._admin, self._topic, 3, {"retention.ms": "86400000"}))
        await wait("createdAgain", create_topic(self._admin, self._topic, 3))
        await wait("retention", self._retention())
        await wait("set", self._set_retention("7200000"))
        await wait("retentionSet", self._retention())
        await wait("setWrong", self._set_retention("x"))
        await wait("produced", self._produce())
        await wait("grow", self._grow())
        await wait("partitions", self._partitions())
        await wait("recordsDeleted", self._delete_records())
        await wait("start", self._start())

    async def _produce(self):
        await produce({**self._asked, "records": [{"partition": 0, "value": "x"}] * 10, "idempotent": True})

    async def _grow(self):
        await self._admin.create_partitions({self._topic: NewPartitions(5)})

    async def _partitions(self):
        [described] = await self._admin.describe_topics([self._topic])
        return len(described["partitions"])

    async def _delete_records(self):
        return (await self._admin.delete_records({self._first: RecordsToDelete(before_offset=4)}))[self._first]

    async def _start(self):
        return (await offsets({**self._asked, "times": []}))["earliest"]

    async def _position(self):
        return await position_of(self._admin, self._asked, 0)

    async def _commit(self, offset):
        consumer = AIOKafkaConsumer(bootstrap_servers=self._asked["bootstrap"], group_id=self._group, enable_auto_commit=False)
        consumer.assign([self._first])
        await consumer.start()
        await consumer.commit({self._first: OffsetAndMetadata(offset, "note")})
        await consumer.stop()

    async def _listed_protocol(self):
        return dict(await self._admin.list_consumer_groups())[self._group]

    async def _described(self):
        [answer] = await self._admin.describe_consumer_groups([self._group])
        code, _, state, *_ = answer.groups[0]
        check(code)
        return state

    async def _about_group(self):
        wait = self._steps.wait
        await wait("commit", self._commit(10))
        await wait("committed", self._position())
        await wait("move", self._commit(6))
        await wait("moved", self._position())
        await wait("listedProtocol", self._listed_protocol())
        await wait("described", self._described())

    async def _delete_topic(self):
        deleted = await self._admin.delete_topics([self._topic])
        check(deleted.topic_error_codes[0][1])


async def administer(asked):
    return await Administrator(asked, await admin_of(asked)).work()


if __name__ == "__main__":
    scenarios = {
        "create": create,
        "produce": produce,
        "read": read,
        "member": member,
        "committed": committed,
        "offsets": offsets,
        "admin": administer,
    }
    facts.main({name: lambda asked, scenario=scenario: asyncio.run(scenario(asked)) for name, scenario in scenarios.items()})
