"""`flowmaster sandbox`: GitLab, a cluster, a registry and the rest on this machine's loopback."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowmaster_delivery.cli.breaking import ALONE, break_service, mend

if TYPE_CHECKING:
    from flowmaster_delivery.model.catalog import Catalog
    from flowmaster_delivery.sandbox.addresses import Addresses


@click.group(invoke_without_command=True)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=ALONE,
    show_default=True,
    help="Folder of the sandbox; begun anew at each start.",
)
@click.option(
    "--tier",
    type=click.Choice(["free", "premium"]),
    default="free",
    show_default=True,
    help="Which GitLab to be.",
)
@click.option("--empty", is_flag=True, help="No projects, no users but the administrator.")
@click.option(
    "--catalog",
    "catalog_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to seed from.  [default: the catalog shipped with the package]",
)
@click.option("--webhook-url", help="Where the seeded projects' webhooks send to.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Another address of this machine, for clients in containers. Whoever reaches it gets in.",
)
@click.option(
    "--program",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A static Linux program that the images of the sandbox's CI start, on a real cluster.",
)
@click.pass_context
def sandbox(
    ctx: click.Context,
    data: Path,
    tier: str,
    *,
    empty: bool,
    catalog_path: Path | None,
    webhook_url: str | None,
    host: str,
    program: Path | None,
) -> None:
    """Run GitLab, Kubernetes, a registry, Prometheus and inboxes on this machine, until Ctrl-C.

    Addresses, tokens and a kubeconfig are printed, and written to DATA/sandbox.json once all of it
    answers. Nothing leaves this machine. With a command: give an order to the one that runs.
    """
    if ctx.invoked_subcommand is not None:
        return
    from flowmaster_delivery.sandbox.folder import FolderRefused
    from flowmaster_delivery.sandbox.server import WEBHOOK_URL, Options, serve

    options = Options(
        data=data.absolute(),
        catalog=None if empty else _catalog(catalog_path),
        tier="premium" if tier == "premium" else "free",
        webhook_url=webhook_url or WEBHOOK_URL,
        host=host,
        program=program,
    )
    try:
        asyncio.run(serve(options, lambda addresses: _show(addresses, options.data)))
    except (FolderRefused, OSError) as error:
        raise click.ClickException(str(error)) from error


sandbox.add_command(break_service)
sandbox.add_command(mend)


def _catalog(path: Path | None) -> Catalog:
    from flowmaster_delivery.adapters.yaml_catalog import load_catalog

    return load_catalog(path)


def _show(addresses: Addresses, data: Path) -> None:
    """What runs where, and what to try first. Lines are never broken: they are for copying."""
    rows = _rows(addresses)
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    click.secho("The sandbox runs. Nothing of it leaves this machine.\n", bold=True)
    for label, address, about in rows:
        click.echo(f"  {label:<{widths[0]}}  {address:<{widths[1]}}  {about}".rstrip())
    click.echo(f"\nAll of it, as JSON: {data / 'sandbox.json'}\n\nTry:")
    for line in _to_try(addresses):
        click.echo(f"  {line}")
    click.echo("\nCtrl-C ends it.")


def _rows(addresses: Addresses) -> list[tuple[str, str, str]]:
    people = [("", f"as {name}", token) for name, token in addresses.users.items()]
    return [
        ("GitLab", addresses.gitlab_url, ""),
        *people,
        ("git remote", addresses.git_remote, "any of the tokens above, as password"),
        ("Kubernetes", addresses.kubernetes_url, f"kubeconfig: {addresses.kubeconfig}"),
        ("Registry", addresses.registry_url, "a user of GitLab, and the token as password"),
        ("Services", addresses.services_url, "/<environment>/<service>/health"),
        ("Prometheus", addresses.prometheus_url, ""),
        ("Inbox", f"{addresses.inbox_url}/inbox", "Slack, PagerDuty, Grafana"),
        ("Webhooks go to", addresses.webhook_url, ""),
        ("Orders", addresses.control_url, addresses.control_token),
    ]


def _to_try(addresses: Addresses) -> list[str]:
    helper = shlex.quote(f"credential.helper=store --file {shlex.quote(addresses.git_credentials)}")
    lines = [f"kubectl --kubeconfig {shlex.quote(addresses.kubeconfig)} get deploy -A"]
    if addresses.environments:
        lines += [
            f"git -c {helper} clone {addresses.git_remote}",
            f"curl {addresses.services_url}/dev/api-gateway/health",
            "flowmaster sandbox break ai-agent --errors 8%",
        ]
    return lines
