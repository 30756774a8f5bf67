"""Migrations on the way up and on the way back, on fakes, killed wherever a process can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Asked, Done, Pace
from flowmaster_delivery.flows.migrations import way_back
from flowmaster_delivery.flows.migrations.jobs import carry_out
from flowmaster_delivery.flows.rollback import roll_back
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import (
    Catalog,
    Environment,
    Kind,
    RefKind,
    RefRule,
    Service,
)
from flowmaster_delivery.model.errors import NotFound, NoWayBack, Refused, Unreachable
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollback import RollbackMethod
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.ports import Ports
from tests.builders import NOON, a_catalog, a_service
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry
from tests.fakes.mortal_history import MortalHistory

DEV = Environment(
    "dev", "test", RefRule(RefKind.BRANCH, "develop"), rollout_timeout=timedelta(seconds=2)
)
JOB = a_service("schema", kind=Kind.JOB)
ENGINE = a_service("engine", migrations=("schema",), depends_on=("schema",))
DESIGN = a_service("design", migrations=("schema",), depends_on=("schema",))
OTHER = a_service("other")
EXPAND, CONTRACT = MigrationPhase.EXPAND, MigrationPhase.CONTRACT
UP, DOWN = Direction.UP, Direction.DOWN


def digest(name: str) -> str:
    return f"sha256:{name.encode().hex():0<64.64}"


def labels(after: int, phase: MigrationPhase, reversible: bool = True) -> dict[str, str]:
    return {
        "ai.flowmaster.migration.before": str(after - 1),
        "ai.flowmaster.migration.after": str(after),
        "ai.flowmaster.migration.phase": phase.value,
        "ai.flowmaster.migration.reversible": "true" if reversible else "false",
        "ai.flowmaster.migration.up": f'["up", "{after}"]',
        "ai.flowmaster.migration.down": f'["down", "{after - 1}"]',
    }


def a_migration(
    after: int = 11, phase: MigrationPhase = EXPAND, reversible: bool = True
) -> Migration:
    name = digest(f"m{after}")
    words = (("up", str(after)), ("down", str(after - 1)))
    return Migration("schema", name, after - 1, after, phase, reversible, *words)


def a_record_of(
    migration: Migration, outcome: Outcome, environment: str, direction: Direction = UP
) -> MigrationRecord:
    return MigrationRecord(migration, environment, direction, outcome, NOON, "sam", "r1")


@dataclass
class World:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    history: MortalHistory = field(default_factory=MortalHistory)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    runs: int = 0

    @property
    def catalog(self) -> Catalog:
        return a_catalog(services=(JOB, ENGINE, DESIGN, OTHER), environments=(DEV,))

    @property
    def ports(self) -> Ports:
        return Ports(
            FakeForge(), self.registry, lambda _: self.cluster, FakeProbe(), self.history,
            FakeNotifier(), FakeMetrics(), FakeAudit(),
        )  # fmt: skip

    @property
    def pace(self) -> Pace:
        time = self.cluster.time
        return Pace(time.now, monotonic=time.monotonic, sleep=time.sleep)

    def asked(self) -> Asked:
        self.runs += 1
        return Asked(f"run-{self.runs}", "sam", "because")

    def work(self) -> Work:
        return Work(self.catalog, self.ports, self.asked(), self.pace)

    def run(self, migration: Migration, direction: Direction = UP) -> Done:
        return carry_out(migration, direction, DEV, self.work())

    def push(self, service: object, name: str, said: dict[str, str] | None = None) -> str:
        image = service.image  # type: ignore[attr-defined]
        self.registry.images[image, digest(name)] = RegistryImage(digest(name), labels=said or {})
        return digest(name)

    def ship(self, name: str, service: str = "engine", needs: str = "") -> DeploymentRecord:
        """Push an image that says what it needs, and roll it out."""
        known = self.catalog.service(service)
        said = {"ai.flowmaster.schema.schema": needs} if needs else {}
        self.push(known, name, said)
        return self.rolled(service, name)

    def migrate(self, after: int, phase: MigrationPhase = EXPAND, reversible: bool = True) -> None:
        self.push(JOB, f"m{after}", labels(after, phase, reversible))
        self.rolled("schema", f"m{after}")

    def rolled(self, service: str, name: str) -> DeploymentRecord:
        candidate = Candidate(
            service, "dev", "platform", "c" * 40, digest(name), f"fp-{name}", "develop"
        )
        record = roll_out(
            candidate, self.catalog, self.ports, run_id=f"run-{name}", asked_by="jane", reason="",
            pace=Pace(self.cluster.time.now),
        )  # fmt: skip
        self.history.record(record)
        self.cluster.time.seconds += 60
        return record

    def version(self) -> int | None:
        return self.history.migrations("schema", "dev")[0].version

    def ended(self) -> list[tuple[str, str]]:
        found = self.history.migrations("schema", "dev")
        return [(r.direction, r.outcome) for r in reversed(found) if r.version or r.message]


@pytest.fixture
def world() -> World:
    return a_world()


def a_world(*services: Service) -> World:
    made = World()
    for service in (ENGINE, OTHER, *services):
        made.cluster.deploy(service, f"registry/{service.image}@{digest('first')}")
    return made


@pytest.fixture
def shared() -> World:
    """Two services work on one schema."""
    return a_world(DESIGN)


# up


def test_a_migration_runs_its_own_command_and_is_recorded(world: World) -> None:
    done = world.run(a_migration())
    assert (done.outcome, done.message) == (Outcome.SUCCESS, "the schema of schema is at 11")
    assert list(world.cluster.commands.values()) == [("up", "11")]
    begun, ended = reversed(world.history.migrations("schema", "dev"))
    assert (begun.outcome, begun.version) == (Outcome.INCONCLUSIVE, None)
    assert (ended.outcome, ended.version, ended.asked_by) == (Outcome.SUCCESS, 11, "sam")


def test_the_same_again_runs_nothing(world: World) -> None:
    world.run(a_migration())
    done = world.run(a_migration())
    assert (done.outcome, done.changed) == (Outcome.SUCCESS, False)
    assert world.cluster.calls.count("run_job") == 1


def test_a_migration_that_fails_halfway_leaves_no_known_version(world: World) -> None:
    world.cluster.failing["run_job"] = []
    name = f"schema-{digest('m11')[7:19]}-up"
    world.cluster.jobs[name] = (False, "exit code 3 column exists already")
    done = world.run(a_migration())
    assert done.outcome is Outcome.FAILURE
    assert "failed halfway: exit code 3 column exists already" in done.message
    assert "flowmaster migration settle schema dev" in done.message
    assert world.version() is None
    with pytest.raises(Refused, match="failed halfway"):
        world.run(a_migration())


def test_a_migration_that_has_not_ended_is_an_error_and_awaited_by_the_next_run(
    world: World,
) -> None:
    world.cluster.failing["run_job"] = [Unreachable("has not ended")] * 1_000
    assert world.run(a_migration()).outcome is Outcome.ERROR
    world.cluster.failing.clear()
    assert world.run(a_migration()).outcome is Outcome.SUCCESS
    assert len(world.cluster.jobs) == 1
    assert len(world.history.migrations("schema", "dev")) == 2


def test_who_lost_the_lease_records_nothing(world: World) -> None:
    def somebody_takes_over() -> None:
        world.cluster.acquire("schema", "another", preempt=True, ttl=60)

    world.cluster.on_call["run_job"] = somebody_takes_over
    assert world.run(a_migration()).outcome is Outcome.INCONCLUSIVE
    assert [r.outcome for r in world.history.migrations("schema", "dev")] == [Outcome.INCONCLUSIVE]


def test_two_migrations_at_once_are_one_after_the_other(world: World) -> None:
    world.cluster.acquire("schema", "another", preempt=False, ttl=1e9)
    with pytest.raises(Refused, match="being changed by another"):
        world.run(a_migration())
    assert world.history.records == []


def up(world: World) -> None:
    world.run(a_migration())


def down(world: World) -> None:
    world.run(a_migration(), DOWN)


def deaths(world: World, act: object) -> Iterator[tuple[str, int, bool]]:
    """Every call of the cluster and every record of an act, before and after its effect."""
    calls, records = len(world.cluster.calls), len(world.history.records)
    act(world)  # type: ignore[operator]
    calls, records = len(world.cluster.calls) - calls, len(world.history.records) - records
    assert calls > 3
    assert records > 1
    for after in (False, True):
        yield from (("cluster", n, after) for n in range(calls))
        yield from (("history", n, after) for n in range(records))


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_killed_at_any_step_the_next_run_ends_it_with_one_job_and_one_record(
    direction: Direction,
) -> None:
    act = up if direction is UP else down

    def prepared() -> World:
        made = World()
        if direction is DOWN:
            made.migrate(11)
        return made

    for where, number, after in list(deaths(prepared(), act)):
        world = prepared()
        if where == "cluster":
            world.cluster.kill_at = len(world.cluster.calls) + number
            world.cluster.kill_after_effect = after
        else:
            world.history.written = 0
            world.history.kill_at, world.history.kill_after_effect = number, after
        with pytest.raises(Killed):
            act(world)
        world.cluster.revive()
        world.history.revive()
        act(world)
        context = (where, number, after)
        made = world.history.migrations("schema", "dev")
        new = made[: len(made) - (2 if direction is DOWN else 0)]
        assert [r.outcome for r in new] == [Outcome.SUCCESS, Outcome.INCONCLUSIVE], context
        assert world.version() == (11 if direction is UP else 10), context
        assert len([n for n in world.cluster.jobs if n.endswith(direction)]) == 1, context


# rollouts


def test_a_rollout_of_a_job_is_its_migration(world: World) -> None:
    world.push(JOB, "m11", labels(11, EXPAND))
    record = world.rolled("schema", "m11")
    assert (record.outcome, record.message) == (Outcome.SUCCESS, "the schema of schema is at 11")
    assert world.version() == 11


def test_a_job_that_is_not_understood_touches_nothing(world: World) -> None:
    world.push(JOB, "m11", {"ai.flowmaster.migration.before": "x"})
    with pytest.raises(Refused, match="is not understood") as caught:
        world.rolled("schema", "m11")
    assert "phase is missing" in str(caught.value)
    assert world.cluster.calls == []


def test_a_job_that_the_registry_does_not_have_touches_nothing(world: World) -> None:
    with pytest.raises(NotFound, match="nobody knows what it does to a schema"):
        world.rolled("schema", "m11")
    assert world.cluster.calls == []


def test_what_an_image_says_it_needs_is_on_record(world: World) -> None:
    world.migrate(11)
    record = world.ship("e1", needs="10-11")
    assert str(record.needs("schema")) == "10-11"


@pytest.mark.parametrize("service", ["engine", "design"])
def test_half_a_migration_stops_whatever_works_on_the_schema(shared: World, service: str) -> None:
    world = shared
    world.cluster.jobs[f"schema-{digest('m11')[7:19]}-up"] = (False, "exit code 3")
    world.migrate(11)
    images = dict(world.cluster.deployments)
    with pytest.raises(Refused, match=r"failed halfway: exit code 3; mend it"):
        world.ship("e1", service)
    assert world.cluster.deployments == images
    assert world.ship("o1", "other").outcome is Outcome.SUCCESS


def test_an_image_that_needs_a_newer_schema_is_not_brought(world: World) -> None:
    world.migrate(11)
    with pytest.raises(Refused, match="is at 11 in dev, this image of engine needs 12"):
        world.ship("e1", needs="12")


def test_an_image_from_before_an_expansion_still_runs(world: World) -> None:
    world.migrate(11)
    world.migrate(12)
    assert world.ship("e1", needs="11").outcome is Outcome.SUCCESS


def test_an_image_from_before_a_contraction_does_not(world: World) -> None:
    world.migrate(11)
    world.migrate(12, CONTRACT)
    with pytest.raises(Refused, match="is at 12 in dev, this image of engine needs 11"):
        world.ship("e1", needs="11")


# back


@dataclass
class Back:
    """A rollback of one service as `flows.rollback` makes it: before, the image, after."""

    world: World
    target: DeploymentRecord
    method: RollbackMethod | None = RollbackMethod.MIGRATION
    reverting: frozenset[str] = frozenset()

    def plans(self) -> tuple[object, ...]:
        service = self.world.catalog.service(self.target.service)
        return way_back.planned_back(service, self.target, self.method, DEV, self.work())

    def work(self) -> Work:
        return replace(self.world.work(), reverting=self.reverting)

    def go(self) -> None:
        world = self.world
        service = world.catalog.service(self.target.service)
        done = roll_back(self.target, service, DEV, self.work(), method=self.method)
        assert done.outcome is Outcome.SUCCESS, done.message
        world.history.record(done)


def released(world: World, phase: MigrationPhase, reversible: bool = True) -> DeploymentRecord:
    """e1 ran on 10; then a migration to 11 and e2."""
    world.migrate(10)
    target = world.ship("e1")
    world.migrate(11, phase, reversible)
    world.ship("e2")
    world.registry.images.clear()
    return target


def test_an_expansion_goes_back_after_the_image_with_the_newer_images_command(
    world: World,
) -> None:
    back = Back(world, released(world, EXPAND))
    world.cluster.on_call["set_image"] = lambda: seen.append(world.version())
    seen: list[int | None] = []
    back.go()
    assert (seen, world.version()) == ([11], 10)
    assert list(world.cluster.commands.values())[-1] == ("down", "10")


def test_a_contraction_goes_back_before_the_image(world: World) -> None:
    back = Back(world, released(world, CONTRACT))
    seen: list[int | None] = []
    world.cluster.on_call["set_image"] = lambda: seen.append(world.version())
    back.go()
    assert (seen, world.version()) == ([10], 10)


def test_a_revision_leaves_the_schema(world: World) -> None:
    Back(world, released(world, EXPAND), RollbackMethod.REVISION).go()
    assert world.version() == 11


def test_by_itself_an_expansion_is_left_and_a_contraction_goes_back(world: World) -> None:
    target = released(world, EXPAND)
    Back(world, target, None).go()
    assert world.version() == 11


def test_a_contraction_that_cannot_be_taken_back_is_a_refusal_and_touches_nothing(
    world: World,
) -> None:
    back = Back(world, released(world, CONTRACT, reversible=False), None)
    calls = len(world.cluster.calls)
    with pytest.raises(NoWayBack, match="ship a version of engine that mends it on 11"):
        back.go()
    assert world.cluster.calls[calls:] == ["workloads"]


def test_what_stays_on_the_new_schema_keeps_it(shared: World) -> None:
    world = shared
    target = released(world, EXPAND)
    world.push(DESIGN, "d1", {"ai.flowmaster.schema.schema": "11"})
    world.rolled("design", "d1")
    Back(world, target).go()
    assert world.version() == 11


def test_what_runs_and_is_not_on_record_is_not_taken_for_granted(shared: World) -> None:
    with pytest.raises(NoWayBack, match="roll design back with it"):
        Back(shared, released(shared, CONTRACT)).go()


def test_of_services_that_go_back_together_the_last_one_takes_the_schema_along(
    shared: World,
) -> None:
    world = shared
    world.migrate(10)
    targets = [world.ship("e1"), world.ship("d1", "design")]
    world.migrate(11)
    world.ship("e2", needs="11")
    world.ship("d2", "design", needs="11")
    together = frozenset({"engine", "design"})
    first, last = (Back(world, target, reverting=together) for target in targets)
    first.go()
    assert world.version() == 11
    last.go()
    assert world.version() == 10


def test_after_the_way_back_the_job_may_be_promoted_again(world: World) -> None:
    target = released(world, EXPAND)
    Back(world, target).go()
    newest = world.history.deployments("schema", "dev")[0]
    assert (newest.method, newest.digest) == (Method.ROLLBACK, digest("m10"))
    assert newest.previous_digest == digest("m11")
    world.migrate(11)
    assert world.version() == 11
    assert list(world.cluster.jobs)[-1].endswith("-up-2")


def test_a_way_down_that_fails_stops_there(world: World) -> None:
    target = released(world, CONTRACT)
    world.cluster.jobs[f"schema-{digest('m11')[7:19]}-down"] = (False, "exit code 4")
    plans = Back(world, target).plans()
    done = way_back.before(plans, DEV, world.work())  # type: ignore[arg-type]
    assert done is not None
    assert done.outcome is Outcome.FAILURE
    assert "being taken back failed halfway: exit code 4" in done.message


@pytest.mark.parametrize("phase", [EXPAND, CONTRACT])
def test_killed_at_any_step_of_the_way_back_the_next_run_reaches_the_same_end(
    phase: MigrationPhase,
) -> None:
    def prepared() -> tuple[World, Back]:
        world = a_world()
        return world, Back(world, released(world, phase))

    probe, first = prepared()
    for where, number, after in list(deaths(probe, lambda _: first.go())):
        world, back = prepared()
        if where == "cluster":
            world.cluster.kill_at = len(world.cluster.calls) + number
            world.cluster.kill_after_effect = after
        else:
            world.history.written = 0
            world.history.kill_at, world.history.kill_after_effect = number, after
        with pytest.raises(Killed):
            back.go()
        world.cluster.revive()
        world.history.revive()
        back.go()
        context = (where, number, after)
        assert world.version() == 10, context
        assert world.cluster.calls.count("set_image") <= 4, context
        downs = [r for r in world.history.migrations("schema", "dev") if r.direction is DOWN]
        assert [r.outcome for r in downs] == [Outcome.SUCCESS, Outcome.INCONCLUSIVE], context
        notes = [
            r for r in world.history.deployments("schema", "dev") if r.method is Method.ROLLBACK
        ]
        assert len(notes) == 1, context
        reference = world.cluster.deployments["engine"].images["engine"]
        assert reference.endswith(digest("e1")), context
