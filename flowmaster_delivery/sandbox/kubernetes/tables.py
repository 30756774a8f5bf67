"""Lists as tables, the form that `kubectl get` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from flowmaster_delivery.sandbox.kubernetes.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    Kind,
    Object,
    name_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import parsed
from flowmaster_delivery.sandbox.kubernetes.selectors import as_text

Cells = Callable[[Object, datetime], list[str | int]]


def table(
    kind: Kind, items: Sequence[Object], version: str, now: datetime, *, include: str = "Metadata"
) -> Object:
    """A `meta.k8s.io/v1` Table; `include` is None, Metadata or Object, as the client asks."""
    columns, cells = LAYOUTS.get(kind, PLAIN)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [_column(text) for text in columns],
        "rows": [_row(item, cells(item, now), include) for item in items],
    }


def _row(item: Object, cells: list[str | int], include: str) -> Object:
    row: Object = {"cells": [name_of(item), *cells]}
    if include == "Object":
        row["object"] = item
    elif include != "None":
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        row["object"] = {**partial, "metadata": item["metadata"]}
    return row


def _column(text: str) -> Object:
    """`Name`, or `+Name` for a column that only the wide form shows."""
    name = text.lstrip("+")
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": int(text != name),
    }


def age(moment: str, now: datetime) -> str:
    """Time since a timestamp as kubectl writes it: 45s, 3m12s, 5h, 12d."""
    seconds = max(0, int((now - parsed(moment)).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{rest}s" if (rest := seconds % 60) else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{rest}m" if (rest := minutes % 60) else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{days}d"


def _age(item: Object, now: datetime) -> str:
    return age(item["metadata"]["creationTimestamp"], now)


def _images(spec: Object) -> list[str | int]:
    containers = spec["containers"]
    return [",".join(c[field] for c in containers) for field in ("name", "image")]


def _deployment(item: Object, now: datetime) -> list[str | int]:
    spec, status = item["spec"], item.get("status", {})
    return [
        f"{status.get('readyReplicas', 0)}/{spec['replicas']}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(item, now),
        *_images(spec["template"]["spec"]),
        as_text(spec["selector"]),
    ]


def _replica_set(item: Object, now: datetime) -> list[str | int]:
    spec, status = item["spec"], item.get("status", {})
    return [
        spec["replicas"],
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(item, now),
        *_images(spec["template"]["spec"]),
        as_text(spec["selector"]),
    ]


def pod_reason(pod: Object) -> str:
    """What the STATUS column says: the reason of a container in trouble, else the phase."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    for container in pod["status"].get("containerStatuses", []):
        for state in ("waiting", "terminated"):
            if reason := container["state"].get(state, {}).get("reason"):
                return str(reason)
    return str(pod["status"]["phase"])


def _pod(item: Object, now: datetime) -> list[str | int]:
    statuses = item["status"].get("containerStatuses", [])
    return [
        f"{sum(c['ready'] for c in statuses)}/{len(item['spec']['containers'])}",
        pod_reason(item),
        sum(c["restartCount"] for c in statuses),
        _age(item, now),
        item["status"].get("podIP", "<none>"),
        item["spec"].get("nodeName", "<none>"),
        "<none>",
        "<none>",
    ]


def _service(item: Object, now: datetime) -> list[str | int]:
    spec = item["spec"]
    ports = ",".join(f"{p['port']}/{p['protocol']}" for p in spec.get("ports", []))
    selector = as_text({"matchLabels": spec.get("selector", {})})
    address = spec.get("clusterIP", "<none>")
    return [spec["type"], address, "<none>", ports or "<none>", _age(item, now), selector]


def _job(item: Object, now: datetime) -> list[str | int]:
    spec, status = item["spec"], item.get("status", {})
    conditions = status.get("conditions", [])
    verdict = next((c["type"] for c in conditions if c["status"] == "True"), "Running")
    done = parsed(status["completionTime"]) if "completionTime" in status else now
    duration = age(status["startTime"], done) if "startTime" in status else ""
    succeeded = f"{status.get('succeeded', 0)}/{spec['completions']}"
    return [verdict, succeeded, duration, _age(item, now), *_images(spec["template"]["spec"])]


def _event(item: Object, now: datetime) -> list[str | int]:
    about = item.get("involvedObject", {})
    last = item.get("lastTimestamp") or item["metadata"]["creationTimestamp"]
    said = [item.get("type", ""), item.get("reason", "")]
    return [
        age(last, now),
        *said,
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        item.get("message", ""),
    ]


def _namespace(item: Object, now: datetime) -> list[str | int]:
    return [item["status"]["phase"], _age(item, now)]


def _node(item: Object, now: datetime) -> list[str | int]:
    return ["Ready", "<none>", _age(item, now), item["status"]["nodeInfo"]["kubeletVersion"]]


def _data(item: Object, now: datetime) -> list[str | int]:
    return [len(item.get("data", {})) + len(item.get("binaryData", {})), _age(item, now)]


def _secret(item: Object, now: datetime) -> list[str | int]:
    return [item["type"], *_data(item, now)]


def _lease(item: Object, now: datetime) -> list[str | int]:
    return [item.get("spec", {}).get("holderIdentity", ""), _age(item, now)]


PLAIN: tuple[tuple[str, ...], Cells] = (("Name", "Age"), lambda item, now: [_age(item, now)])
_WIDE = ("+Containers", "+Images")
_POD_WIDE = ("+IP", "+Node", "+Nominated Node", "+Readiness Gates")

LAYOUTS: dict[Kind, tuple[tuple[str, ...], Cells]] = {
    DEPLOYMENTS: (
        ("Name", "Ready", "Up-to-date", "Available", "Age", *_WIDE, "+Selector"),
        _deployment,
    ),
    REPLICA_SETS: (
        ("Name", "Desired", "Current", "Ready", "Age", *_WIDE, "+Selector"),
        _replica_set,
    ),
    PODS: (
        ("Name", "Ready", "Status", "Restarts", "Age", *_POD_WIDE),
        _pod,
    ),
    SERVICES: (
        ("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"),
        _service,
    ),
    JOBS: (("Name", "Status", "Completions", "Duration", "Age", *_WIDE), _job),
    EVENTS: (("+Name", "Last Seen", "Type", "Reason", "Object", "Message"), _event),
    NAMESPACES: (("Name", "Status", "Age"), _namespace),
    NODES: (("Name", "Status", "Roles", "Age", "Version"), _node),
    CONFIG_MAPS: (("Name", "Data", "Age"), _data),
    SECRETS: (("Name", "Type", "Data", "Age"), _secret),
    LEASES: (("Name", "Holder", "Age"), _lease),
}
