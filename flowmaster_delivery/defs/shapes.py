"""What all assets of a service have in common: key, group, owners, references, failures."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    CodeReferencesMetadataValue,
    Failure,
    MetadataValue,
    RetryRequested,
    UrlCodeReference,
)

from flowmaster_delivery.defs.partitions import environments
from flowmaster_delivery.defs.trail import rule_refused
from flowmaster_delivery.model.catalog import Catalog, Service
from flowmaster_delivery.model.errors import DeliveryError, Transient

RETRIES = 4
"""Times that a step is tried again after a transient failure, 3, 6, 12 and 24 s apart."""
FIRST_WAIT = 3


def step_key(service: str, chapter: str) -> str:
    """The step (and op) that materializes `<service>/<chapter>`."""
    return f"{identifier(service)}__{chapter}"


def group_of(catalog: Catalog, repository: str, chapter: str) -> str:
    """`platform_image`: what all repositories begin with tells none from another, and the graph has
    little room."""
    return f"{identifier(repository.removeprefix(f'{catalog.name}-'))}_{chapter}"


def identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def spec(
    catalog: Catalog,
    service: Service,
    chapter: str,
    *,
    deps: tuple[str, ...],
    kinds: set[str],
    description: str,
) -> AssetSpec:
    """`<service>/<chapter>`, partitioned by environment; skippable, so that a no shows as a no."""
    return AssetSpec(
        key=AssetKey([service.name, chapter]),
        deps=[AssetKey([service.name, dep]) for dep in deps],
        description=f"{description}\n\n{service.description}".strip(),
        group_name=group_of(catalog, service.repository, chapter),
        owners=[owner if "@" in owner else f"team:{owner}" for owner in service.owners],
        tags=_tags(service, chapter),
        kinds=kinds,
        partitions_def=environments(catalog),
        metadata={
            **_references(catalog, service),
            "image": catalog.registry_host + "/" + service.image,
        },
        skippable=True,
    )


def _tags(service: Service, chapter: str) -> dict[str, str]:
    tags = {
        "chapter": chapter,
        "repository": service.repository,
        "kind": service.kind.value,
        "criticality": service.criticality.value,
    }
    return {**tags, "placeholder": "true"} if service.placeholder else tags


def _references(catalog: Catalog, service: Service) -> Mapping[str, Any]:
    repository = catalog.repository(service.repository)
    base = f"{catalog.forge_url.rstrip('/')}/{repository.project}/-/tree/{repository.main}"
    url = f"{base}/{service.path}".rstrip("/.")
    reference = UrlCodeReference(url=url, label=f"{service.name} in {repository.project}")
    found = CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": found}


def described(facts: Mapping[str, object]) -> dict[str, MetadataValue[Any]]:
    """Facts for people: addresses become links, numbers stay numbers, what is empty is left out."""
    return {name: _value(fact) for name, fact in facts.items() if fact not in (None, "")}


def _value(fact: object) -> MetadataValue[Any]:
    if isinstance(fact, bool):
        return MetadataValue.bool(fact)
    if isinstance(fact, int):
        return MetadataValue.int(fact)
    if isinstance(fact, float):
        return MetadataValue.float(fact)
    text = str(fact)
    return (
        MetadataValue.url(text)
        if text.startswith(("http://", "https://"))
        else MetadataValue.text(text)
    )


def again_or_failure(context: AssetExecutionContext, message: str) -> Exception:
    """What to raise where the same may go through later: another try, and in the end a failure."""
    if context.retry_number < RETRIES:
        wait = FIRST_WAIT * 2**context.retry_number
        context.log.warning("%s; tried again in %d s", message, wait)
        return RetryRequested(max_retries=RETRIES, seconds_to_wait=wait)
    return Failure(message, allow_retries=False)


@contextmanager
def in_our_words(context: AssetExecutionContext) -> Iterator[None]:
    """A permanent error ends all retries; a transient one is tried again, and then ends too."""
    try:
        yield
    except Transient as error:
        raise again_or_failure(context, str(error)) from error
    except DeliveryError as error:
        rule_refused(context, error)
        raise Failure(str(error), allow_retries=False) from error
