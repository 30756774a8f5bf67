"""The rights that policy/rights.py says are those of the calls that are made: not one more, not one
less. Derived from what the sandbox, and the audit log of a real API server, saw of an account that
has exactly these rights, switch by switch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.kubernetes.cluster import KubernetesCluster
from flowmaster_delivery.flows.adopt import adopt
from flowmaster_delivery.flows.canary import orders
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.canary import Canary, CanaryRule, CanaryStep, Traffic
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import Denied
from flowmaster_delivery.model.rights import Act, Right
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.verification import Validation
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.policy.rights import acts_of, rights_of, viewing_rights
from flowmaster_delivery.ports import Cluster
from tests.builders import a_catalog, a_service, dev
from tests.contracts import gateway
from tests.contracts.accounts import Account
from tests.contracts.clusters import CONTEXT, Target
from tests.contracts.containers import a_test
from tests.contracts.namespaces import (
    API,
    Namespace,
    a_digest,
    a_reference,
    await_until,
    namespace,
)
from tests.contracts.surface import Called, Surface
from tests.flows.conftest import Platform

GOOD, BAD = (f"registry.test/tests@sha256:{letter * 64}" for letter in "ab")
TESTED = replace(API, smoke=(a_test("good", GOOD, 25), a_test("bad", BAD, 25)))
JOB = a_service("db", kind=Kind.JOB, container="app")
MANIFESTS = a_service("monitoring", kind=Kind.MANIFESTS, applies=("configmaps",))


def tried(traffic: Traffic) -> Safeguards:
    return Safeguards(canary=CanaryRule((CanaryStep(1, timedelta(0)),), (), traffic))


@dataclass(frozen=True)
class Case:
    """What the catalog has in an environment."""

    services: tuple[Service, ...] = (API,)
    safeguards: Safeguards = field(default_factory=Safeguards)
    inside: bool = True


CASES = {
    "plain": Case(),
    "canary": Case(safeguards=tried(Traffic.PODS)),
    "routes": Case(safeguards=tried(Traffic.ROUTE)),
    "migrations": Case((API, JOB)),
    "containers": Case((TESTED,), Safeguards(validation=(Validation.SMOKE,))),
    "manifests": Case((API, MANIFESTS)),
    "outside": Case(inside=False),
    "together": Case((API, JOB, MANIFESTS), tried(Traffic.AUTO), inside=False),
}


@pytest.fixture(scope="module")
def with_routes(target: Target) -> Iterator[Target]:
    with gateway.installed(target):
        yield target


@pytest.fixture
def room(with_routes: Target) -> Iterator[Namespace]:
    """The service runs, and an HTTPRoute leads to it."""
    with namespace(with_routes) as found:
        found.deploy(a_reference())
        found.front()
        found.create("httproutes", gateway.route({"name": "api", "port": 80}))
        found.target.fare(BAD.rpartition("@")[2], "crash", "the dashboard is empty")
        yield found


def place(case: Case, room: Namespace) -> tuple[Environment, Catalog]:
    environment = dev(namespace=room.name, context=CONTEXT, safeguards=case.safeguards)
    return environment, a_catalog(services=case.services, environments=[environment])


def differences(given: tuple[Right, ...], asked: frozenset[Act]) -> tuple[set[str], set[str]]:
    """What was asked for and is not given, and what is given and was not asked for, in words."""
    lacking = {str(act) for act in asked if not any(right.allows(act) for right in given)}
    idle = {str(one) for one in acts_of(given) if not any(_covers(one, act) for act in asked)}
    return lacking, idle


def _covers(given: Act, act: Act) -> bool:
    return Right(
        given.group, given.resource, (given.name,) * bool(given.name), (given.verb,)
    ).allows(act)


def has_noted_watches(account: Account) -> bool:
    """A real API server notes a watch when it has ended."""
    watched = {act.resource for act in account.asked() if act.verb == "watch"}
    return watched == {"deployments", "pods"}


@pytest.mark.parametrize("name", CASES)
def test_what_is_given_is_what_is_asked_for(room: Namespace, name: str) -> None:
    case = CASES[name]
    environment, catalog = place(case, room)
    given = rights_of(environment, catalog, inside=case.inside)
    account = room.target.account(room.name, given)
    with (
        closing(Api(connect(account.kubeconfig, CONTEXT))) as api,
        closing(KubernetesCluster(api, room.name, inside=case.inside)) as cluster,
    ):
        called = Called(cluster)
        Surface(called, account, environment, catalog, case.inside).walk()
    await_until(lambda: has_noted_watches(account))
    assert differences(given, account.asked()) == (set(), set())
    if name == "together":
        port = {method for method in vars(Cluster) if not method.startswith("_")}
        assert port - called.methods == set()


def test_whoever_looks_is_given_what_is_asked_for(room: Namespace) -> None:
    """Adoption, the list of canaries and the orders to them are all of the server's calls."""
    environment, catalog = place(CASES["canary"], room)
    begun = a_running_canary(room)
    account = room.target.account(room.name, viewing_rights())
    with closing(KubernetesClusters(account.kubeconfig)) as clusters:
        ports = replace(Platform().ports, cluster=clusters)
        adopt(environment, "jane", "seen it run", Reading(catalog, ports), begun)
        [canary] = orders.running([environment], catalog, ports)
        assert canary.share == "1 of 3 pods"
        orders.order(API, environment, "pause", "jane", "let me look", ports, begun)
    assert differences(viewing_rights(), account.asked()) == (set(), set())


