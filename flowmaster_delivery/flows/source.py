"""Source: which commit of which ref a service's environment shall take, as far as a person said."""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster_delivery.flows.image import Source
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, RefKind, Repository, Service
from flowmaster_delivery.model.errors import NotFound, Refused, UnknownName
from flowmaster_delivery.policy.versioning import is_version, newest_version


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run's form says; empty where it leaves the choice to the environment's rule."""

    repository: str = ""
    commit: str = ""
    ref: str = ""
    version: str = ""


def source_of(
    service: Service, environment: Environment, wanted: Wanted, reading: Reading
) -> Source:
    """The source that the form asks for: by default the head of the environment's branch, or the
    newest version.

    Raise Refused for another repository or a ref that does not feed the environment, UnknownName
    for a version that is not there, NotFound for a branch that is not.
    """
    repository = reading.catalog.repository(service.repository)
    named, _, version = wanted.version.rpartition("@")
    for name in (wanted.repository, named):
        if name and name != repository.name:
            raise Refused(
                f"{service.name} is built from {repository.name}, not from {name}; "
                f"choose services of {name}, or leave the repository empty"
            )
    if environment.ref.kind is RefKind.VERSION:
        return _of_version(repository, environment, version or wanted.ref, wanted.commit, reading)
    return _of_branch(repository, environment, wanted, reading)


def _of_version(
    repository: Repository, environment: Environment, version: str, commit: str, reading: Reading
) -> Source:
    if version and not is_version(version):
        raise Refused(f"{version!r} is no version; {environment.name} takes tags vX.Y.Z")
    if not (version and commit):
        tags = {tag: at for tag, at in reading.refs(repository).tags.items() if is_version(tag)}
        version = version or newest_version(tags) or ""
        if version not in tags:
            raise UnknownName(f"version of {repository.name}", version, tags)
        commit = commit or tags[version]
    return Source(environment, repository, commit, version, version=version)


def _of_branch(
    repository: Repository, environment: Environment, wanted: Wanted, reading: Reading
) -> Source:
    branch = environment.ref.branch or repository.main
    if wanted.ref not in ("", branch):
        raise Refused(f"{environment.name} is fed by branch {branch}, not by {wanted.ref!r}")
    commit = wanted.commit or reading.refs(repository).branches.get(branch)
    if not commit:
        raise NotFound(f"{repository.name} has no branch {branch}; push it to GitLab")
    return Source(environment, repository, commit, branch, version=wanted.version or None)
