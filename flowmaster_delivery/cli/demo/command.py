"""The command: brings up the platform, lives the story, and keeps the UI up where there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.console import out
from flowmaster_delivery.cli.demo.narrator import Narrator
from flowmaster_delivery.cli.demo.stage import Stage
from flowmaster_delivery.cli.demo.story import Story
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.cli.up.command import SERVER_PORT, UI_PORT, chosen_ports, tell_addresses
from flowmaster_delivery.cli.up.platform import Platform, running
from flowmaster_delivery.settings import Settings


@click.command()
@click.option("--exit", "exit_", is_flag=True, help="End after the story, also in a terminal.")
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), help="Folder of all data."
)
@click.option("--port", default=UI_PORT, show_default=True, help="Of the UI; another if taken.")
@click.pass_context
def demo(ctx: click.Context, exit_: bool, home: Path | None, port: int) -> None:
    """A release from a push to production, really lived through on the sandbox.

    Takes about three minutes. In a terminal the UI stays up until Ctrl-C; without one, or
    with --exit, all ends with the story.

    Exit status: 0 if it went as told, 1 if not (with the reason) or if it was interrupted.
    """
    console = out()
    stays = sys.stdin.isatty() and sys.stdout.isatty() and not exit_
    session: Session = ctx.obj
    settings = Settings.from_environ({"DAGSTER_HOME": str(session.settings.home)})
    narrator, told = Narrator(console), False
    ports = chosen_ports(port, SERVER_PORT)
    narrator.step("The platform and its sandbox come up")
    try:
        with running(settings, home or settings.home, ports, console, on_sandbox_=True) as platform:
            tell_addresses(platform, console, narrator.seconds)
            _live(platform, narrator)
            told = True
            if stays:
                _stay(platform, console)
    except (KeyboardInterrupt, click.Abort):
        console.print("\nstopped; nothing is left running")
        ctx.exit(0 if told else 1)


def _live(platform: Platform, narrator: Narrator) -> None:
    catalog = load_catalog(None, platform.settings.overlay)
    Story(Stage(platform, narrator, catalog, platform.sandbox or {})).live()
    words = f"\nThe story went as told, in {narrator.seconds:.0f} s."
    narrator.console.print(Text(words, style="bold green"))


def _stay(platform: Platform, console: Console) -> None:
    console.print(f"\nThe UI stays up: {platform.ports.ui_url} (Ctrl-C ends it)")
    platform.wait()
