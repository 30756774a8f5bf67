"""Which database, as whom, and how long to wait for it: the configuration in dagster.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import BoolSource, Field, IntSource, StringSource
from sqlalchemy import URL

from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.redaction import learn

DRIVER = "postgresql+psycopg2"
"""Named, since SQLAlchemy 2.1 takes a bare postgresql:// for psycopg 3."""
SECRETS = ("password", "sslpassword")
"""What no parameter may carry: parameters are shown wherever an instance is described."""
DEFAULTS: Mapping[str, str] = {
    "application_name": "flowmaster-delivery",
    # A connection whose packets are dropped is given up by the kernel, not waited for for minutes.
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    # After a failover: not the standby that still answers at the old address.
    "target_session_attrs": "read-write",
}

CONFIG: dict[str, Field] = {
    "hostname": Field(StringSource),
    "port": Field(IntSource, is_required=False, default_value=5432),
    "db_name": Field(StringSource),
    "username": Field(StringSource),
    "password_file": Field(StringSource, is_required=False),
    "params": Field(dict, is_required=False, default_value={}),
    "connections": Field(IntSource, is_required=False, default_value=4),
    "patience_seconds": Field(IntSource, is_required=False, default_value=90),
    "web_patience_seconds": Field(IntSource, is_required=False, default_value=10),
    "should_autocreate_tables": Field(BoolSource, is_required=False, default_value=True),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A database and how this process uses it. It holds no secret: the password is in a file."""

    hostname: str
    port: int
    db_name: str
    username: str
    password_file: Path | None = None
    params: tuple[tuple[str, str], ...] = ()
    connections: int = 4
    """Most that a process has open at a time, and as many are kept."""
    patience: float = 90.0
    """Seconds that a database may be away before those who ask for it get an error."""
    web_patience: float = 10.0
    """The same in the webserver, where people wait for a page."""

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> Target:
        """Raise Permanent where a parameter would carry a secret."""
        params = {name: str(value) for name, value in config.get("params", {}).items()}
        for name in sorted(set(params) & set(SECRETS)):
            raise Permanent(
                f"the storage's params name {name!r}, and parameters are no place for a secret; "
                "write the password into a file and name that in password_file"
            )
        file = config.get("password_file")
        return cls(
            hostname=config["hostname"],
            port=config.get("port", 5432),
            db_name=config["db_name"],
            username=config["username"],
            password_file=Path(file) if file else None,
            params=tuple(sorted(params.items())),
            connections=max(1, config.get("connections", 4)),
            patience=float(config.get("patience_seconds", 90)),
            web_patience=float(config.get("web_patience_seconds", 10)),
        )

    @property
    def url(self) -> URL:
        return URL.create(
            DRIVER,
            username=self.username,
            host=self.hostname,
            port=self.port,
            database=self.db_name,
            query={**DEFAULTS, **dict(self.params)},
        )

    @property
    def secret(self) -> dict[str, str]:
        """What a connection is made with beside the URL; read now, raise OSError where it fails."""
        if self.password_file is None:
            return {}
        password = self.password_file.read_text(encoding="utf-8").strip()
        learn("database password", password)
        return {"password": password}

    def __str__(self) -> str:
        return f"PostgreSQL at {self.hostname}:{self.port}/{self.db_name}"
