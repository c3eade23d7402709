"""What a user would do instead: the whole topic by a Kafka client into one Parquet file, then DuckDB asks it. One JSON line on stdout."""
import json
import resource
import sys
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, path, questions, threads = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), int(sys.argv[5])
started = time.monotonic()
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False, "auto.offset.reset": "earliest"})
left = {}
for partition in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
    if high > low:
        left[partition] = high
consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
writer, rows, count = None, [], 0


def write():
    global writer, rows
    table = pa.Table.from_pylist(rows)
    table = table.set_column(0, "_timestamp", table["_timestamp"].cast(pa.timestamp("ms", tz="UTC")))
    writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
    writer.write_table(table.cast(writer.schema))
    rows = []


empty = 0
while left:
    # It waits until all have come, or for as long as this: short, or the last ones of the topic would be waited out.
    messages = consumer.consume(10000, timeout=0.1)
    empty = 0 if messages else empty + 1
    if empty > 200:
        raise SystemExit("no more messages came")
    for message in messages:
        if message.error():
            raise SystemExit(str(message.error()))
        rows.append({"_timestamp": message.timestamp()[1], "_key": message.key(), **json.loads(message.value())})
        count += 1
        if message.offset() + 1 >= left.get(message.partition(), float("inf")):
            del left[message.partition()]
    if len(rows) >= 100000:
        write()
if rows:
    write()
writer.close()
consumer.close()
copied = time.monotonic() - started
connection = duckdb.connect()
connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'")
connection.execute(f"CREATE VIEW records AS SELECT * FROM read_parquet('{path}')")
answers = [[[str(cell) for cell in row] for row in connection.execute(question).fetchall()] for question in questions]
usage = resource.getrusage(resource.RUSAGE_SELF)
seconds = time.monotonic() - started
print(json.dumps({"seconds": seconds, "copySeconds": copied, "cpuSeconds": usage.ru_utime + usage.ru_stime, "count": count, "answers": answers}))
