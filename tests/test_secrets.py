"""Secrets of smoke tests: files in a folder, by plain names, in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.redaction import HIDDEN, hidden
from flowmaster_delivery.settings import Settings, caller_token, smoke_secret, variables_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    (tmp_path / "login").write_text("for all\n")
    (tmp_path / "staging" / "login").write_text("for staging\n")
    (tmp_path.parent / "outside").write_text("not for us")
    return tmp_path


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings.from_environ({"FLOWMASTER_SECRETS_DIR": str(folder)})


def test_a_secret_is_read_when_it_is_used_and_an_environment_may_have_its_own(
    settings: Settings, folder: Path
) -> None:
    assert smoke_secret(settings, "dev", "login") == "for all"
    assert smoke_secret(settings, "staging", "login") == "for staging"
    (folder / "login").write_text("renewed")
    assert smoke_secret(settings, "dev", "login") == "renewed"


@pytest.mark.parametrize(
    "name", ["../outside", "staging/login", "..", ".", "", "a\\b", "a b", "\0"]
)
def test_a_name_that_leads_elsewhere_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(Permanent, match="is no name of a secret"):
        smoke_secret(settings, "staging", name)


def test_what_is_not_there_is_named_with_the_variable_to_set(settings: Settings) -> None:
    with pytest.raises(Permanent, match="no secret 'none' for dev in FLOWMASTER_SECRETS_DIR"):
        smoke_secret(settings, "dev", "none")
    with pytest.raises(Permanent, match="set FLOWMASTER_SECRETS_DIR"):
        smoke_secret(Settings.from_environ({}), "dev", "login")


def test_what_was_read_is_hidden_from_then_on(settings: Settings) -> None:
    assert hidden("for staging") == "for staging"
    smoke_secret(settings, "staging", "login")
    assert hidden("for staging") == HIDDEN


def test_a_configured_secret_is_hidden_once_it_is_read_and_never_shown_where_it_is_no_text(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text("hunter2hunter2\n")
    secret = Settings.from_environ({"FLOWMASTER_SEAL_KEY_FILE": str(key)}).seal_key
    assert hidden(secret.read()) == HIDDEN
    key.write_bytes(b"hunter3\xff")
    with pytest.raises(Permanent, match="not text in UTF-8; check FLOWMASTER_SEAL_KEY") as caught:
        secret.read()
    assert "hunter3" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_token_of_whoever_runs_a_command_is_hidden_in_what_the_command_says() -> None:
    token = caller_token({"FLOWMASTER_TOKEN": "token-of-dana"})
    assert hidden(f"GitLab: {token}") == f"GitLab: {HIDDEN}"


def test_what_is_no_text_is_not_shown(settings: Settings, folder: Path) -> None:
    (folder / "login").write_bytes(b"hunter2\xff")
    with pytest.raises(Permanent) as caught:
        smoke_secret(settings, "dev", "login")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_another_process_is_told_the_folder(settings: Settings, folder: Path) -> None:
    assert variables_of(settings)["FLOWMASTER_SECRETS_DIR"] == str(folder)
