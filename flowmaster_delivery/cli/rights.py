"""`flowmaster rights`: the Roles that the platform needs, for those who do not install by Helm."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

import click

from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.rights import Right

Role = dict[str, Any]


@click.command()
@click.argument("environment", required=False)
@click.option("--outside", is_flag=True, help="The platform does not run on the cluster itself.")
@click.option("--json", "as_json", is_flag=True, help="A List of objects instead of YAML.")
@click.pass_obj
def rights(session: Session, environment: str | None, outside: bool, as_json: bool) -> None:
    """The Roles that the platform needs on the cluster of ENVIRONMENT, or on all: for its runs and
    its watch (flowmaster-changes), and for its server, which reads (flowmaster-views).

    They come from the catalog: a canary, a migration or a smoke test in a container needs more.
    Bind each to a ServiceAccount; `flowmaster doctor` checks what was bound.
    """
    from flowmaster_delivery.adapters.yaml_catalog import load_catalog

    catalog = load_catalog(*session.catalog_files())
    places = list(catalog.environments.values())
    if environment is not None:
        places = [catalog.environment(environment)]
    roles = [role for place in places for role in roles_of(place, catalog, inside=not outside)]
    if as_json:
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": roles}, indent=2))
    else:
        click.echo(_yaml(roles), nl=False)


def roles_of(environment: Environment, catalog: Catalog, *, inside: bool) -> Iterator[Role]:
    """Of one environment, as Kubernetes takes them."""
    from flowmaster_delivery.policy.rights import rights_of, viewing_rights

    changing = rights_of(environment, catalog, inside=inside)
    yield role("flowmaster-changes", environment.namespace, changing)
    yield role("flowmaster-views", environment.namespace, viewing_rights())


def role(name: str, namespace: str, given: Iterable[Right]) -> Role:
    """A Role of exactly these rights."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [_rule(right) for right in given],
    }


def _rule(right: Right) -> Role:
    names = {"resourceNames": list(right.names)} if right.names else {}
    return {
        "apiGroups": [right.group],
        "resources": [right.resource],
        **names,
        "verbs": list(right.verbs),
    }


def _yaml(documents: list[Role]) -> str:
    from ruamel.yaml import YAML

    writer, text = YAML(), StringIO()
    writer.explicit_start = True
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump_all(documents, text)
    return text.getvalue()
