"""The command: what it is told, what it prints, how it ends."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from flowmaster_delivery.cli.console import talk
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.cli.up.parts import Ports, free_port
from flowmaster_delivery.cli.up.platform import Platform, running
from flowmaster_delivery.settings import Secret, Settings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
UI_PORT = 3000
SERVER_PORT = 3080
ANY_PORT = 0


@click.command()
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), help="Folder of all data."
)
@click.option("--port", default=UI_PORT, show_default=True, help="Of the UI; another if taken.")
@click.option("--server-port", default=SERVER_PORT, show_default=True, help="Of webhooks and API.")
@click.option("--catalog", type=FILE, help="Your catalog: real servers instead of the sandbox.")
@click.option("--overlay", type=FILE, help="A second catalog file whose values win.")
@click.option("--kubeconfig", type=FILE, help="How the clusters of your catalog are reached.")
@click.option("--gitlab-token-file", type=FILE, help="File with the platform's own GitLab token.")
@click.pass_obj
def up(
    session: Session,
    home: Path | None,
    port: int,
    server_port: int,
    catalog: Path | None,
    overlay: Path | None,
    kubeconfig: Path | None,
    gitlab_token_file: Path | None,
) -> None:
    """Run the whole platform on this machine until Ctrl-C.

    Sandbox (unless real servers are named), code server, webserver, daemon and the server of
    webhooks and API, each a process of its own with its log in HOME/log. With --catalog the far
    end is real: secrets are named by FLOWMASTER_…_FILE, as for any installation.

    Exit status: 0 after Ctrl-C, 1 if a part failed; which one is said, with the end of its log.
    """
    named = _named(session.settings, catalog, overlay, kubeconfig, gitlab_token_file)
    console = talk()
    ports = chosen_ports(port, server_port)
    started = time.monotonic()
    console.print("bringing up the platform")
    on_sandbox = named == session.settings and named.catalog is None
    try:
        with running(named, home or named.home, ports, console, on_sandbox_=on_sandbox) as platform:
            tell_addresses(platform, console, time.monotonic() - started)
            platform.wait()
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")


def chosen_ports(ui: int, server: int) -> Ports:
    """The ports asked for where they are free, others where not.

    The code server's is picked anew each time: gRPC listens with SO_REUSEPORT, so two platforms
    that start at the same moment would share a fixed one and get each other's calls.
    """
    return Ports(ui=free_port(ui), server=free_port(server), code=free_port(ANY_PORT))


def tell_addresses(platform: Platform, console: Console, seconds: float) -> None:
    """Where everything is, and what to try next."""
    console.print(f"\n[bold]up[/bold] after {seconds:.0f} s, all of it in {platform.home.folder}")
    rows = [("UI", platform.ports.ui_url), ("API and webhooks", platform.ports.server_url)]
    told = platform.sandbox
    if told:
        rows += [("GitLab (sandbox)", str(told["gitlab_url"]))]
        rows += [("git remote", str(told["git_remote"]))]
        rows += [("kubectl", f"--kubeconfig {shlex.quote(str(told['kubeconfig']))} get deploy -A")]
        rows += [("inbox (Slack)", f"{told['inbox_url']}/inbox")]
        rows += [("addresses, tokens", str(platform.home.sandbox / "sandbox.json"))]
    for name, value in rows:
        console.print(f"  {name:<18} {value}", soft_wrap=True)
    console.print("  try                flowmaster status    (Ctrl-C here stops all)\n")


def _named(
    settings: Settings,
    catalog: Path | None,
    overlay: Path | None,
    kubeconfig: Path | None,
    gitlab_token_file: Path | None,
) -> Settings:
    """Settings with what the command line says on top."""
    token = Secret(gitlab_token_file, "gitlab_token") if gitlab_token_file else None
    return replace(
        settings,
        catalog=catalog or settings.catalog,
        overlay=overlay or settings.overlay,
        kubeconfig=kubeconfig or settings.kubeconfig,
        gitlab_token=token or settings.gitlab_token,
    )
