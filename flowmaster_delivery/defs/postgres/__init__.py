"""Dagster's storage on PostgreSQL: connections kept, outages waited out, the password from a file.

In dagster.yaml, in place of `event_log_storage` (every text may be `{env: NAME}`):

    storage:
      custom:
        module: flowmaster_delivery.defs.postgres
        class: PostgresStorage
        config:
          hostname: {env: FLOWMASTER_DATABASE_HOST}
          port: 5432
          db_name: flowmaster
          username: flowmaster
          password_file: /etc/flowmaster/secrets/database-password
          params: {sslmode: verify-full, sslrootcert: /etc/flowmaster/database-ca.crt}
          connections: 4
          patience_seconds: 90
          web_patience_seconds: 10

Only `hostname`, `db_name` and `username` must be said. `params` are libpq's; none may be a secret.
One process has at most `connections` open, whatever the number of its threads and instances.
`instance.event_log_storage.engine` leads whoever keeps a table of their own to the same database.

What belongs here: how to reach the database (target), staying connected (connecting), what is done
again when a connection is lost (sessions), and Dagster's three storages over it (storages).
"""

from flowmaster_delivery.defs.postgres.storages import PostgresStorage

__all__ = ["PostgresStorage"]
