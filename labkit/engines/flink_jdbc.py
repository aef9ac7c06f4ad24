"""PostgreSQL's tables as Flink SQL writes to them."""

from labkit.settings import Endpoints

WITH = """
WITH (
    'connector' = 'jdbc',
    'url' = 'jdbc:postgresql://{host}:{port}/{database}',
    'table-name' = '{table}',
    'username' = '{user}',
    'password' = '{password}',
    -- Rows wait for company no longer than this.
    'sink.buffer-flush.interval' = '20 ms',
    'sink.buffer-flush.max-rows' = '500'
)
"""


def written_table(columns: str, table: str, endpoints: Endpoints) -> str:
    """The statement that tells Flink of a table. It writes a row under its primary key: again is no second one.

    Args:
        columns: ``CREATE TABLE name (…)``, in Flink SQL.
        table: PostgreSQL's name of it.
        endpoints: Where PostgreSQL answers.
    """
    return columns + WITH.format(
        host=endpoints.postgres_host,
        port=endpoints.postgres_port,
        database=endpoints.database,
        table=table,
        user=endpoints.admin_user,
        password=endpoints.admin_password,
    )
