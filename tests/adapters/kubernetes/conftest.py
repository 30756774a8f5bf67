"""A cluster whose API server answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.kubernetes.cluster import KubernetesCluster
from tests.fakes.far_end import FarEnd

SECRET = "token-of-this-test"


def kubeconfig(folder: Path, server: str, user: dict[str, object] | None = None) -> Path:
    path = folder / "kubeconfig"
    content = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "staging",
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def far() -> Iterator[FarEnd]:
    far = FarEnd()
    yield far
    far.close()


@pytest.fixture
def api(far: FarEnd, tmp_path: Path) -> Iterator[Api]:
    made = Api(connect(kubeconfig(tmp_path, far.url), None), timeout=(0.5, 0.3), read_budget=1.0)
    yield made
    made.close()


@pytest.fixture
def cluster(api: Api) -> Iterator[KubernetesCluster]:
    made = KubernetesCluster(api, "dev")
    yield made
    made.close()
