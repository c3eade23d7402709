"""Reads an Iceberg table with readers that are not ours and prints what each saw, as one line of JSON.

Usage: iceberg-readers.py REQUEST, where REQUEST is JSON:
  location    where the table is (DuckDB finds its metadata by version-hint.text)
  metadata    the table's metadata file (pyiceberg)
  s3          {endpoint, accessKey, secretKey, region} where the table is on S3
  aggregates  [[column, function], ...], computed for each partition by the reader's own engine; function is sum or count
Needs: pyiceberg, pyarrow, duckdb==1.5.5 with the wheels duckdb-extension-avro, -httpfs and -iceberg of the same version.
"""

import json
import sys

from duckdb_iceberg import duckdb_connection


def pyiceberg_reader(location, metadata, s3, aggregates):
    from pyiceberg.table import StaticTable

    properties = {}
    if s3 is not None:
        properties = {
            "s3.endpoint": s3["endpoint"],
            "s3.access-key-id": s3["accessKey"],
            "s3.secret-access-key": s3["secretKey"],
            "s3.region": s3["region"],
        }
    table = StaticTable.from_metadata(metadata, properties)
    rows = table.scan().to_arrow()
    wanted = [("_offset", "count"), ("_offset", "min"), ("_offset", "max"), *map(tuple, aggregates)]
    grouped = rows.group_by("_partition_id").aggregate(wanted).to_pylist()
    files = [task.file.file_path for task in table.scan(row_filter="_offset >= 1000000").plan_files()]
    return {
        "columns": [field.name for field in table.schema().fields],
        "rows": ordered(rows.to_pylist()),
        "partitions": [
            [row["_partition_id"], *(plain(row[f"{column}_{function}"]) for column, function in wanted)]
            for row in sorted(grouped, key=lambda row: row["_partition_id"])
        ],
        "pruned_to": len(files),
        "snapshots": len(table.metadata.snapshots),
        "summaries": [
            {"operation": snapshot.summary.operation.value, **snapshot.summary.additional_properties}
            for snapshot in table.metadata.snapshots
        ],
        "counts": [table.scan(snapshot_id=snapshot.snapshot_id).count() for snapshot in table.metadata.snapshots],
    }


def duckdb_reader(location, metadata, s3, aggregates):
    connection = duckdb_connection(s3)
    table = connection.execute("SELECT * FROM iceberg_scan($1)", [location]).fetch_arrow_table()
    items = "".join(f', {function}("{column}")' for column, function in aggregates)
    grouped = connection.execute(
        f"""SELECT _partition_id, count(_offset), min(_offset), max(_offset) {items}
        FROM iceberg_scan($1) GROUP BY _partition_id ORDER BY _partition_id""",
        [location],
    ).fetchall()
    return {
        "columns": table.column_names,
        "rows": ordered(table.to_pylist()),
        "partitions": [[plain(value) for value in row] for row in grouped],
    }


def ordered(rows):
    rows = sorted(rows, key=lambda row: (row["_partition_id"], row["_offset"]))
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def plain(value):
    """As JSON that JavaScript reads without loss: bytes in hex, times in ms, numbers beyond 2^53 as text."""
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    if isinstance(value, int) and abs(value) > 2**53 - 1:
        return str(value)
    return value


def attempt(reader, request):
    try:
        return reader(request["location"], request["metadata"], request.get("s3"), request.get("aggregates", []))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


request = json.loads(sys.argv[1])
print(json.dumps({"pyiceberg": attempt(pyiceberg_reader, request), "duckdb": attempt(duckdb_reader, request)}))
