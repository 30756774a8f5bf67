"""What a cluster says of our rights, on the sandbox and on a real API server with RBAC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.inspecting import Inspector
from flowmaster_delivery.flows.checkup.cluster import cluster
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.checkup import Grade
from flowmaster_delivery.model.errors import Denied
from flowmaster_delivery.model.rights import Act, Right
from flowmaster_delivery.policy.rights import acts_of, missing, rights_of, viewing_rights
from flowmaster_delivery.ports.checkup import Doors
from tests.builders import a_catalog, dev
from tests.contracts.clusters import CONTEXT
from tests.contracts.namespaces import API, Namespace, a_reference
from tests.fakes.fake_doors import no_doors

SECRETS = Right("", "secrets", (), ("get", "list"))
EXEC = Right("", "pods/exec", (), ("create",))


def place(room: Namespace) -> tuple[Environment, Catalog]:
    environment = dev(namespace=room.name, context=CONTEXT)
    return environment, a_catalog(services=[API], environments=[environment])


@contextmanager
def opened(room: Namespace, *rights: Right) -> Iterator[KubernetesClusters]:
    account = room.target.account(room.name, rights)
    with closing(KubernetesClusters(account.kubeconfig)) as clusters:
        yield clusters


def inspector(clusters: KubernetesClusters, room: Namespace) -> Inspector:
    return clusters.inspector(place(room)[0])


def told(clusters: KubernetesClusters, room: Namespace, *, views: bool = False) -> list[str]:
    """What the checkup says of rights and workloads: grade and words."""
    doors: Doors = replace(no_doors(), cluster=clusters, cluster_door=clusters.inspector)
    found = list(cluster(*place(room), doors, views=views))
    assert {finding.about for finding in found} == {"dev"}
    return [f"{finding.grade}: {finding.seen}" for finding in found]


def test_a_cluster_tells_its_version_and_its_time(room: Namespace) -> None:
    with opened(room) as clusters:
        facts = inspector(clusters, room).server()
    assert facts.version.startswith("v1.")
    assert facts.clock is not None
    assert abs(facts.clock - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_rights_that_were_given_are_told_whole(room: Namespace) -> None:
    given = rights_of(*place(room))
    with opened(room, *given) as clusters:
        found = inspector(clusters, room).rights()
    assert found.complete
    assert missing(given, found.rights) == ()
    beyond = {act for act in acts_of(found.rights) if not any(r.allows(act) for r in given)}
    assert {act.group for act in beyond} <= {"authorization.k8s.io", "authentication.k8s.io"}


def test_one_act_may_be_asked_for(room: Namespace) -> None:
    patch = Act("apps", "deployments", "patch", "api")
    with opened(room, Right("apps", "deployments", ("api",), ("patch",))) as clusters:
        door = inspector(clusters, room)
        assert door.may(patch)
        assert not door.may(replace(patch, name="other"))
        assert not door.may(Act("", "pods/exec", "create"))


def test_exactly_the_rights_that_are_needed_are_found_well(room: Namespace) -> None:
    room.deploy(a_reference())
    with opened(room, *rights_of(*place(room))) as clusters:
        _, rights, workloads = told(clusters, room)
    assert rights == f"{Grade.OK}: exactly the rights that are needed in {room.name}"
    assert workloads == f"{Grade.OK}: all 1 Deployments of the catalog are there"


def test_a_right_that_is_missing_fails_by_its_name(room: Namespace) -> None:
    given = [right for right in rights_of(*place(room)) if "patch" not in right.verbs]
    with opened(room, *given) as clusters:
        _, rights, _ = told(clusters, room)
    assert rights == f"{Grade.FAILED}: we may not: patch deployments.apps api"


def test_rights_beyond_those_are_warned_of_the_dangerous_first(room: Namespace) -> None:
    more = (SECRETS, EXEC, Right("batch", "jobs", (), ("list",)))
    with opened(room, *rights_of(*place(room)), *more) as clusters:
        _, rights, _ = told(clusters, room)
    assert rights.startswith(
        f"{Grade.WARNING}: we may more than we need: read secrets, list secrets, "
        "run programs in pods; list jobs.batch"
    )


def test_whoever_only_views_needs_no_more_than_that(room: Namespace) -> None:
    with opened(room, *viewing_rights()) as clusters:
        _, rights, _ = told(clusters, room, views=True)
        assert rights.startswith(f"{Grade.OK}: exactly the rights")
        _, rights, _ = told(clusters, room)
        assert "we may not: watch pods; watch deployments.apps" in rights


def test_whoever_may_everything_is_told_so(room: Namespace) -> None:
    with closing(KubernetesClusters(room.target.kubeconfig)) as clusters:
        _, rights, _ = told(clusters, room)
    assert rights == f"{Grade.WARNING}: we may more than we need: do everything"


def test_whoever_may_nothing_is_told_all_of_it(room: Namespace) -> None:
    with opened(room) as clusters, pytest.raises(Denied, match="403"):
        told(clusters, room)
