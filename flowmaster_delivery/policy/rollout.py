"""How far a rollout has come: kubectl's order of messages, a stricter end, and failing early.

Messages come in the order of kubectl's rollout status; the end is the deployment controller's own
(updated == total == available == desired). Decided on what was read in one moment, on each change.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster_delivery.model.rollout import Phase, Pod, Progress, Workload
from flowmaster_delivery.policy.pod_problems import Judgement, judge, words

DEADLINE = "ProgressDeadlineExceeded"
RECONCILERS = ("argocd", "argo-cd", "flux", "kustomize-controller", "helm")
"""Beginnings of field managers' names of what keeps a Deployment as a repository has it."""
FENCE = "flowmaster.ai/fencing-token"


def runs(workload: Workload, container: str, reference: str) -> bool:
    """Whether the template asks for the image: by digest, so that the registry's name may move."""
    image = workload.images.get(container, "")
    digest = digest_in(image)
    return image == reference or (digest is not None and digest == digest_in(reference))


def is_complete(workload: Workload) -> bool:
    """All of it runs the newest template, and nothing else: the deployment controller's rule."""
    return (
        workload.observed_generation >= workload.generation
        and workload.updated == workload.total == workload.available == workload.desired
    )


def newest_pods(workload: Workload, pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """The pods of the newest template; none while it is not known."""
    mark = workload.template_hash
    return tuple(pod for pod in pods if mark is not None and pod.template_hash == mark)


def progress(
    now: Workload,
    pods: Iterable[Pod],
    *,
    before: Workload,
    patched: Workload,
    container: str,
    token: int,
    grace_spent: bool = False,
) -> Progress:
    """Where the rollout that `patched` began stands.

    `before` is the workload as it was read before the patch (its Progressing condition may be stale
    afterwards); `patched` is the patch's answer. `grace_spent` says that what may mend itself has
    not done so for long enough (`pod_problems.GRACE`).
    """
    taken = _taken_over(now, patched, container, token)
    if taken:
        return Progress(Phase.SUPERSEDED, taken)
    if now.paused:
        return Progress(
            Phase.FAILED, f"{now.name} is paused on the cluster: resume it (kubectl rollout resume)"
        )
    if now.observed_generation < max(now.generation, patched.generation):
        return Progress(Phase.WAITING, f"{now.name}: waiting for the change to be observed")
    everything = tuple(pods)
    return (
        _failed(now, newest_pods(now, everything), before, grace_spent)
        or _unfinished(now, newest_pods(now, everything))
        or _leftovers(now, everything)
        or Progress(Phase.COMPLETE, f"{now.name}: {now.desired} of {now.desired} replicas run it")
    )


def _taken_over(now: Workload, patched: Workload, container: str, token: int) -> str:
    if now.uid != patched.uid:
        return f"{now.name} was deleted and created anew meanwhile; what is there now stands"
    if fence(now) > token:
        return f"{now.name} was taken over with a newer fencing token ({fence(now)} > {token})"
    image = now.images.get(container)
    if image != patched.images.get(container):
        return f"{now.name} was set to {image or 'nothing'} by another writer; that stands"
    return ""


def fence(workload: Workload) -> int:
    """The fencing token that was written last; 0 where there is none."""
    text = workload.annotations.get(FENCE, "")
    return int(text) if text.isdigit() else 0


def _failed(
    now: Workload, pods: tuple[Pod, ...], before: Workload, grace_spent: bool
) -> Progress | None:
    problems = tuple(problem for pod in pods if not pod.terminating for problem in pod.problems)
    fatal = [p for p in problems if _is_fatal(judge(p), grace_spent)]
    if fatal:
        return Progress(Phase.FAILED, f"{now.name}: {words(fatal[0])}", problems)
    if now.replica_failure and (now.replica_failure != before.replica_failure or grace_spent):
        message = f"{now.name}: the cluster cannot create pods: {now.replica_failure}"
        return Progress(Phase.FAILED, message, problems)
    if _deadline_exceeded(now, before):
        return Progress(Phase.FAILED, f"{now.name} exceeded its progress deadline", problems)
    return None


def _is_fatal(judgement: Judgement, grace_spent: bool) -> bool:
    return judgement is Judgement.FATAL or (judgement is Judgement.GRACE and grace_spent)


def _deadline_exceeded(now: Workload, before: Workload) -> bool:
    """A condition that is as it was before the patch is a leftover, unless it names the new pods'
    ReplicaSet: the controller copies the old one once when a rollback reuses a ReplicaSet."""
    condition = now.progressing
    if condition is None or condition.reason != DEADLINE:
        return False
    if condition != before.progressing:
        return True
    return now.template_hash is not None and now.template_hash in condition.message


def _unfinished(now: Workload, pods: tuple[Pod, ...]) -> Progress | None:
    """kubectl's messages in kubectl's order."""
    message = ""
    if now.updated < now.desired:
        message = f"{now.updated} of {now.desired} new replicas have been created"
    elif now.total > now.updated:
        message = f"{now.total - now.updated} old replicas are still to go"
    elif now.available < now.updated:
        message = f"{now.available} of {now.updated} new replicas are available"
    elif not is_complete(now):
        message = f"{now.updated} replicas run, {now.desired} are wanted"
    if not message:
        return None
    problems = tuple(problem for pod in pods if not pod.terminating for problem in pod.problems)
    because = f" ({words(problems[0])})" if problems else ""
    return Progress(Phase.WAITING, f"{now.name}: {message}{because}", problems)


def _leftovers(now: Workload, pods: tuple[Pod, ...]) -> Progress | None:
    """Replicas are counted without the terminating ones, which may still answer requests."""
    mark = now.template_hash
    old = [pod for pod in pods if mark is not None and pod.template_hash != mark]
    if not old:
        return None
    phase = Phase.ENDING if all(pod.terminating for pod in old) else Phase.WAITING
    return Progress(phase, f"{now.name}: {len(old)} old pods are still ending")


def may_mend_itself(now: Workload, progress_: Progress) -> bool:
    """Whether something is wrong that may pass: how long it lasts is to be measured then."""
    graced = any(judge(problem) is Judgement.GRACE for problem in progress_.problems)
    return graced or now.replica_failure is not None


def may_go_ahead(planned_on: Workload, now: Workload, token: int) -> bool:
    """After a conflict: whether what changed leaves alone what the change was planned on.

    An image that somebody of ours with an older token wrote at the last moment is overtaken.
    """
    overtaken = fence(planned_on) < fence(now) < token
    unchanged = now.images == planned_on.images
    return now.uid == planned_on.uid and (unchanged or overtaken) and fence(now) <= token


def other_writers(workload: Workload) -> tuple[str, ...]:
    """Controllers that own an image of the template and will put theirs back."""
    return tuple(o for o in workload.image_owners if o.lower().startswith(RECONCILERS))


def digest_in(reference: str) -> str | None:
    """The digest of an image reference, None where it names none."""
    _, at, digest = reference.rpartition("@")
    return digest if at else None
