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

MARKER = ".flowmaster-home"
SANDBOX = "sandbox"
STAYS = (MARKER,)
"""What a fresh start leaves in a home whose far end is a sandbox: the sandbox begins anew too."""


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
    marker = folder / MARKER
    if fresh and not marker.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} holds files that are not ours; name a new folder with --home")
    with marker.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(
                f"the platform is up in {folder} already; stop it, or name another --home"
            ) from error
        if fresh:
            _empty(folder)
        home = Home(folder)
        home.logs.mkdir(exist_ok=True)
        yield home
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


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name in STAYS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
