"""Scheduler and kubelet in one: pods get a node, images, processes, readiness, and an end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.kubernetes.controllers.fates import Fate, Look, look
from flowmaster_delivery.sandbox.kubernetes.controllers.loop import Key
from flowmaster_delivery.sandbox.kubernetes.controllers.pod_status import (
    pod_status,
    unscheduled_status,
)
from flowmaster_delivery.sandbox.kubernetes.controllers.recorder import Recorder
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    PODS,
    REPLICA_SETS,
    Object,
    controller_of,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Resources
from flowmaster_delivery.sandbox.kubernetes.store import Change, Store
from flowmaster_delivery.sandbox.orders import Behaviours, Images, PodBehaviour

NODE = "sandbox"
TERMINATION = 0.3
"""Seconds that a process takes to end when it is asked to; less where its grace period is."""

AGAIN = timedelta(seconds=1)
"""Until an unscheduled pod, or an image that was not there, is looked at again."""


@dataclass(slots=True)
class Life:
    """What the kubelet remembers of a pod."""

    born: datetime
    address: str
    fates: dict[str, Fate] = field(default_factory=dict)
    dying: datetime | None = None


class PodController:
    kinds = frozenset({PODS})

    def __init__(self, resources: Resources, images: Images, behaviours: Behaviours) -> None:
        self._resources = resources
        self._store = resources.store
        self._images = images
        self._behaviours = behaviours
        self._lives: dict[str, Life] = {}
        self._pulled: dict[str, str] = {}
        self._scheduler = Recorder(resources, "default-scheduler")
        self._kubelet = Recorder(resources, "kubelet")
        self._addresses = 0

    def concerned(self, change: Change) -> Iterable[Key]:
        if change.type == "DELETED":
            self._lives.pop(change.item["metadata"]["uid"], None)
            return ()
        return ((namespace_of(change.item), name_of(change.item)),)

    def reconcile(self, namespace: str, name: str) -> datetime | None:
        pod = self._store.find(PODS, namespace, name)
        if pod is None or pod["status"]["phase"] in ("Succeeded", "Failed"):
            if pod and "deletionTimestamp" in pod["metadata"]:
                self._resources.finish_deletion(PODS, pod)
            return None
        life = self._life(pod)
        if "deletionTimestamp" in pod["metadata"]:
            return self._terminate(pod, life)
        behaviours = self._ordered(pod)
        stuck = next((b for b in behaviours.values() if b.outcome == "unschedulable"), None)
        if stuck and "nodeName" not in pod["spec"]:
            return self._leave_unscheduled(pod, stuck)
        pod = self._bind(pod, life)
        fates = {c["name"]: self._fate(pod, life, c, behaviours) for c in _containers(pod)}
        return self._write(pod, life, fates)

    def _life(self, pod: Object) -> Life:
        uid = pod["metadata"]["uid"]
        if uid not in self._lives:
            self._addresses += 1
            address = f"10.244.{self._addresses // 250 % 250}.{self._addresses % 250 + 1}"
            self._lives[uid] = Life(self._resources.clock(), address)
        return self._lives[uid]

    def _ordered(self, pod: Object) -> dict[str, PodBehaviour]:
        namespace, workload = namespace_of(pod), workload_of(self._store, pod)
        return {
            c["name"]: self._behaviours.pod(namespace, workload, c["image"])
            for c in _containers(pod)
        }

    def _leave_unscheduled(self, pod: Object, behaviour: PodBehaviour) -> datetime:
        now, words = self._resources.clock(), behaviour.words
        self._store.replace(PODS, {**pod, "status": unscheduled_status(pod, words, now)})
        if "conditions" not in pod["status"]:
            self._scheduler.say(pod, "FailedScheduling", words, warning=True)
        return now + AGAIN

    def _bind(self, pod: Object, life: Life) -> Object:
        if "nodeName" in pod["spec"]:
            return pod
        life.born = self._resources.clock()
        bound = {**pod, "spec": {**pod["spec"], "nodeName": NODE}}
        where = f"{namespace_of(pod)}/{name_of(pod)}"
        words = f"Successfully assigned {where} to {NODE}"
        self._scheduler.say(pod, "Scheduled", words)
        return self._store.replace(PODS, bound)

    def _fate(
        self, pod: Object, life: Life, container: Object, ordered: dict[str, PodBehaviour]
    ) -> Fate:
        """The container's fate; it begins anew when other orders come or its image appears."""
        name, image, now = container["name"], container["image"], self._resources.clock()
        before = life.fates.get(name)
        digest = before.digest if before and before.digest else self._pull(container)
        if before and before.behaviour == ordered[name] and before.digest == digest:
            return before
        policy = pod["spec"]["restartPolicy"]
        fate = Fate(
            name,
            image,
            digest,
            ordered[name],
            now if before else life.born,
            ends=policy != "Always",
            restarts=policy != "Never",
        )
        if before is not None:
            was = look(before, now, "")
            fate = replace(fate, is_running="running" in was.state)
        life.fates[name] = fate
        return fate

    def _pull(self, container: Object) -> str | None:
        """Digest of the image, from the node where the policy lets it, else from the registry."""
        image = container["image"]
        if container["imagePullPolicy"] != "Always" and image in self._pulled:
            return self._pulled[image]
        digest = self._images.resolve(image)
        if digest is not None:
            self._pulled[image] = digest
        return digest

    def _write(self, pod: Object, life: Life, fates: dict[str, Fate]) -> datetime | None:
        now = self._resources.clock()
        identity = f"{name_of(pod)}_{namespace_of(pod)}({pod['metadata']['uid']})"
        looks = {name: look(fate, now, identity) for name, fate in fates.items()}
        self._say(pod, fates, looks)
        status = pod_status(pod, fates, looks, life.address, now)
        self._store.replace(PODS, {**pod, "status": status})
        dues = [seen.until for seen in looks.values() if seen.until]
        if any(fate.digest is None for fate in fates.values()):
            dues.append(now + AGAIN)
        return min(dues, default=None)

    def _say(self, pod: Object, fates: dict[str, Fate], looks: dict[str, Look]) -> None:
        before = {c["name"]: c for c in pod["status"].get("containerStatuses", [])}
        for name, seen in looks.items():
            where = f"spec.containers{{{name}}}"
            old = before.get(name, {})
            if old.get("state") == seen.state:
                continue
            if seen.started and "running" in seen.state:
                self._say_started(pod, fates[name], where)
            if seen.event:
                self._kubelet.say(pod, *seen.event, warning=True, field=where)

    def _say_started(self, pod: Object, fate: Fate, where: str) -> None:
        pulled = f'Container image "{fate.image}" already present on machine'
        self._kubelet.say(pod, "Pulled", pulled, field=where)
        self._kubelet.say(pod, "Created", f"Created container: {fate.name}", field=where)
        self._kubelet.say(pod, "Started", f"Started container {fate.name}", field=where)

    def _terminate(self, pod: Object, life: Life) -> datetime | None:
        now = self._resources.clock()
        if life.dying is None:
            life.dying = now
            for container in _containers(pod):
                words = f"Stopping container {container['name']}"
                where = f"spec.containers{{{container['name']}}}"
                self._kubelet.say(pod, "Killing", words, field=where)
        grace = min(TERMINATION, pod["metadata"].get("deletionGracePeriodSeconds", TERMINATION))
        end = life.dying + timedelta(seconds=grace)
        if now < end and "nodeName" in pod["spec"]:
            return end
        self._resources.finish_deletion(PODS, pod)
        return None


def workload_of(store: Store, pod: Object) -> str:
    """Name of the Deployment or Job that the pod belongs to; its own where there is none."""
    owner = controller_of(pod)
    if owner is None:
        return name_of(pod)
    if owner["kind"] == "ReplicaSet":
        rs = store.find(REPLICA_SETS, namespace_of(pod), owner["name"])
        above = controller_of(rs) if rs else None
        owner = above or owner
    name: str = owner["name"]
    return name


def _containers(pod: Object) -> list[Object]:
    containers: list[Object] = pod["spec"]["containers"]
    return containers
