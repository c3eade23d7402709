"""What a user would do instead, with Spark: each question reads the topic as a batch, as much of it as the question is about. One JSON line on stdout."""
import json
import os
import resource
import sys
import time

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, from_json

bootstrap, topic, jars, questions, threads = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), int(sys.argv[5])
schema = "id BIGINT, service STRING, status BIGINT, duration_ms DOUBLE, bytes_out BIGINT, host STRING, message STRING"
started = time.monotonic()
builder = SparkSession.builder.master(f"local[{threads}]").config("spark.jars", jars).config("spark.ui.enabled", "false")
# As many partitions of a shuffle as there are threads: the default of 200 is for a cluster.
builder = builder.config("spark.sql.shuffle.partitions", str(threads)).config("spark.sql.session.timeZone", "UTC")
session = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
session.sparkContext.setLogLevel("ERROR")


def ask(question):
    reader = session.read.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic)
    if "fromMs" in question:
        reader = reader.option("startingTimestamp", question["fromMs"]).option("endingTimestamp", question["toMs"])
    records = reader.load().select(col("timestamp").alias("_timestamp"), from_json(col("value").cast("string"), schema).alias("v"))
    records.select("_timestamp", "v.*").createOrReplaceTempView("records")
    return [[str(cell) for cell in row] for row in session.sql(question["sql"]).collect()]


answers = [ask(question) for question in questions]
seconds = time.monotonic() - started
engine = session._jvm.java.lang.ProcessHandle.current().pid()
with open(f"/proc/{engine}/stat") as stat:
    ticks = stat.read().rsplit(")", 1)[1].split()
usage = resource.getrusage(resource.RUSAGE_SELF)
cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK") + usage.ru_utime + usage.ru_stime
session.stop()
print(json.dumps({"seconds": seconds, "cpuSeconds": cpu, "answers": answers}))
