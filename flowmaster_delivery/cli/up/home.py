"""The home folder of an installation on this machine: who runs in it, its files, its secrets."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowmaster_delivery.cli.session import ADDRESSES
from flowmaster_delivery.model.errors import Refused

LOCK = ".up.lock"
MARKER = ".on-sandbox"
"""Stands in a home whose far end is a sandbox: it begins anew with each start, as that does."""
SANDBOX = "sandbox"
OURS = (
    *(ADDRESSES, "dagster.yaml", "demo", "event_log.db", "event_log.db-shm", "event_log.db-wal"),
    *("history", "log", ".logs_queue", "overlay.yaml", "schedules", "secrets", "storage"),
    *(".nux", ".telemetry", "workspace.yaml"),
)
"""What a fresh start removes; the sandbox's own folder is the sandbox's business."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that is ours while the platform is up."""

    folder: Path

    @property
    def logs(self) -> Path:
        """Not `logs`: a Dagster instance moves a folder of that name out of its way."""
        return self.folder / "log"

    @property
    def sandbox(self) -> Path:
        return self.folder / SANDBOX

    def secret(self, name: str, value: str | None = None) -> Path:
        """The file of a secret: written when a value is given, made up once where there is none."""
        path = self.folder / "secrets" / name
        if value is not None or not path.exists():
            write_private(path, value if value is not None else secrets.token_urlsafe(32))
        return path

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        write_private(path, content)
        return path

    def tell_addresses(self, addresses: Mapping[str, str | None]) -> None:
        """Where the commands find the server."""
        self.write(ADDRESSES, json.dumps(addresses, indent=2) + "\n")

    def forget_addresses(self) -> None:
        (self.folder / ADDRESSES).unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path, *, fresh: bool) -> Iterator[Home]:
    """Make the folder ours while it lasts; `fresh` empties it of what an earlier start left.

    Raise Refused where it holds what is not ours, or the platform is up in it already.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(
                f"the platform is up in {folder} already; stop it, or name another --home"
            ) from error
        _check_kind(folder, fresh=fresh)
        if fresh:
            _empty(folder)
        home = Home(folder)
        home.logs.mkdir(exist_ok=True)
        try:
            yield home
        finally:
            home.forget_addresses()


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, never half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    half.replace(path)


def _check_kind(folder: Path, *, fresh: bool) -> None:
    """A record of real deployments is never emptied, and never mixed with one of a sandbox."""
    on_sandbox = (folder / MARKER).exists()
    if fresh and not on_sandbox and any((folder / name).exists() for name in OURS):
        raise Refused(
            f"{folder} holds an installation that is not the sandbox's; name another --home"
        )
    if not fresh and on_sandbox:
        raise Refused(f"{folder} belongs to a sandbox; name another --home for real servers")


def _empty(folder: Path) -> None:
    (folder / MARKER).touch()
    for path in (folder / name for name in OURS):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
