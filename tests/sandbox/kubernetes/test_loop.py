"""The work queue: nothing is lost, nothing is done twice, nothing stops it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from flowmaster_delivery.sandbox.kubernetes import KubernetesSandbox
from flowmaster_delivery.sandbox.kubernetes.kinds import PODS
from flowmaster_delivery.sandbox.kubernetes.store import Change
from flowmaster_delivery.sandbox.orders import Behaviours, PodBehaviour
from tests.sandbox.kubernetes.lab import KnownImages, Lab, deployment


def test_an_object_of_odd_content_does_not_stop_the_others(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "many"}}
    with caplog.at_level(logging.ERROR):
        lab.apply(deployment("odd", strategy=rolling), 1)
        lab.apply(deployment(), 2)
    assert "default/odd" in caplog.text
    assert lab.deployment()["status"]["readyReplicas"] == 2


def test_a_pod_s_status_that_a_client_wrote_is_made_right_again(lab: Lab) -> None:
    lab.apply(deployment(replicas=1), 2)
    pod = lab.pods()[0]
    lab.resources.update_status(PODS, {**pod, "status": {"phase": "Running"}})
    lab.advance(1)
    assert lab.container("shop/web:1")["ready"]


def test_the_controllers_work_in_real_time_and_end_when_cancelled() -> None:
    async def live() -> int:
        behaviours = Behaviours(PodBehaviour("ready", 0.05))
        sandbox = KubernetesSandbox(images=KnownImages(), behaviours=behaviours)
        both_ready = asyncio.Event()

        def look(_: Change) -> None:
            if [pod.ready for pod in sandbox.running("default", "web")] == [True, True]:
                both_ready.set()

        sandbox.store.subscribe(look)
        work = asyncio.create_task(sandbox.run())
        sandbox.apply(deployment())
        await asyncio.wait_for(both_ready.wait(), 5)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        return len(sandbox.running("default", "web"))

    assert asyncio.run(live()) == 2
