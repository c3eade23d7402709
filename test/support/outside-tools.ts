// What the conformance suite compares with and nobody here wrote. `.ci/run` installs each and names it in the environment;
// a test whose tool is not named is skipped and says why.
import { existsSync } from 'node:fs';

export interface OutsideTool {
  /** Where it is; undefined where it was not installed. */
  readonly path: string | undefined;
  /** Behind a suite's name: why it is skipped, or nothing. */
  readonly note: string;
}

function named(variable: string, what: string): OutsideTool {
  const path = process.env[variable];
  return path === undefined || path === '' ? { path: undefined, note: ` (skipped: set ${variable} to ${what})` } : { path, note: '' };
}

/** The program of versitygw, a real S3 server whose objects are plain files. */
export const versitygw = named('THERMOCLINE_TEST_VERSITYGW', 'the versitygw program');

/** The program of the MinIO server. */
export const minioServer = named('THERMOCLINE_TEST_MINIO', 'the minio program');

/** Adobe's S3Mock, a server whose conditional writes do not hold; `java` is on the path. */
export const s3mock = named('THERMOCLINE_TEST_S3MOCK', 'the jar of S3Mock 5.2.0');

/** A folder with Apache Kafka's jars: `libs` for the broker, `tools` for its command-line tools; `java` is on the path. */
export const kafka44 = named('THERMOCLINE_TEST_KAFKA44', "a folder with Apache Kafka's jars");

/** The jar of `kafka-tools` 4.4.0, which was released later than the broker; it runs with the jars of `kafka44`. */
export const kafka44Tools = named('THERMOCLINE_TEST_KAFKA44_TOOLS', "the jar of Apache Kafka's tools, 4.4.0");

/** A folder in which librdkafka 2.15.1 lies built, with its tests: `librdkafka/tests/test-runner`. */
export const librdkafka = named('THERMOCLINE_TEST_LIBRDKAFKA', 'a folder with librdkafka and its tests, built');

/** A Python with pyiceberg[pyarrow], polars, DataFusion, and duckdb with its Iceberg, Avro and httpfs extensions as wheels. */
export const readersPython = named('THERMOCLINE_TEST_PYTHON', 'a Python that has pyiceberg, and DuckDB with its Iceberg extension');

/** A Python with chdb, which is ClickHouse in a process. */
export const chdbPython = named('THERMOCLINE_TEST_CHDB', 'a Python that has chdb');

/** A Python with pyspark; Iceberg's runtime and its AWS bundle are in the folder `jars` beside its own; `java` is on the path. */
export const sparkPython = named('THERMOCLINE_TEST_SPARK', "a Python that has pyspark, with Iceberg's jars");

/** A folder with the programs of `test/conformance/go`, built: franz-go, sarama, kafka-go. */
export const goClients = named('THERMOCLINE_TEST_GO_CLIENTS', 'a folder with the programs of test/conformance/go, built');

/** A Python with kafka-python, aiokafka and confluent-kafka, and the codecs that the first two need. */
export const kafkaPython = named('THERMOCLINE_TEST_KAFKA_PYTHON', 'a Python that has kafka-python, aiokafka and confluent-kafka');

const kcatPath = '/usr/bin/kcat';
/** librdkafka's command-line client, where the system has it. */
export const kcat: OutsideTool = existsSync(kcatPath)
  ? { path: kcatPath, note: '' }
  : { path: undefined, note: ` (skipped: install kcat, it is not at ${kcatPath})` };
