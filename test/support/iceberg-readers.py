"""Reads an Iceberg table with readers that are not ours and prints what each saw, as one line of JSON.

Usage: iceberg-readers.py TABLE_LOCATION METADATA_LOCATION
Needs: pyiceberg, pyarrow, duckdb==1.5.5 with the wheels duckdb-extension-avro, -httpfs and -iceberg of the same version.
"""

import importlib
import json
import pathlib
import sys


def pyiceberg_reader(metadata):
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(metadata)
    rows = table.scan().to_arrow()
    files = [task.file.file_path for task in table.scan(row_filter="_offset >= 1000000").plan_files()]
    return summary(rows.to_pylist(), [field.name for field in table.schema().fields]) | {
        "pruned_to": len(files),
        "snapshots": len(table.metadata.snapshots),
    }


def duckdb_reader(location):
    import duckdb

    connection = duckdb.connect(
        config={
            "allow_unsigned_extensions": "true",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    for extension in ("avro", "httpfs", "iceberg"):
        module = importlib.import_module(f"duckdb_extension_{extension}")
        found = sorted(pathlib.Path(module.__file__).parent.rglob(f"{extension}.duckdb_extension"))
        connection.execute(f"LOAD '{found[0]}'")
    connection.execute("SET TimeZone = 'UTC'")
    result = connection.execute("SELECT * FROM iceberg_scan($1)", [location])
    table = result.fetch_arrow_table()
    return summary(table.to_pylist(), table.column_names)


def summary(rows, names):
    rows = sorted(rows, key=lambda row: (row["_partition_id"], row["_offset"]))
    return {"columns": names, "rows": [{name: plain(value) for name, value in row.items()} for row in rows]}


def plain(value):
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    return value


def attempt(reader, *arguments):
    try:
        return reader(*arguments)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


location, metadata = sys.argv[1:3]
print(json.dumps({"pyiceberg": attempt(pyiceberg_reader, metadata), "duckdb": attempt(duckdb_reader, location)}))