def a_running_canary(room: Namespace) -> datetime:
    now = datetime.now(UTC)
    canary = Canary(a_digest(), "run-1", 1, now, now + timedelta(hours=1))
    marks = canary_marks.marks(canary)
    room.cluster.create_canary(API, a_reference(canary.digest), pods=1, annotations=marks)
    room.await_available(API.canary, 1)
    return now


def test_one_right_more_and_one_less_are_found() -> None:
    given = (Right("", "pods", (), ("list",)), Right("apps", "deployments", ("api",), ("patch",)))
    asked = frozenset({Act("", "pods", "list"), Act("apps", "deployments", "patch", "web")})
    lacking, idle = differences(given, asked)
    assert (lacking, idle) == ({"patch deployments.apps web"}, {"patch deployments.apps api"})
    assert differences(given[:1], asked - {Act("apps", "deployments", "patch", "web")}) == (
        set(),
        set(),
    )


IN = "/api/v1/namespaces/{here}"
APPS = "/apis/apps/v1/namespaces/{here}"
DENIED = {
    "read a secret": ("GET", f"{IN}/secrets/database"),
    "list secrets": ("GET", f"{IN}/secrets"),
    "write a secret": ("POST", f"{IN}/secrets"),
    "read configuration": ("GET", f"{IN}/configmaps"),
    "run a program in a pod": ("POST", f"{IN}/pods/api-1/exec?command=sh"),
    "attach to a pod": ("POST", f"{IN}/pods/api-1/attach"),
    "forward a port of a pod": ("POST", f"{IN}/pods/api-1/portforward"),
    "read a log": ("GET", f"{IN}/pods/api-1/log"),
    "ask a pod through the server": ("GET", f"{IN}/pods/api-1/proxy/health"),
    "create a pod": ("POST", f"{IN}/pods"),
    "delete a pod": ("DELETE", f"{IN}/pods/api-1"),
    "create a Deployment": ("POST", f"{APPS}/deployments"),
    "delete the Deployment": ("DELETE", f"{APPS}/deployments/api"),
    "delete every Deployment": ("DELETE", f"{APPS}/deployments"),
    "replace the Deployment": ("PUT", f"{APPS}/deployments/api"),
    "patch another Deployment": ("PATCH", f"{APPS}/deployments/other"),
    "scale by the subresource": ("PATCH", f"{APPS}/deployments/api/scale"),
    "change a StatefulSet": ("PATCH", f"{APPS}/statefulsets/database"),
    "create a Job": ("POST", "/apis/batch/v1/namespaces/{here}/jobs"),
    "create a Service": ("POST", f"{IN}/services"),
    "take another's lease": ("PUT", "/apis/coordination.k8s.io/v1/namespaces/{here}/leases/other"),
    "give rights": ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/{here}/rolebindings"),
    "become another account": ("POST", f"{IN}/serviceaccounts/default/token"),
    "look into another namespace": ("GET", "/apis/apps/v1/namespaces/kube-system/deployments"),
    "look into every namespace": ("GET", "/apis/apps/v1/deployments"),
    "list namespaces": ("GET", "/api/v1/namespaces"),
    "list nodes": ("GET", "/api/v1/nodes"),
    "tell whose a token is": ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
}
"""What nobody gave to whoever changes an environment without a canary, a job or manifests."""


@pytest.fixture(scope="module")
def plain(target: Target) -> Iterator[tuple[Api, str]]:
    with namespace(target) as room:
        given = rights_of(*place(CASES["plain"], room))
        account = target.account(room.name, given)
        with closing(Api(connect(account.kubeconfig, CONTEXT))) as api:
            yield api, room.name


@pytest.mark.parametrize("what", DENIED)
def test_nobody_may(plain: tuple[Api, str], what: str) -> None:
    api, here = plain
    method, path = DENIED[what]
    body = {} if method in ("POST", "PUT", "PATCH") else None
    merge = "application/merge-patch+json" if method == "PATCH" else ""
    with pytest.raises(Denied):
        api.once(method, path.format(here=here), body=body, content_type=merge)


def test_whoever_looks_may_change_nothing(room: Namespace) -> None:
    account = room.target.account(room.name, viewing_rights())
    with closing(KubernetesClusters(account.kubeconfig)) as clusters:
        cluster = clusters(place(CASES["plain"], room)[0])
        version = cluster.workload(API).resource_version
        with pytest.raises(Denied):
            cluster.set_image(API, a_reference(), resource_version=version, annotations={})
        with pytest.raises(Denied):
            cluster.acquire("api", "run-1", preempt=True, ttl=30)
