"""The rights that environments need: each switch brings its own, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.model.canary import CanaryRule, CanaryStep, Traffic
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.rights import Act, Right, Switches
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.verification import SmokeTest, Validation
from flowmaster_delivery.policy.rights import (
    acts_of,
    changing_rights,
    excess,
    gathered,
    launching_rights,
    missing,
    rights_of,
    switches_of,
    viewing_rights,
)
from tests.builders import a_catalog, a_service, dev, production

APPS, BATCH, GATEWAY = "apps", "batch", "gateway.networking.k8s.io"


def a_canary(traffic: Traffic = Traffic.PODS) -> Safeguards:
    step = CanaryStep(1, timedelta(minutes=5))
    return Safeguards(canary=CanaryRule(steps=(step,), limits=(), traffic=traffic))


def catalog_of(*services: Service, place: Environment | None = None) -> tuple[Environment, Catalog]:
    environment = place or dev()
    return environment, a_catalog(services=services, environments=[environment])


def acts(*services: Service, place: Environment | None = None, inside: bool = True) -> set[str]:
    """What may be done there, in words."""
    rights = rights_of(*catalog_of(*services, place=place), inside=inside)
    return {str(act) for act in acts_of(rights)}


WATCHING = "leases.coordination.k8s.io flowmaster-watch.dev"
PLAIN = {
    "create leases.coordination.k8s.io",
    f"get {WATCHING}",
    f"update {WATCHING}",
    "get deployments.apps",
    "list deployments.apps",
    "watch deployments.apps",
    "list replicasets.apps",
    "list pods",
    "watch pods",
}


def of_service(name: str) -> set[str]:
    lease = f"leases.coordination.k8s.io flowmaster-{name}"
    return {f"get {lease}", f"update {lease}"}


def test_a_service_may_be_read_patched_by_name_and_held_by_its_lease() -> None:
    wanted = PLAIN | of_service("api") | {"patch deployments.apps api"}
    assert acts(a_service("api")) == wanted


def test_the_deployment_is_named_as_the_cluster_has_it() -> None:
    found = acts(a_service("api", workload="shop-api"))
    assert "patch deployments.apps shop-api" in found
    assert "get leases.coordination.k8s.io flowmaster-api" in found


def test_what_never_comes_to_the_cluster_needs_nothing_there() -> None:
    assert acts(a_service("app", kind=Kind.ARTIFACT)) == PLAIN


def test_a_canary_may_be_made_patched_and_removed_by_its_name() -> None:
    place = dev(safeguards=a_canary())
    more = acts(a_service("api"), place=place) - acts(a_service("api"))
    assert more == {
        "create deployments.apps",
        "patch deployments.apps api-canary",
        "delete deployments.apps api-canary",
    }


@pytest.mark.parametrize("traffic", [Traffic.ROUTE, Traffic.AUTO])
def test_a_canary_by_routes_needs_services_and_routes_besides(traffic: Traffic) -> None:
    by_pods = acts(a_service("api"), place=dev(safeguards=a_canary()))
    more = acts(a_service("api"), place=dev(safeguards=a_canary(traffic))) - by_pods
    assert more == {
        "list services",
        "create services",
        "get services api-canary",
        "delete services api-canary",
        "get httproutes.gateway.networking.k8s.io",
        "list httproutes.gateway.networking.k8s.io",
        "patch httproutes.gateway.networking.k8s.io",
    }


def test_one_service_without_a_canary_is_not_removed_where_others_have_one() -> None:
    place = production(safeguards=a_canary())
    plain = a_service("web", safeguards={"production": Safeguards()})
    found = acts(a_service("api"), plain, place=place)
    assert "delete deployments.apps api-canary" in found
    assert not [act for act in found if "web-canary" in act]


def test_a_canary_elsewhere_gives_no_right_here() -> None:
    own = a_service("api", safeguards={"production": a_canary()})
    assert acts(own) == acts(a_service("api"))


def test_a_migration_is_a_job_from_a_template_of_its_name() -> None:
    job = a_service("db", kind=Kind.JOB)
    assert acts(job) - PLAIN - of_service("db") == {
        "create jobs.batch",
        "get jobs.batch",
        "get cronjobs.batch db",
    }


def test_a_smoke_test_in_a_container_needs_what_dagster_k8s_asks_for() -> None:
    tested = a_service("api", smoke=(SmokeTest("way", image="registry.test/tests:1"),))
    place = dev(safeguards=Safeguards(validation=(Validation.SMOKE,)))
    assert acts(tested, place=place) - acts(a_service("api")) == {
        "create jobs.batch",
        "get jobs.batch",
        "list jobs.batch",
        "get jobs.batch/status",
        "get cronjobs.batch",
        "get pods/log",
        "list events",
    }


def test_a_smoke_test_that_nobody_asks_for_needs_nothing() -> None:
    tested = a_service("api", smoke=(SmokeTest("way", image="registry.test/tests:1"),))
    assert acts(tested) == acts(a_service("api"))


def test_a_smoke_test_of_calls_needs_nothing_of_the_cluster() -> None:
    place = dev(safeguards=Safeguards(validation=(Validation.SMOKE,)))
    assert acts(a_service("api", smoke=(SmokeTest("way"),)), place=place) == acts(a_service("api"))


def test_manifests_may_be_of_what_the_catalog_names_alone() -> None:
    named = ("configmaps", "prometheusrules.monitoring.coreos.com")
    place = a_service("monitoring", kind=Kind.MANIFESTS, applies=named)
    assert acts(place) - PLAIN - of_service("monitoring") == {
        f"{verb} {resource}" for verb in ("get", "create", "patch") for resource in named
    }


def test_pods_are_asked_through_the_api_server_only_from_outside() -> None:
    assert acts(a_service("api"), inside=False) - acts(a_service("api")) == {"get pods/proxy"}


def test_whoever_looks_changes_nothing_and_waits_for_nothing() -> None:
    assert {act.verb for act in acts_of(viewing_rights())} == {"get", "list"}
    changing = acts_of(changing_rights(Switches()))
    assert acts_of(viewing_rights()) < changing


EVERYTHING = Switches(
    workloads=("api",),
    leases=("flowmaster-api",),
    canaries=("api-canary",),
    routed=("api-canary",),
    jobs=("db",),
    containers=True,
    applies=("configmaps",),
    inside=False,
)


def every_right() -> Iterable[Right]:
    return (*changing_rights(EVERYTHING), *viewing_rights(), *launching_rights())


def test_nobody_may_read_secrets_enter_pods_or_give_rights() -> None:
    for act in acts_of(every_right()):
        assert "*" not in (act.group, act.resource, act.verb)
        assert act.resource not in ("secrets", "pods/exec", "pods/attach", "pods/portforward")
        assert act.group not in ("rbac.authorization.k8s.io", "authentication.k8s.io")
        assert act.verb not in ("deletecollection", "impersonate", "escalate", "bind")


def test_every_change_of_a_deployment_names_it() -> None:
    """But for its creation, which no name can limit."""
    changes = [
        act
        for act in acts_of(every_right())
        if act.resource in ("deployments", "leases", "services")
        and act.verb in ("patch", "update", "delete")
    ]
    assert changes
    assert [act for act in changes if not act.name] == []


def test_what_is_allowed_of_every_object_names_none() -> None:
    one, every = Act(BATCH, "cronjobs", "get", "db"), Act(BATCH, "cronjobs", "get")
    assert gathered([one, every]) == (Right(BATCH, "cronjobs", (), ("get",)),)


def test_rights_are_gathered_by_what_they_are_about() -> None:
    acts = [Act(APPS, "deployments", verb, name) for verb in ("patch", "delete") for name in "ba"]
    assert gathered(acts) == (Right(APPS, "deployments", ("a", "b"), ("delete", "patch")),)


def test_gathering_loses_nothing() -> None:
    wanted = acts_of(changing_rights(EVERYTHING))
    assert acts_of(gathered(wanted)) == wanted


def test_what_is_missing_and_what_is_too_much_are_told_apart() -> None:
    needed = [Right(APPS, "deployments", ("a", "b"), ("get", "patch"))]
    given = [Right(APPS, "deployments", (), ("get",)), Right("", "secrets", (), ("list",))]
    assert missing(needed, given) == (Right(APPS, "deployments", ("a", "b"), ("patch",)),)
    assert excess(needed, given) == (
        Right("", "secrets", (), ("list",)),
        Right(APPS, "deployments", (), ("get",)),
    )


def test_whoever_may_everything_lacks_nothing_and_has_too_much() -> None:
    everything = [Right("*", "*", (), ("*",))]
    assert missing(every_right(), everything) == ()
    assert excess(every_right(), everything) == tuple(everything)


def test_a_right_to_a_resource_is_none_to_what_is_below_it() -> None:
    pods = [Right("", "pods", (), ("get",))]
    assert missing([Right("", "pods/exec", (), ("get",))], pods)


def test_switches_are_names_of_the_cluster() -> None:
    place, catalog = catalog_of(
        a_service("api", workload="shop-api"),
        a_service("db", kind=Kind.JOB, workload="migrate"),
        place=dev(safeguards=a_canary(Traffic.AUTO)),
    )
    on = switches_of(place, catalog)
    assert on == replace(
        Switches(),
        workloads=("shop-api",),
        leases=("flowmaster-api", "flowmaster-db", "flowmaster-watch.dev"),
        canaries=("shop-api-canary",),
        routed=("shop-api-canary",),
        jobs=("migrate",),
    )
