"""What a test of the image needs: its name, containers of it as a cluster runs them, its files."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

SWITCH = "FLOWMASTER_TEST_IMAGE"
HOME = "/opt/dagster/home"
SCRATCH = "/tmp"  # noqa: S108  # in a container
LOCKED_DOWN = (
    *("--read-only", "--tmpfs", SCRATCH, "--tmpfs", f"{HOME}:uid=10001,gid=10001,mode=0750"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"),
)
"""As the chart and the compose file run it."""
OURS = ("opt/", "etc/", "root/", "home/", "build/", "app/", "srv/", "tmp/")
"""Where what is no part of the operating system would stand."""
READABLE = 200_000
"""Bytes up to which a file's text is looked at: a key or a setting is not longer."""


def image_under_test() -> str:
    """The name of the image that `make image` built, in this machine's Docker Engine."""
    named = os.environ.get(SWITCH, "")
    if named and shutil.which("docker"):
        return named
    missing = "no docker on this machine" if named else f"{SWITCH} names no image"
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    raise (pytest.fail if required else pytest.skip).Exception(missing)


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=50)


def run(image: str, *command: str) -> str:
    """What the command printed; it must succeed."""
    done = docker("run", "--rm", *LOCKED_DOWN, image, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def inspected(image: str) -> Mapping[str, Any]:
    done = docker("image", "inspect", image)
    assert done.returncode == 0, done.stderr
    config: Mapping[str, Any] = json.loads(done.stdout)[0]["Config"]
    return config


@contextmanager
def created(image: str, *command: str) -> Iterator[str]:
    """A container that has not started, by its id; gone afterwards."""
    done = docker("create", "--network", "none", image, *command)
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    try:
        yield name
    finally:
        docker("rm", "--force", name)


@dataclass(frozen=True, slots=True)
class Files:
    """Everything in the image: paths without their leading slash."""

    modes: Mapping[str, int]
    """Of regular files."""
    texts: Mapping[str, str]
    """Of small files that are not the operating system's."""

    @classmethod
    def of(cls, image: str) -> Files:
        modes, texts = {}, {}
        with (
            created(image) as name,
            subprocess.Popen(["docker", "export", name], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as archive,
        ):
            for entry in archive:
                if not entry.isreg():
                    continue
                modes[entry.name] = stat.S_IMODE(entry.mode)
                if entry.name.startswith(OURS) and entry.size < READABLE:
                    content = archive.extractfile(entry)
                    texts[entry.name] = content.read().decode("latin-1") if content else ""
        return cls(modes, texts)

    def saying(self, pattern: str) -> list[str]:
        wanted = re.compile(pattern, re.MULTILINE)
        return sorted(path for path, text in self.texts.items() if wanted.search(text))
