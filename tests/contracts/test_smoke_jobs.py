"""Smoke tests that are containers: dagster-k8s starts their Jobs on the sandbox's cluster, and what
became of them is read by our own port. dagster-k8s looks every ten seconds, so all are run at once.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rights import Switches
from flowmaster_delivery.policy.rights import changing_rights
from tests.builders import a_service, dev
from tests.contracts.clusters import CONTEXT, Target, sandbox
from tests.contracts.containers import a_test, delivery_to, in_a_step

GOOD, BAD, STUCK = (f"registry.test/tests@sha256:{letter * 64}" for letter in "abc")
PLACE: Environment = dev(namespace="default", context=CONTEXT)
SERVICE = a_service("api")
RIGHTS = changing_rights(Switches(containers=True))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with sandbox(tmp_path_factory.mktemp("cluster")) as target:
        yield target


def labels_of_jobs(target: Target) -> list[dict[str, str]]:
    with closing(Api(connect(target.kubeconfig, CONTEXT))) as api:
        found = api.get("/apis/batch/v1/namespaces/default/jobs")["items"]
        return [job["metadata"]["labels"] for job in found]


def test_a_container_is_judged_by_how_it_ended_and_run_once_in_a_run(target: Target) -> None:
    target.fare(BAD.rpartition("@")[2], "crash", "the dashboard is empty")
    target.fare(STUCK.rpartition("@")[2], "image_pull")
    account = target.account(PLACE.namespace, RIGHTS)
    with closing(KubernetesClusters(account.kubeconfig)) as clusters:
        delivery = delivery_to(account.kubeconfig, clusters)
        tests = [a_test("good", GOOD), a_test("bad", BAD), a_test("stuck", STUCK)]
        came = in_a_step(delivery, SERVICE, PLACE, tests, 2)
    good, bad, stuck, *again = came
    assert good[0] is Outcome.SUCCESS
    assert bad[0] is Outcome.FAILURE
    assert "the dashboard is empty" in bad[1]
    assert stuck[0] is Outcome.INCONCLUSIVE
    assert "has not ended" in stuck[1]
    assert [outcome for outcome, _ in again] == [good[0], bad[0], stuck[0]]
    assert [labels.get("dagster/op") for labels in labels_of_jobs(target)] == ["health"] * 3
