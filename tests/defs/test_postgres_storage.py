"""Dagster's storage on a real PostgreSQL: what it keeps, what it shows, how much it holds open."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    asset,
    job,
)
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._serdes import serialize_value
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from flowmaster_delivery.defs.event_log import EventLog
from flowmaster_delivery.defs.postgres import connecting
from flowmaster_delivery.defs.postgres.storages import EventLog as PostgresEventLog
from flowmaster_delivery.defs.postgres.target import Target
from flowmaster_delivery.model.errors import Permanent
from tests.postgres import PASSWORD, ROOT, Postgres

OPEN = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'"


@job
def a_job() -> None:
    """A job without steps."""


@asset(check_specs=[AssetCheckSpec("c", asset="a")], code_version="1")
def a():  # type: ignore[no-untyped-def]
    check = AssetCheckResult(passed=False, check_name="c")
    return MaterializeResult(metadata={"n": 1}, tags={"t": "1"}, check_results=[check])


def log_of(instance: DagsterInstance) -> PostgresEventLog:
    assert isinstance(instance.event_log_storage, PostgresEventLog)
    return instance.event_log_storage


def database_of(instance: DagsterInstance) -> str:
    name = log_of(instance).engine.url.database
    assert name is not None
    return name


def write(instance: DagsterInstance, count: int = 1, name: str = "a") -> None:
    for number in range(count):
        instance.report_runless_asset_event(AssetMaterialization(name, partition=str(number)))


def written(instance: DagsterInstance, name: str = "a") -> int:
    return len(instance.fetch_materializations(AssetKey(name), limit=1000).records)


def test_a_run_leaves_in_the_tables_what_dagsters_own_storage_leaves(
    postgres: Postgres, tmp_path: Path
) -> None:
    """A release of dagster-postgres that stores anything otherwise shows here."""
    theirs, ours = postgres.database(), postgres.database()
    config = {**postgres.config(theirs), "password": PASSWORD, "scheme": "postgresql+psycopg2"}
    del config["password_file"]
    plain = {"storage": {"postgres": {"postgres_db": config}}, "telemetry": {"enabled": False}}
    for database, overrides in ((theirs, plain), (ours, postgres.overrides(ours))):
        (tmp_path / database).mkdir()
        with DagsterInstance.local_temp(str(tmp_path / database), overrides) as instance:
            ran = Definitions([a]).resolve_implicit_global_asset_job_def()
            assert ran.execute_in_process(instance=instance).success
            write(instance)
            instance.add_run_tags(instance.get_runs()[0].run_id, {"more": "tags"})
    expected = _contents(postgres, theirs)
    assert _contents(postgres, ours) == expected
    assert len(expected["event_logs"]) > 10
    assert len(expected["asset_event_tags"]) == 1
    assert len(expected["asset_check_executions"]) == 1


def _contents(postgres: Postgres, database: str) -> dict[str, list[str]]:
    """Every table, without what is of its own in each database: ids and times, bodies with them."""
    own = "'%id', '%time%', '%body', '%event', 'last_materialization', 'migration_completed'"
    columns = postgres.execute(
        database,
        "SELECT table_name, string_agg(format('%I', column_name), ', ' ORDER BY column_name) "  # noqa: S608
        "FROM information_schema.columns WHERE table_schema = 'public' "
        f"AND NOT column_name LIKE ANY (ARRAY[{own}]) GROUP BY 1",
    )
    return {
        table: sorted(
            str(row)
            for row in postgres.execute(database, f"SELECT {names} FROM {table}")  # noqa: S608
        )
        for table, names in columns
    }


def test_the_driver_is_named_whatever_sqlalchemy_takes_for_the_default(
    on_postgres: DagsterInstance,
) -> None:
    assert log_of(on_postgres).engine.dialect.driver == "psycopg2"


def test_every_text_may_come_from_the_environment(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = postgres.config(postgres.database_with_tables())
    for name, value in config.items():
        monkeypatch.setenv(name.upper(), str(value))
    named = {name: {"env": name.upper()} for name in config}
    overrides = postgres.overrides("", **named)
    with DagsterInstance.local_temp(str(tmp_path), overrides) as instance:
        write(instance)
        assert written(instance) == 1
        assert str(postgres.port) not in serialize_value(instance.get_ref())


def test_the_password_is_nowhere_but_in_its_file(
    on_postgres: DagsterInstance, postgres: Postgres
) -> None:
    write(on_postgres)
    storage, engine = on_postgres.event_log_storage, log_of(on_postgres).engine
    with engine.connect() as connection:
        dsn = connection.connection.dbapi_connection.dsn  # type: ignore[union-attr]
    shown = [
        serialize_value(on_postgres.get_ref()),
        on_postgres.info_str(),
        engine.url.render_as_string(hide_password=False),
        repr(engine),
        dsn,
        *(repr(vars(one)) for one in (storage, on_postgres.run_storage, on_postgres)),
        *(repr(vars(one)) for one in (engine, engine.pool, engine.dialect)),
        *(Path(f"/proc/self/{name}").read_text() for name in ("cmdline", "environ")),
    ]
    for words in shown:
        assert PASSWORD not in words
        assert PASSWORD.split()[-1] not in words


def test_a_secret_that_this_process_has_read_is_hidden_in_what_is_stored(
    on_postgres: DagsterInstance, postgres: Postgres
) -> None:
    """That of the database among them: whoever prints it by mistake prints nothing."""
    write(on_postgres)
    said = AssetMaterialization("a", description=f"connected with {PASSWORD}")
    on_postgres.report_runless_asset_event(said)
    stored = postgres.execute(database_of(on_postgres), "SELECT event FROM event_logs")
    assert len(stored) == 2
    assert "connected with " in str(stored)
    assert PASSWORD.split()[-1] not in str(stored)


def test_a_wrong_password_is_said_without_it(postgres: Postgres, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    database = postgres.database()
    overrides = postgres.overrides(database, password_file=str(wrong), patience_seconds=0)
    with pytest.raises(OperationalError) as caught:
        DagsterInstance.local_temp(str(tmp_path), overrides)
    said = str(caught.value)
    assert f"PostgreSQL at 127.0.0.1:{postgres.port}/{database} gave no connection for 0 s" in said
    assert 'password authentication failed for user "flowmaster"' in said
    assert "not-the-password" not in said


def test_a_password_file_that_is_not_there_is_named(postgres: Postgres, tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    overrides = postgres.overrides("postgres", password_file=absent, patience_seconds=0)
    with pytest.raises(OperationalError, match=f"No such file or directory: '{absent}'"):
        DagsterInstance.local_temp(str(tmp_path), overrides)


@pytest.mark.parametrize("name", ["password", "sslpassword"])
def test_a_secret_among_the_parameters_is_refused(name: str) -> None:
    with pytest.raises(Permanent, match=f"params name '{name}'.*password_file"):
        Target.parse({"hostname": "h", "db_name": "d", "username": "u", "params": {name: "x"}})


def test_what_stands_in_an_event_stands_in_no_exception(on_postgres: DagsterInstance) -> None:
    with log_of(on_postgres).engine.begin() as connection:
        connection.execute(text("ALTER TABLE event_logs ADD CHECK (event NOT LIKE '%private%')"))
    with pytest.raises(Exception, match="violates check constraint") as caught:
        on_postgres.report_runless_asset_event(AssetMaterialization("a", description="private"))
    assert "private" not in str(caught.value).replace("NOT LIKE", "").split("DETAIL")[0]


def test_a_rotated_password_is_read_at_the_next_connection(
    postgres: Postgres, tmp_path: Path
) -> None:
    file, database = tmp_path / "password", postgres.database_with_tables()
    file.write_text("first")
    postgres.execute(database, "CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'first'")
    try:
        with postgres.instance(
            tmp_path, database, username="rotated", password_file=str(file)
        ) as instance:
            write(instance)
            postgres.execute(database, "ALTER ROLE rotated PASSWORD 'second'")
            file.write_text("second")
            _disconnect(postgres, database)
            write(instance)
            assert written(instance) == 1 + 1
    finally:
        _disconnect(postgres, database)
        postgres.execute(database, "DROP ROLE rotated")


def _disconnect(postgres: Postgres, database: str) -> None:
    """As an administrator or a fail-over does it, to everybody else."""
    postgres.execute(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def test_a_restart_costs_nobody_an_error(on_postgres: DagsterInstance, postgres: Postgres) -> None:
    for _ in range(2):
        write(on_postgres, 3)
        postgres.stop()
        postgres.start()
    write(on_postgres)
    assert written(on_postgres) == 7


def test_many_threads_share_a_few_connections(
    postgres: Postgres, on_postgres: DagsterInstance
) -> None:
    most = list[int]()

    def count() -> None:
        found = postgres.execute("postgres", OPEN.format(database_of(on_postgres)))
        most.append(found[0][0])

    names = [f"a{number}" for number in range(48)]
    threads = [threading.Thread(target=write, args=(on_postgres, 3, name)) for name in names]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        count()
    for thread in threads:
        thread.join()
    count()
    assert [written(on_postgres, name) for name in names] == [3] * 48
    assert 1 <= most[-1] <= max(most) <= 4


def test_many_instances_of_a_process_share_them_too(
    postgres: Postgres, on_postgres: DagsterInstance
) -> None:
    """Each tick of a sensor has an instance of its own."""
    ref = on_postgres.get_ref()
    for number in range(8):
        with DagsterInstance.from_ref(ref) as other:
            write(other, name=f"a{number}")
            assert written(on_postgres, f"a{number}") == 1
    assert postgres.execute("postgres", OPEN.format(database_of(on_postgres)))[0][0] <= 4


def test_on_a_server_without_a_free_slot_threads_share_what_the_process_has(
    postgres: Postgres, tmp_path: Path
) -> None:
    database = postgres.database_with_tables()
    postgres.execute(database, "CREATE ROLE bounded LOGIN CONNECTION LIMIT 1 PASSWORD 'p'")
    postgres.execute(database, "GRANT ALL ON ALL TABLES IN SCHEMA public TO bounded")
    postgres.execute(database, "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO bounded")
    file = tmp_path / "password"
    file.write_text("p")
    named = {"username": "bounded", "password_file": str(file), "connections": 3}
    with postgres.instance(tmp_path, database, **named) as instance:
        names = [f"a{number}" for number in range(6)]
        threads = [threading.Thread(target=write, args=(instance, 5, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [written(instance, name) for name in names] == [5] * len(names)


def test_a_connection_within_a_connection_waits_for_nobody(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Dagster asks for one while it holds one; with all in such hands nobody would ever get one."""
    database = postgres.database_with_tables()
    with postgres.instance(tmp_path, database, connections=2) as instance:
        log, inside, seen = log_of(instance), threading.Barrier(2, timeout=20), list[bool]()

        def nested() -> None:
            with log.index_connection():
                inside.wait()
                seen.append(log.has_secondary_index(ASSET_KEY_INDEX_COLS))
                inside.wait()

        threads = [threading.Thread(target=nested) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [True, True]


def test_a_forked_process_makes_connections_of_its_own(on_postgres: DagsterInstance) -> None:
    write(on_postgres)
    child = multiprocessing.get_context("fork").Process(
        target=write, args=(on_postgres, 5, "child"), daemon=True
    )
    child.start()
    write(on_postgres, 20)
    child.join(30)
    assert child.exitcode == 0
    assert (written(on_postgres, "child"), written(on_postgres)) == (5, 21)


def test_another_process_gets_there_by_the_reference_alone(on_postgres: DagsterInstance) -> None:
    """As a run pod does, which has it among its arguments."""
    program = (
        "import sys\n"
        "from dagster import AssetMaterialization, DagsterInstance\n"
        "from dagster._core.instance.ref import InstanceRef\n"
        "from dagster._serdes import deserialize_value\n"
        "with DagsterInstance.from_ref(deserialize_value(sys.argv[1], InstanceRef)) as instance:\n"
        "    instance.report_runless_asset_event(AssetMaterialization('a'))\n"
    )
    ref = on_postgres.get_ref()
    assert isinstance(ref, InstanceRef)
    subprocess.run([sys.executable, "-c", program, serialize_value(ref)], check=True, timeout=50)
    assert written(on_postgres) == 1


@pytest.mark.timeout(120)
def test_processes_that_start_on_an_empty_database_make_its_tables_once(
    postgres: Postgres,
) -> None:
    overrides = json.dumps(postgres.overrides(postgres.database()))
    program = "import sys; from tests.postgres import make_tables; make_tables(sys.argv[1])"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, overrides],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ended = [(one.communicate(timeout=100)[1], one.returncode) for one in started]
    assert [code for _, code in ended] == [0] * 3, ended
    assert not [words for words, _ in ended if "Retrying" in words or "Error" in words]


