"""The audit trail of a platform that runs: server, coordinator and runs write one chain."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.stories.test_up import flowmaster, launched

SERVICE = "api-gateway"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with launched(tmp_path / "home", tmp_path / "up.log"):
        yield tmp_path / "home"


def trail(home: Path, *words: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(
        done(home, "audit", *words, "--limit", "0", "--json").stdout
    )
    return found


def done(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    ended = flowmaster(home, *words)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended


@pytest.mark.timeout(300)
def test_whatever_people_do_is_on_the_trail_and_whoever_tampers_with_it_is_found_out(
    home: Path,
) -> None:
    done(home, "adopt", "dev", "--reason", "seen it run")
    done(home, "hold", "place", "production", SERVICE, "--reason", "5xx")
    (hold,) = json.loads(done(home, "hold", "--json").stdout)
    done(home, "hold", "release", hold["id"], "--reason", "mended")
    assert flowmaster(home, "promote", "production", "v9.9.9").returncode == 2
    rollback = ("rollback", "dev", "--service", SERVICE, "--reason", "it is slow")
    assert flowmaster(home, *rollback).returncode == 1  # there is nothing to go back to

    found = trail(home)
    told = [(row["action"], row["result"], row["channel"]) for row in reversed(found)]
    adopted = [one for one in told if one[0] == "adoption"]
    assert len(adopted) == 29
    assert [one for one in told if one not in adopted] == [
        ("schema_settled", "accepted", "api"),  # of the migrations that were adopted
        ("hold_placed", "accepted", "api"),
        ("hold_released", "accepted", "api"),
        ("promotion_asked", "refused", "api"),
        ("rollback_asked", "accepted", "api"),
        ("rollback_refused", "failed", "run"),
    ]
    assert {(row["who"], row["environment"]) for row in found if row["action"] == "adoption"} == {
        ("local", "dev")
    }
    asked, refused = (trail(home, "--action", f"rollback_{end}")[0] for end in ("asked", "refused"))
    assert (asked["address"], asked["reason"], asked["via"]) == (
        "127.0.0.1",
        "it is slow",
        "sandbox",
    )
    assert "no verified earlier image" in refused["reason"]
    assert refused["run_id"]

    head = done(home, "audit", "head").stdout.strip()
    whole = done(home, "audit", "verify", "--head", head)
    assert whole.stdout.startswith(f"the audit trail is whole: {len(found)} entries")
    with closing(sqlite3.connect(_database(home))) as tampering:
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            tampering.execute("DELETE FROM flowmaster_audit WHERE sequence = 30")
        tampering.execute("DROP TRIGGER flowmaster_audit_no_delete")
        tampering.execute("DELETE FROM flowmaster_audit WHERE sequence = 30")
        tampering.commit()
    cut = flowmaster(home, "audit", "verify", "--head", head)
    assert cut.returncode == 1
    assert "missing: entry 30 is missing before entry 31" in cut.stdout


def _database(home: Path) -> Path:
    """The one that has the table."""
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as looked_at:
            names = {row[0] for row in looked_at.execute("SELECT name FROM sqlite_master")}
        if "flowmaster_audit" in names:
            return path
    raise AssertionError(f"no audit trail in {home}")
