"""Asks one reader of Iceberg tables that is not ours the same questions of several states of a table, and prints its answers as JSON.

Usage: open-table-readers.py READER < REQUEST, where REQUEST is JSON:
  s3       {endpoint, accessKey, secretKey, region} where the table is on S3, else null
  catalog  base URL of the REST catalog
  states   [{name, topic, metadata, location, snapshot, columns: [[name, kind, summed]], filters: [[column, kind, operator, value]]}]
           by the path of its metadata file, or by the catalog at its snapshot (null for the newest); kind is long, double, bool, text, bytes or time; longs and times (ms) are given as text,
           bytes in hex
Spark takes Iceberg's jars from the folder `jars` of its Python's environment.
Answers, by state: {rows, headers, columns: {name: [values, smallest, largest, sum]}, filters: [rows, ...]}, or {error}.
The sum is there where it is asked for. Each reader computes with its own engine where it has one.
"""

import datetime
import json
import math
import os
import pathlib
import sys

from duckdb_iceberg import duckdb_connection

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def metadata_file(state):
    return f"{state['location']}/metadata/{state['metadata']}"


def native(kind, value):
    """A value of the request as Python has it."""
    if kind == "long":
        return int(value)
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "time":
        return EPOCH + datetime.timedelta(milliseconds=int(value))
    return value