def test_the_webserver_has_statements_that_end_and_a_patience_of_its_own(
    on_postgres: DagsterInstance,
) -> None:
    write(on_postgres)
    on_postgres.optimize_for_webserver(300, pool_recycle=60, max_overflow=20)
    log = log_of(on_postgres)
    with (
        pytest.raises(OperationalError, match="statement timeout"),
        log.index_connection() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(20)"))
    assert written(on_postgres) == 1
    assert log._database.patience.seconds == 10
    assert log._database.most == 8
    assert log._database is on_postgres.run_storage._database  # type: ignore[attr-defined]


def test_a_table_of_ones_own_lies_in_the_same_database_and_is_written_as_a_whole(
    on_postgres: DagsterInstance, tmp_path: Path
) -> None:
    folder = {"base_dir": str(tmp_path / "events")}
    sqlite = {
        "module": "flowmaster_delivery.defs.event_log",
        "class": "EventLog",
        "config": folder,
    }
    (tmp_path / "home").mkdir()
    overrides = {"event_log_storage": sqlite, "telemetry": {"enabled": False}}
    with DagsterInstance.local_temp(str(tmp_path / "home"), overrides) as on_sqlite:
        for log in (log_of(on_postgres), on_sqlite.event_log_storage):
            assert isinstance(log, PostgresEventLog | EventLog)
            _writes_as_a_whole(log)


def _writes_as_a_whole(log: PostgresEventLog | EventLog) -> None:
    with log.engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (n INTEGER)"))
    with pytest.raises(ZeroDivisionError), log.engine.begin() as connection:  # noqa: PT012
        connection.execute(text("INSERT INTO mine VALUES (1)"))
        raise ZeroDivisionError
    with log.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM mine")).scalar() == 0


def test_a_run_is_added_with_its_tags_or_not_at_all(on_postgres: DagsterInstance) -> None:
    with log_of(on_postgres).engine.begin() as connection:
        connection.execute(text("ALTER TABLE run_tags ADD CHECK (key <> 'refused')"))
    with pytest.raises(Exception, match="violates check constraint"):
        on_postgres.create_run_for_job(a_job, tags={"refused": "1", "flowmaster/lock": "api"})
    assert on_postgres.get_runs() == []


def test_a_run_that_is_there_already_is_still_an_error(on_postgres: DagsterInstance) -> None:
    run = on_postgres.create_run_for_job(a_job)
    with pytest.raises(DagsterRunAlreadyExists):
        on_postgres.run_storage.add_run(run)


def test_an_old_schema_is_migrated(postgres: Postgres, tmp_path: Path) -> None:
    """By Dagster's own command, as the chart's hook calls it."""
    database = postgres.database_with_tables()
    (head,) = postgres.execute(database, "SELECT version_num FROM alembic_version")
    postgres.execute(database, "DROP INDEX idx_asset_event_tags_event_id")
    postgres.execute(database, "DROP TABLE IF EXISTS backfill_tags")
    postgres.execute(database, "UPDATE alembic_version SET version_num = '7e2f3204cf8e'")
    storage = postgres.overrides(database)["storage"]
    (tmp_path / "dagster.yaml").write_text(json.dumps({"storage": storage}))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), "instance", "migrate"],
        env={"PATH": os.environ["PATH"], "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert postgres.execute(database, "SELECT version_num FROM alembic_version") == [head]


def test_failures_far_apart_are_two_outages_and_those_of_an_outage_have_one_clock() -> None:
    now = [0.0]

    def refused() -> None:
        raise connecting.OperationalError("connection refused\nis it running?")

    def sleep(seconds: float) -> None:
        now[0] += seconds

    patience = connecting.Patience("the database", 10.0, lambda: now[0], sleep)
    for began, waited in ((0.0, 10.0), (10.5, 0.0), (11.0, 0.0), (500.0, 10.0)):
        now[0] = max(now[0], began)
        before = now[0]
        with pytest.raises(connecting.OperationalError, match="the database gave no connection"):
            patience.until_connected(refused)
        assert now[0] - before == waited
    assert patience.until_connected(lambda: "back") == "back"
    now[0] += 1.0
    before = now[0]
    with pytest.raises(connecting.OperationalError, match="for 10 s: connection refused; check"):
        patience.until_connected(refused)
    assert now[0] - before == 10.0
