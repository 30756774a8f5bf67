"""What Dagster stores of a run and of a tick shows no secret, whatever breaks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    Failure,
    MaterializeResult,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    asset,
    build_sensor_context,
    materialize,
    sensor,
)
from dagster._serdes import serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from sqlalchemy import text

from flowmaster_delivery.adapters.dagster_codec import decode, sealed
from flowmaster_delivery.defs.postgres.storages import EventLog
from flowmaster_delivery.defs.postgres.target import Target
from flowmaster_delivery.defs.unrevealing import LookFailed, unrevealing, unrevealing_look
from flowmaster_delivery.redaction import HIDDEN, hidden, learn
from tests.builders import an_approval
from tests.defs.conftest import SEAL_KEY

SECRET = 'planted"0123456789'


@pytest.fixture(autouse=True)
def known() -> None:
    learn("gitlab_token", SECRET)


@asset(check_specs=[AssetCheckSpec("gate", asset="talkative")])
def talkative(context: AssetExecutionContext) -> Iterator[Any]:
    context.log.warning("the token is %s", SECRET)
    facts = {"said": SECRET, "all": {"in": [f"depth {SECRET}"]}}
    yield AssetCheckResult(passed=False, check_name="gate", metadata=facts, description=SECRET)
    yield MaterializeResult(metadata=facts)


@asset
def breaking() -> None:
    raise RuntimeError(f"unforeseen: {SECRET!r}") from KeyError(SECRET)


@asset
def failing() -> None:
    raise Failure(f"refused: {SECRET}", metadata={"said": SECRET}, allow_retries=False)


@pytest.mark.parametrize("one", [talkative, breaking, failing])
def test_nothing_of_a_run_shows_it(
    one: Any, instance: DagsterInstance, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = materialize([one], instance=instance, raise_on_error=False)
    stored = [serialize_value(e) for e in instance.all_logs(ran.run_id)]
    assert any(HIDDEN in text or "\\u2022" in text for text in stored)
    assert not [text for text in stored if "planted" in text]
    assert "planted" not in "".join(capfd.readouterr())
    files = [path for path in (tmp_path / "instance").rglob("*") if path.is_file()]
    assert not [path for path in files if b"planted" in path.read_bytes()]


@pytest.mark.parametrize("one", [talkative, breaking, failing])
def test_nothing_of_a_run_on_postgresql_shows_it(
    one: Any, on_postgres: DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    materialize([one], instance=on_postgres, raise_on_error=False)
    log = on_postgres.event_log_storage
    assert isinstance(log, EventLog)
    tables = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions", "runs")
    selects = (f"SELECT {name}::text FROM {name}" for name in tables)  # noqa: S608
    everything = " UNION ALL ".join(selects)
    with log.engine.connect() as connection:
        rows = [str(row) for (row,) in connection.execute(text(everything))]
    assert any("\\u2022" in row for row in rows)
    assert not [row for row in rows if "planted" in row]
    assert "planted" not in "".join(capfd.readouterr())


def test_the_databases_password_is_a_secret_once_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("planted-password\n")
    target = Target("db", 5432, "flowmaster", "flowmaster", tmp_path / "password")
    assert target.secret == {"password": "planted-password"}
    assert hidden("planted-password") == HIDDEN


def test_an_event_that_shows_nothing_is_stored_as_it_is(instance: DagsterInstance) -> None:
    instance.report_runless_asset_event(AssetMaterialization("a", metadata={"n": 1}))
    (record,) = instance.fetch_materializations(AssetKey("a"), limit=1).records
    assert unrevealing(record.event_log_entry) is record.event_log_entry


def test_a_record_keeps_its_seal_though_a_secret_stands_in_it() -> None:
    text, seal = sealed(SEAL_KEY, an_approval(f"it said {SECRET}", by_id=7))
    assert "planted" not in text
    assert decode(SEAL_KEY, text, seal) == an_approval(f"it said {HIDDEN}", by_id=7)


def ticked(look: Any) -> Any:
    made: SensorDefinition = sensor(name="a", job_name="j")(unrevealing_look(look))
    return made.evaluate_tick(build_sensor_context())


def test_a_sensor_says_it_neither_in_words_nor_in_its_error() -> None:
    def skipping(context: SensorEvaluationContext) -> SkipReason:
        return SkipReason(f"could not look: {SECRET}")

    def telling(context: SensorEvaluationContext) -> SensorResult:
        return SensorResult(skip_reason=SkipReason(SECRET), cursor="7")

    def asking(context: SensorEvaluationContext) -> SensorResult:
        return SensorResult(run_requests=[RunRequest("k")], cursor="8")

    assert ticked(skipping).skip_message == f"could not look: {HIDDEN}"
    assert (ticked(telling).skip_message, ticked(telling).cursor) == (HIDDEN, "7")
    assert [r.run_key for r in ticked(asking).run_requests] == ["k"]


def test_what_a_sensor_breaks_with_is_told_without_it() -> None:
    def look(context: SensorEvaluationContext) -> SkipReason:
        raise RuntimeError(f"no: {SECRET}") from KeyError(SECRET)

    with pytest.raises(Exception) as caught:  # noqa: PT011  # Dagster's own, around ours
        ticked(look)
    stored = serialize_value(serializable_error_info_from_exc_info(caught._excinfo))  # type: ignore[arg-type]
    assert "planted" not in stored
    assert LookFailed.__name__ in stored
    assert "RuntimeError: no:" in stored


def test_what_a_sensor_breaks_with_innocently_stays_what_it_is() -> None:
    def look(context: SensorEvaluationContext) -> SkipReason:
        raise ZeroDivisionError("innocent")

    with pytest.raises(ZeroDivisionError, match="innocent"):
        ticked(look)
