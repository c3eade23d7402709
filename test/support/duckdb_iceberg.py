"""DuckDB with its Iceberg extension, for the readers beside: installed with Python's packages, so nothing is downloaded."""

import importlib
import pathlib


def duckdb_connection(s3):
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
    if s3 is not None:
        endpoint = s3["endpoint"].removeprefix("http://")
        connection.execute(
            f"""CREATE SECRET (TYPE s3, KEY_ID '{s3["accessKey"]}', SECRET '{s3["secretKey"]}', REGION '{s3["region"]}',
            ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false)"""
        )
    return connection
