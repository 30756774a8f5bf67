"""Loading: files to a Catalog, or every fault of them in one CatalogFault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from flowmaster_delivery.adapters.yaml_catalog.checks import check, image_of
from flowmaster_delivery.adapters.yaml_catalog.documents import Document, read_documents
from flowmaster_delivery.adapters.yaml_catalog.entries import Entries
from flowmaster_delivery.adapters.yaml_catalog.faults import by_place, of_validation, said
from flowmaster_delivery.adapters.yaml_catalog.safeguards import (
    safeguards,
    safeguards_over,
    smoke_test,
)
from flowmaster_delivery.adapters.yaml_catalog.schema import (
    CatalogFile,
    EnvironmentEntry,
    FreezeEntry,
    HotfixEntry,
    RepositoryEntry,
    RetentionEntry,
    ServiceEntry,
)
from flowmaster_delivery.adapters.yaml_catalog.values import spelled
from flowmaster_delivery.model.analysis import MetricsRule
from flowmaster_delivery.model.catalog import (
    ApprovalRule,
    Catalog,
    Environment,
    FreezeWindow,
    HotfixRule,
    OverrideRule,
    RefKind,
    RefRule,
    Repository,
    Service,
    SoakRule,
)
from flowmaster_delivery.model.errors import CatalogFault
from flowmaster_delivery.model.health import HealthRule
from flowmaster_delivery.model.retention import RetentionRule
from flowmaster_delivery.model.verification import SuiteRule

E = TypeVar("E", bound=BaseModel)

STAND_INS: Mapping[type[BaseModel], tuple[tuple[str, str], ...]] = {
    RepositoryEntry: (("project", "unreadable/{}"),),
    EnvironmentEntry: (("namespace", "unreadable-{}"),),
    ServiceEntry: (("path", "unreadable-{}"),),
}
"""What stands for a faulty field, numbered, while the rest of its entry is checked."""


def load_catalog(path: Path | None, overlay: Path | Sequence[Path] | None = None) -> Catalog:
    """The catalog of a file, or the shipped one where `path` is None; overlays win, last first.

    An overlay has the same form and need only say what differs: mappings are merged, lists and
    values replaced. Raise CatalogFault with every fault, its place, and the nearest valid name.
    """
    overlays = [overlay] if isinstance(overlay, Path) else list(overlay or ())
    paths = [path or shipped("flowmaster.yaml"), *overlays]
    source = " + ".join(str(one) for one in paths)
    document = read_documents(paths)
    faults = list(document.faults)
    entries = _entries(document)
    try:
        whole = CatalogFile.model_validate(document.data)
    except ValidationError as error:
        whole = None
        faults += of_validation(error, CatalogFile, document)
    faults += [said(document, way, words) for way, words in check(entries)]
    if faults or whole is None:
        raise CatalogFault(source, sorted(dict.fromkeys(faults), key=by_place))
    return _catalog(whole, source)


def shipped(name: str) -> Path:
    """A catalog file that comes with the package: `flowmaster.yaml`, `sandbox.yaml`."""
    return Path(str(files("flowmaster_delivery"))) / "catalogs" / name


class _InFileForm(GenerateJsonSchema):
    """Defaults as a file would say them; pydantic's own way to say a time span is ISO 8601."""

    def encode_default(self, dft: object) -> object:
        return spelled(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema(*, overlay: bool = False) -> dict[str, object]:
    """The JSON Schema of a catalog file, or of an overlay, which needs no field to be complete."""
    schema = CatalogFile.model_json_schema(schema_generator=_InFileForm)
    if overlay:
        for part in (schema, *schema["$defs"].values()):
            part.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _entries(document: Document) -> Entries:
    """What is of the right form, so that one broken entry does not hide another's contradiction."""
    sections = {name: document.data.get(name) for name in ("repositories", "environments")}
    sections["services"] = document.data.get("services")
    written = {n: s if isinstance(s, dict) else {} for n, s in sections.items()}
    return Entries(
        repositories=_valid(RepositoryEntry, written["repositories"]),
        environments=_valid(EnvironmentEntry, written["environments"]),
        services=_valid(ServiceEntry, written["services"]),
        names={section: tuple(names) for section, names in written.items()},
        retention=_as_far_as_valid(RetentionEntry, document.data.get("retention"), 0)
        or RetentionEntry(),
    )


def _valid(form: type[E], section: Mapping[str, object]) -> dict[str, E]:
    found = {}
    for number, (name, value) in enumerate(section.items()):
        entry = _as_far_as_valid(form, value, number)
        if entry is not None:
            found[name] = entry
    return found


def _as_far_as_valid(form: type[E], value: object, number: int) -> E | None:
    """The entry without its faulty fields, so that these hide no other fault; None if too few."""
    try:
        return form.model_validate(value)
    except ValidationError as error:
        faulty = {one["loc"][0] for one in error.errors() if one["loc"]}
    if not isinstance(value, dict):
        return None
    rest = {name: given for name, given in value.items() if name not in faulty}
    stand_in = {field: text.format(number) for field, text in STAND_INS.get(form, ())}
    try:
        return form.model_validate({**stand_in, **rest})
    except ValidationError:
        return None


def _catalog(whole: CatalogFile, source: str) -> Catalog:
    upstreams = {n: (e.upstream,) if e.upstream else () for n, e in whole.environments.items()}
    order = tuple(TopologicalSorter(upstreams).static_order())
    return Catalog(
        name=whole.name,
        forge_url=whole.forge_url.rstrip("/"),
        registry_url=whole.registry_url.rstrip("/"),
        repositories={
            name: Repository(name, entry.project, entry.main, entry.ci_stages)
            for name, entry in whole.repositories.items()
        },
        environments={name: _environment(name, whole.environments[name]) for name in order},
        services={name: _service(name, entry, whole) for name, entry in whole.services.items()},
        notify_channel=whole.notify_channel,
        retention=RetentionRule(**dict(whole.retention)),
        source=source,
    )


def _service(name: str, entry: ServiceEntry, whole: CatalogFile) -> Service:
    return Service(
        name=name,
        kind=entry.kind,
        repository=entry.repository,
        path=entry.path,
        image=image_of(name, entry, whole.repositories),
        shared_paths=entry.shared_paths,
        workload=entry.workload or "",
        container=entry.container or "",
        port=entry.port,
        protocol=entry.protocol,
        health_path=entry.health_path,
        depends_on=tuple(dict.fromkeys((*entry.depends_on, *entry.migrations))),
        owners=entry.owners,
        criticality=entry.criticality,
        placeholder=entry.placeholder,
        description=entry.description,
        migrations=entry.migrations,
        smoke=tuple(smoke_test(one) for one in entry.smoke),
        applies=entry.applies,
        safeguards={
            environment: safeguards_over(whole.environments[environment], own)
            for environment, own in entry.safeguards.items()
        },
    )


def _environment(name: str, entry: EnvironmentEntry) -> Environment:
    ref = entry.ref
    return Environment(
        name=name,
        namespace=entry.namespace,
        ref=RefRule(RefKind.BRANCH if ref.branch else RefKind.VERSION, ref.branch),
        upstream=entry.upstream,
        context=entry.context,
        base_url=entry.base_url.rstrip("/") if entry.base_url else None,
        automatic=entry.automatic,
        operators=entry.operators,
        rollout_timeout=entry.rollout_timeout,
        gates=entry.gates,
        soak=SoakRule(**dict(entry.soak)),
        approvals=ApprovalRule(entry.approvals.count, entry.approvals.group or ""),
        freezes=tuple(_freeze(freeze) for freeze in entry.freezes),
        health=HealthRule(**dict(entry.health)),
        safeguards=safeguards(entry),
        metrics=MetricsRule(**dict(entry.metrics)) if entry.metrics else None,
        suites=SuiteRule(**dict(entry.suites)) if entry.suites else None,
        hotfix=_hotfix(entry.hotfix) if entry.hotfix else None,
        override=OverrideRule(**dict(entry.override)) if entry.override else None,
    )


def _hotfix(entry: HotfixEntry) -> HotfixRule:
    return HotfixRule(SoakRule(**dict(entry.soak)), entry.group, entry.branch, entry.label)


def _freeze(entry: FreezeEntry) -> FreezeWindow:
    return FreezeWindow(**dict(entry))
