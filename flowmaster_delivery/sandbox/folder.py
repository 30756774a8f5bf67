"""The sandbox's data folder: whose it is, one sandbox at a time, and a fresh start in it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MARKER = ".flowmaster-sandbox"
ADDRESSES = "sandbox.json"
OURS = ("repositories", "tls", "kubeconfig", "git-credentials", ADDRESSES)
"""What a start removes: the sandbox begins anew each time."""


class FolderRefused(Exception):
    """The folder cannot be the sandbox's; the message says why, and what to do."""


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Make the folder ours while it lasts, empty of what an earlier sandbox left.

    Raise FolderRefused where it holds anything else, or another sandbox runs in it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker = folder / MARKER
    if not marker.exists() and any(folder.iterdir()):
        raise FolderRefused(
            f"{folder} holds files that are not the sandbox's; name an empty or a new folder"
        )
    with marker.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderRefused(
                f"another sandbox runs in {folder}; stop it or name another folder"
            ) from error
        for name in OURS:
            _remove(folder / name)
        yield folder
        (folder / ADDRESSES).unlink(missing_ok=True)


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, so that nobody ever sees half of it."""
    half = path.with_name(f".{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    half.replace(path)


def write_addresses(folder: Path, addresses: Mapping[str, object]) -> None:
    """Tell clients that all of it answers, and where."""
    write_private(folder / ADDRESSES, json.dumps(addresses, indent=2) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
