"""What was seen of an environment's cluster: its version, our rights there, what runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from flowmaster_delivery.model.checkup import Finding, Topic
from flowmaster_delivery.model.rights import ANYTHING, Act, Right
from flowmaster_delivery.policy.checkup.grading import failed, fine, warning

OLDEST = (1, 20)
"""The oldest Kubernetes that the platform was tried on."""
EVERYBODYS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
"""Groups of what everybody may ask about himself (`selfsubject…`)."""
SHOWN = 6
"""Rights that are named where there are more."""
DANGEROUS: tuple[tuple[str, Act], ...] = (
    ("do everything", Act(ANYTHING, ANYTHING, ANYTHING)),
    ("read secrets", Act("", "secrets", "get")),
    ("list secrets", Act("", "secrets", "list")),
    ("run programs in pods", Act("", "pods/exec", "create")),
    ("attach to pods", Act("", "pods/attach", "create")),
    ("create pods", Act("", "pods", "create")),
    ("become other ServiceAccounts", Act("", "serviceaccounts/token", "create")),
    ("give rights", Act("rbac.authorization.k8s.io", "rolebindings", "create")),
    ("delete every Deployment", Act("apps", "deployments", "deletecollection")),
)
"""What nobody gave us, and what it would mean."""


def of_version(about: str, version: str) -> Finding:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        mend = "the platform was tried from 1.20 on; upgrade the cluster"
        return warning(Topic.CLUSTER, about, f"Kubernetes {version}", mend)
    return fine(Topic.CLUSTER, about, f"Kubernetes {version}")


def of_rights(
    about: str, lacking: tuple[Right, ...], beyond: tuple[Right, ...], namespace: str
) -> Iterator[Finding]:
    """What is missing keeps us from working; what is too much makes a leak of our token worse."""
    own = tuple(right for right in beyond if not _is_everybodys(right))
    role = "`flowmaster rights` prints the Role (the chart makes it)"
    if lacking:
        seen = f"we may not: {_listed(lacking)}"
        mend = f"bind the right Role to our account in namespace {namespace}: {role}"
        yield failed(Topic.CLUSTER, about, seen, mend)
    if own:
        mend = f"take away what is not in the Role: {role}"
        yield warning(Topic.CLUSTER, about, f"we may more than we need: {_beyond(own)}", mend)
    if not lacking and not own:
        yield fine(Topic.CLUSTER, about, f"exactly the rights that are needed in {namespace}")


def of_workloads(about: str, expected: Collection[str], there: Collection[str]) -> Finding:
    absent = sorted(set(expected) - set(there))
    if not absent:
        seen = f"all {len(expected)} Deployments of the catalog are there"
        return fine(Topic.CLUSTER, about, seen)
    seen = f"{len(absent)} of {len(expected)} Deployments are not there: {_some(absent)}"
    mend = "create them, or correct the catalog; the platform changes images, it installs nothing"
    return warning(Topic.CLUSTER, about, seen, mend)


def _is_everybodys(right: Right) -> bool:
    return right.group in EVERYBODYS and right.resource.startswith("selfsubject")


def _beyond(rights: tuple[Right, ...]) -> str:
    """The dangerous first, in words."""
    dangers = [words for words, act in DANGEROUS if any(right.allows(act) for right in rights)]
    if "do everything" in dangers:
        return "do everything"
    rest = [r for r in rights if not any(r.allows(act) for _, act in DANGEROUS)]
    return "; ".join(filter(None, (", ".join(dangers), _listed(rest) if rest else "")))


def _listed(rights: Iterable[Right]) -> str:
    return _some([str(right) for right in rights], "; ")


def _some(words: list[str], joint: str = ", ") -> str:
    more = f"{joint}and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return joint.join(words[:SHOWN]) + more
