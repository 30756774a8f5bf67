"""How many pods each ReplicaSet of a Deployment should have: pure figures.

Source: kubernetes pkg/controller/deployment/util/deployment_util.go and rolling.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowmaster_delivery.sandbox.kubernetes.kinds import Object


def share(value: int | str, total: int, *, up: bool) -> int:
    """An `IntOrString`: pods, or a percentage of `total`, rounded up or down."""
    if isinstance(value, int) or not value.endswith("%"):
        return int(value)
    exact = int(value[:-1]) * total / 100
    return math.ceil(exact) if up else math.floor(exact)


def is_rolling(deployment: Object) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def fenceposts(deployment: Object) -> tuple[int, int]:
    """Pods above and below the wanted number: `maxSurge`, `maxUnavailable`; never both zero."""
    replicas = deployment["spec"]["replicas"]
    if not is_rolling(deployment):
        return 0, 0
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    surge = share(rolling["maxSurge"], replicas, up=True)
    unavailable = share(rolling["maxUnavailable"], replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def wanted(sets: Sequence[Object]) -> int:
    return sum(rs["spec"]["replicas"] for rs in sets)


def available(sets: Sequence[Object]) -> int:
    return sum(rs["status"].get("availableReplicas", 0) for rs in sets)


def new_size(deployment: Object, new: Object, every: Sequence[Object]) -> int:
    """Pods that the new ReplicaSet may have now."""
    replicas, size = deployment["spec"]["replicas"], new["spec"]["replicas"]
    if not is_rolling(deployment) or size > replicas:
        return int(replicas)
    room = replicas + fenceposts(deployment)[0] - wanted(every)
    return int(size + max(0, min(room, replicas - size)))


def old_sizes(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """New sizes by name of the old ReplicaSets that may shrink now: unhealthy pods go first."""
    replicas, every = deployment["spec"]["replicas"], [*old, new]
    least = replicas - fenceposts(deployment)[1]
    waiting = new["spec"]["replicas"] - new["status"].get("availableReplicas", 0)
    room = wanted(every) - least - waiting
    if wanted(old) == 0 or room <= 0:
        return {}
    sizes = {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in old}
    before = dict(sizes)
    for rs in old:
        name = rs["metadata"]["name"]
        unhealthy = sizes[name] - rs["status"].get("availableReplicas", 0)
        cut = max(0, min(room, unhealthy))
        sizes[name] -= cut
        room -= cut
    spare = available(every) - least
    for name, size in sizes.items():
        cut = max(0, min(size, spare))
        sizes[name] = size - cut
        spare -= cut
    return {name: size for name, size in sizes.items() if size != before[name]}


def proportional(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Sizes by name when scaled in the middle of a rollout; `active` is oldest first."""
    replicas, surge = deployment["spec"]["replicas"], fenceposts(deployment)[0]
    allowed = replicas + surge if replicas > 0 else 0
    to_add = allowed - wanted(active)
    by_age = list(reversed(active)) if to_add > 0 else list(active)
    added, sizes = 0, {}
    for rs in sorted(by_age, key=lambda rs: -rs["spec"]["replicas"]):
        left = to_add - added
        fraction = _fraction(deployment, rs, allowed)
        part = min(fraction, left) if to_add > 0 else max(fraction, left)
        sizes[rs["metadata"]["name"]] = rs["spec"]["replicas"] + part
        added += part
    largest = next(iter(sizes))
    sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _fraction(deployment: Object, rs: Object, allowed: int) -> int:
    size = int(rs["spec"]["replicas"])
    if deployment["spec"]["replicas"] == 0:
        return -size
    noted = rs["metadata"].get("annotations", {}).get("deployment.kubernetes.io/max-replicas")
    before = int(noted) if noted else deployment.get("status", {}).get("replicas", 0)
    return math.floor(size * allowed / before + 0.5) - size if before else 0