def plain(kind, value):
    """An answer as JSON that JavaScript reads without loss."""
    if value is None:
        return None
    if kind == "time":
        if isinstance(value, datetime.datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
            value = value // datetime.timedelta(milliseconds=1)
        return str(value)
    if kind == "long":
        return str(int(value))
    if kind == "bytes":
        return value.hex() if isinstance(value, (bytes, bytearray, memoryview)) else value.lower()
    if kind == "double":
        value = float(value)
        return str(value) if math.isinf(value) or math.isnan(value) else value + 0.0
    if kind == "bool":
        return bool(value)
    return value


class Dialect:
    """What an engine's SQL has of its own."""

    quote = '"'
    float_suffix = ""

    def name(self, name):
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def text(self, value):
        return "'" + value.replace("'", "''") + "'"

    def bytes(self, value):
        return f"X'{value}'"

    def time(self, value):
        moment = EPOCH + datetime.timedelta(milliseconds=int(value))
        return f"TIMESTAMP '{moment.strftime('%Y-%m-%d %H:%M:%S').rjust(19, '0')}.{moment.microsecond // 1000:03d}Z'"

    def double(self, value):
        return f"CAST({value!r} AS DOUBLE)"

    def literal(self, kind, value):
        if kind == "long":
            return f"CAST('{value}' AS BIGINT)"
        if kind == "bool":
            return "true" if value else "false"
        return getattr(self, kind)(value)

    # What comes back of a column; an engine may take what it can carry without loss.
    def shown(self, kind, expression):
        return expression

    def total(self, kind, expression):
        return f"sum({expression})"

    headers = "sum(cardinality(_headers))"

    def aggregates(self, columns):
        items = ["count(*)", self.headers]
        for name, kind, summed in columns:
            column = self.name(name)
            items += [f"count({column})", self.shown(kind, f"min({column})"), self.shown(kind, f"max({column})")]
            if summed:
                items.append(self.total(kind, column))
        return ", ".join(items)

    def condition(self, column, kind, operator, value):
        if operator in ("is null", "is not null"):
            return f"{self.name(column)} {operator}"
        return f"{self.name(column)} {operator} {self.literal(kind, value)}"


def by_sql(dialect, state, select, counts=None):
    """`select(items, where)` answers the rows of one SELECT as tuples; `counts(conditions)` many counts at once, where that is faster."""
    columns = state["columns"]
    [row] = select(dialect.aggregates(columns), None)
    values = iter(row)
    answer = {"rows": int(next(values)), "headers": int(next(values) or 0), "columns": {}}
    for name, kind, summed in columns:
        answer["columns"][name] = [
            int(next(values)),
            plain(kind, next(values)),
            plain(kind, next(values)),
            *([plain(kind, next(values))] if summed else []),
        ]
    conditions = [dialect.condition(*condition) for condition in state["filters"]]
    if counts is None:
        answer["filters"] = [int(select("count(*)", condition)[0][0]) for condition in conditions]
    else:
        answer["filters"] = counts(conditions)
    return answer


# ── pyiceberg: scans; pyarrow counts ──


def pyiceberg_properties(s3):
    if s3 is None:
        return {}
    return {
        "s3.endpoint": s3["endpoint"],
        "s3.access-key-id": s3["accessKey"],
        "s3.secret-access-key": s3["secretKey"],
        "s3.region": s3["region"],
    }


def pyiceberg_filter(column, kind, operator, value):
    from pyiceberg import expressions as e

    if operator == "is null":
        return e.IsNull(e.Reference(column))
    if operator == "is not null":
        return e.NotNull(e.Reference(column))
    by_operator = {
        "=": e.EqualTo,
        "<": e.LessThan,
        "<=": e.LessThanOrEqual,
        ">": e.GreaterThan,
        ">=": e.GreaterThanOrEqual,
    }
    return by_operator[operator](e.Reference(column), native(kind, value))


def pyiceberg_answer(table, state, snapshot):
    import pyarrow.compute as pc

    rows = table.scan(snapshot_id=snapshot).to_arrow()
    answer = {"rows": rows.num_rows, "columns": {}}
    answer["headers"] = pc.sum(pc.list_value_length(rows.column("_headers"))).as_py() or 0
    for name, kind, summed in state["columns"]:
        column = rows.column(name).combine_chunks()
        ends = pc.min_max(column) if kind != "bytes" else None
        if ends is None:
            values = sorted(value for value in column.to_pylist() if value is not None)
            low, high = (values[0], values[-1]) if values else (None, None)
        else:
            low, high = ends["min"].as_py(), ends["max"].as_py()
        answer["columns"][name] = [
            len(column) - column.null_count,
            plain(kind, low),
            plain(kind, high),
            *([plain(kind, pc.sum(column).as_py())] if summed else []),
        ]
    # Only the columns a filter needs: what its bounds prune must not change the count.
    answer["filters"] = [
        table.scan(row_filter=pyiceberg_filter(*condition), selected_fields=("_offset",), snapshot_id=snapshot).to_arrow().num_rows
        for condition in state["filters"]
    ]
    return answer


def pyiceberg_by_path(request):
    from pyiceberg.table import StaticTable

    properties = pyiceberg_properties(request["s3"])
    return lambda state: pyiceberg_answer(StaticTable.from_metadata(metadata_file(state), properties), state, None)


def pyiceberg_by_catalog(request):
    from pyiceberg.catalog import load_catalog

    s3 = request["s3"]
    # Where the bucket is comes from the catalog; only the key is ours.
    key = {} if s3 is None else {"s3.access-key-id": s3["accessKey"], "s3.secret-access-key": s3["secretKey"]}
    catalog = load_catalog("lake", type="rest", uri=request["catalog"], **key)

    def ask(state):
        snapshot = None if state["snapshot"] is None else int(state["snapshot"])
        return pyiceberg_answer(catalog.load_table(("thermocline", state["topic"])), state, snapshot)

    return ask


# ── DuckDB's Iceberg extension ──


class DuckDb(Dialect):
    headers = "sum(len(_headers))"

    def bytes(self, value):
        return f"from_hex('{value}')"

    def time(self, value):
        return f"make_timestamptz({int(value) * 1000})"

    def shown(self, kind, expression):
        return f"epoch_ms({expression})" if kind == "time" else expression


def duckdb_answer(connection, source, state):
    def select(items, where):
        condition = "" if where is None else f" WHERE {where}"
        return connection.execute(f"SELECT {items} FROM {source}{condition}").fetchall()

    return by_sql(DuckDb(), state, select)


def duckdb_by_path(request):
    connection = duckdb_connection(request["s3"])

    return lambda state: duckdb_answer(connection, f"iceberg_scan('{metadata_file(state)}')", state)


def duckdb_by_catalog(request):
    connection = duckdb_connection(request["s3"])
    connection.execute(f"ATTACH '' AS lake (TYPE iceberg, ENDPOINT '{request['catalog']}', AUTHORIZATION_TYPE 'none')")

    def ask(state):
        at = "" if state["snapshot"] is None else f" AT (VERSION => {state['snapshot']})"
        return duckdb_answer(connection, f'lake.thermocline."{state["topic"]}"{at}', state)

    return ask


# ── polars ──


def polars_reader(request):
    import warnings

    import polars as pl

    warnings.simplefilter("ignore")
    s3 = request["s3"]

    def condition(column, kind, operator, value):
        found = pl.col(column)
        if operator == "is null":
            return found.is_null()
        if operator == "is not null":
            return found.is_not_null()
        literal = native(kind, value)
        if kind == "time":
            literal = pl.lit(literal).cast(pl.Datetime("us", "UTC"))
        elif kind == "long":
            literal = pl.lit(literal, dtype=pl.Int64)
        else:
            literal = pl.lit(literal)
        by_operator = {"=": found == literal, "<": found < literal, "<=": found <= literal, ">": found > literal, ">=": found >= literal}
        return by_operator[operator]

    def ask(state):
        table = pl.scan_iceberg(metadata_file(state), storage_options=pyiceberg_properties(s3) or None)
        items = [pl.len().alias("rows"), pl.col("_headers").list.len().sum().alias("headers")]
        for at, (name, kind, summed) in enumerate(state["columns"]):
            column = pl.col(name)
            low, high = column.min(), column.max()
            if kind == "time":
                low, high = low.dt.epoch("ms"), high.dt.epoch("ms")
            items += [column.count().alias(f"n{at}"), low.alias(f"l{at}"), high.alias(f"h{at}")]
            if summed:
                items.append(column.sum().alias(f"s{at}"))
        [row] = table.select(items).collect().to_dicts()
        answer = {"rows": row["rows"], "headers": row["headers"], "columns": {}}
        for at, (name, kind, summed) in enumerate(state["columns"]):
            total = [plain(kind, row[f"s{at}"] if row[f"n{at}"] else None)] if summed else []
            answer["columns"][name] = [row[f"n{at}"], plain(kind, row[f"l{at}"]), plain(kind, row[f"h{at}"]), *total]
        answer["filters"] = [
            table.filter(condition(*wanted)).select(pl.len()).collect().item() for wanted in state["filters"]
        ]
        return answer

    return ask


# ── DataFusion, with iceberg-rust ──


class DataFusion(Dialect):
    headers = "sum(coalesce(array_length(_headers), 0))"

    def time(self, value):
        return f"to_timestamp_micros({int(value) * 1000})"

    def shown(self, kind, expression):
        return f"CAST(CAST({expression} AS BIGINT) / 1000 AS BIGINT)" if kind == "time" else expression


def datafusion_reader(request):
    from datafusion import SessionContext
    from pyiceberg_core.datafusion import IcebergDataFusionTable

    s3 = request["s3"]

    def ask(state):
        context = SessionContext()
        location = metadata_file(state)
        properties = {} if s3 is None else {**pyiceberg_properties(s3), "s3.path-style-access": "true"}
        table = IcebergDataFusionTable(["thermocline", state["topic"]], location, properties)
        context.register_table("events", table)

        def select(items, where):
            condition = "" if where is None else f" WHERE {where}"
            rows = context.sql(f"SELECT {items} FROM events{condition}").to_arrow_table()
            return list(zip(*(column.to_pylist() for column in rows.columns)))

        return by_sql(DataFusion(), state, select)

    return ask


# ── chdb: ClickHouse in a process ──


class ClickHouse(Dialect):
    quote = "`"
    headers = "sum(length(_headers))"

    def name(self, name):
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

    def text(self, value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def bytes(self, value):
        return f"unhex('{value}')"

    def double(self, value):
        return f"toFloat64({value!r})"

    def literal(self, kind, value):
        return f"toInt64('{value}')" if kind == "long" else super().literal(kind, value)

    def time(self, value):
        return f"fromUnixTimestamp64Milli(toInt64('{value}'), 'UTC')"

    def shown(self, kind, expression):
        if kind == "time":
            return f"toUnixTimestamp64Milli({expression})"
        return f"hex({expression})" if kind == "bytes" else expression

    def total(self, kind, expression):
        # Sums of longs wrap here; wider ones do not.
        return f"sum(toInt128({expression}))" if kind == "long" else f"sum({expression})"


def chdb_reader(request):
    # ClickHouse reads local files below its working directory only.
    os.chdir("/")
    import chdb

    s3 = request["s3"]

    def ask(state):
        file = f"SETTINGS iceberg_metadata_file_path = 'metadata/{state['metadata']}'"
        if s3 is None:
            source = f"icebergLocal('{state['location'].removeprefix('file://')}', {file})"
        else:
            url = f"{s3['endpoint']}/{state['location'].removeprefix('s3://')}"
            source = f"icebergS3('{url}', '{s3['accessKey']}', '{s3['secretKey']}', {file})"

        def select(items, where):
            condition = "" if where is None else f" WHERE {where}"
            text = chdb.query(f"SELECT {items} FROM {source}{condition}", "JSONCompactEachRow").data()
            return [json.loads(line) for line in text.splitlines()]

        return by_sql(ClickHouse(), state, select)

    return ask


# ── Spark ──


class Spark(Dialect):
    quote = "`"
    headers = "sum(coalesce(size(_headers), 0))"

    def text(self, value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def time(self, value):
        return f"timestamp_millis({value})"

    def shown(self, kind, expression):
        return f"unix_millis({expression})" if kind == "time" else expression

    def total(self, kind, expression):
        return f"sum(CAST({expression} AS DECIMAL(38, 0)))" if kind == "long" else f"sum({expression})"


def spark_by_catalog(request):
    from pyspark.sql import SparkSession

    s3 = request["s3"]
    jars = ",".join(sorted(str(jar) for jar in pathlib.Path(sys.prefix, "jars").glob("*.jar")))
    builder = SparkSession.builder.master("local[1]")
    settings = {
        "spark.jars": jars,
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.type": "rest",
        "spark.sql.catalog.lake.uri": request["catalog"],
        "spark.sql.catalog.lake.cache-enabled": "false",
    }
    if s3 is not None:
        settings |= {
            "spark.sql.catalog.lake.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "spark.sql.catalog.lake.s3.access-key-id": s3["accessKey"],
            "spark.sql.catalog.lake.s3.secret-access-key": s3["secretKey"],
        }
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()

    def ask(state):
        version = "" if state["snapshot"] is None else f" VERSION AS OF {state['snapshot']}"

        source = f"lake.thermocline.`{state['topic']}`{version}"

        def select(items, where):
            condition = "" if where is None else f" WHERE {where}"
            return [tuple(row) for row in session.sql(f"SELECT {items} FROM {source}{condition}").collect()]

        def counts(conditions):
            answers = []
            for at in range(0, len(conditions), 25):
                group = conditions[at : at + 25]
                parts = (f"SELECT {i} AS i, count(*) AS n FROM {source} WHERE {where}" for i, where in enumerate(group))
                answers += [row[1] for row in sorted(map(tuple, session.sql(" UNION ALL ".join(parts)).collect()))]
            return answers

        return by_sql(Spark(), state, select, counts)

    return ask


READERS = {
    "pyiceberg": pyiceberg_by_path,
    "pyiceberg-catalog": pyiceberg_by_catalog,
    "duckdb": duckdb_by_path,
    "duckdb-catalog": duckdb_by_catalog,
    "polars": polars_reader,
    "datafusion": datafusion_reader,
    "chdb": chdb_reader,
    "spark-catalog": spark_by_catalog,
}


def attempt(ask, state):
    try:
        return ask(state)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:2000]}


request = json.load(sys.stdin)
ask = READERS[sys.argv[1]](request)
print(json.dumps({state["name"]: attempt(ask, state) for state in request["states"]}))
