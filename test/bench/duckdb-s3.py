"""The peer of the benches on S3: DuckDB with its httpfs extension, a new connection with nothing cached for each question.

One JSON line in, `{"sql", "views": {name: url}, "threads", "s3"}`; one out, `{"ms", "rows"}` or `{"error"}`.
"""

import datetime
import decimal
import importlib
import json
import pathlib
import sys
import time

import duckdb


def connection_to(s3, threads):
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": threads})
    module = importlib.import_module("duckdb_extension_httpfs")
    (found, *_) = sorted(pathlib.Path(module.__file__).parent.rglob("httpfs.duckdb_extension"))
    connection.execute(f"LOAD '{found}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID '{s3["accessKey"]}', SECRET '{s3["secretKey"]}', REGION 'us-east-1',
        ENDPOINT '{s3["endpoint"].removeprefix("http://")}', URL_STYLE 'path', USE_SSL false)"""
    )
    return connection


def plain(value):
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def answer(question):
    connection = connection_to(question["s3"], question["threads"])
    try:
        # The view stands before the clock runs: its footer is read again by the question.
        for name, url in question["views"].items():
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{url}')")
        started = time.perf_counter()
        rows = connection.execute(question["sql"]).fetchall()
        return {"ms": (time.perf_counter() - started) * 1000, "rows": [[plain(cell) for cell in row] for row in rows]}
    finally:
        connection.close()


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception as error:  # noqa: BLE001 - whatever it is, the bench shows it
        result = {"error": str(error)}
    print(json.dumps(result), flush=True)
