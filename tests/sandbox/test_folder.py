"""The sandbox's data folder: only its own, one sandbox at a time, fresh at each start."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from flowmaster_delivery.sandbox.folder import FolderRefused, claimed, write_addresses


def test_a_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    with claimed(tmp_path / "new" / "sandbox") as folder:
        assert folder.is_dir()


def test_what_an_earlier_sandbox_left_is_removed(tmp_path: Path) -> None:
    with claimed(tmp_path):
        (tmp_path / "repositories" / "1.git").mkdir(parents=True)
        (tmp_path / "kubeconfig").write_text("old")
    with claimed(tmp_path):
        assert not (tmp_path / "repositories").exists()
        assert not (tmp_path / "kubeconfig").exists()


def test_what_is_not_the_sandboxs_stays(tmp_path: Path) -> None:
    with claimed(tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
    with claimed(tmp_path):
        assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "repositories").mkdir()
    with pytest.raises(FolderRefused, match="not the sandbox's"), claimed(tmp_path):
        pass
    assert (tmp_path / "repositories").is_dir()


def test_a_second_sandbox_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        claimed(tmp_path),
        pytest.raises(FolderRefused, match="another sandbox"),
        claimed(tmp_path),
    ):
        pass


def test_a_link_where_a_folder_was_is_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    with claimed(tmp_path / "data"):
        pass
    (tmp_path / "data" / "repositories").symlink_to(precious)
    with claimed(tmp_path / "data"):
        assert (precious / "file").exists()


def test_the_addresses_are_for_their_owner_alone_and_end_with_the_sandbox(tmp_path: Path) -> None:
    with claimed(tmp_path):
        write_addresses(tmp_path, {"gitlab_token": "t"})
        file = tmp_path / "sandbox.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text()) == {"gitlab_token": "t"}
    assert not file.exists()
