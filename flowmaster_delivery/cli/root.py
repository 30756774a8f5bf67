"""The command group: which commands there are, where they live, and how errors end."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from flowmaster_delivery.cli.session import Session, exit_status
from flowmaster_delivery.model.errors import DeliveryError, nearest
from flowmaster_delivery.redaction import hidden
from flowmaster_delivery.settings import Settings

COMMANDS: Mapping[str, tuple[str, str]] = {
    "status": ("status", "What runs where: services by environments."),
    "plan": ("plan", "What promoting a version would do, with every reason against it."),
    "promote": ("promote", "Ship a version to an environment, if all its gates are open."),
    "approve": ("approve", "Approve a version with your own GitLab token, or withdraw."),
    "override": ("override", "Let a version past one closed gate, or list who did."),
    "rollback": ("rollback", "Bring services back to a version or to the previous one."),
    "canary": ("canary", "Show canaries; pause, resume, promote, abort them."),
    "incident": ("incident", "What spoke against releases: reports, and your decision."),
    "hold": ("hold", "List, place and release holds."),
    "audit": ("audit", "Who did what, why, when and from where; verify that record."),
    "replay": ("replay", "What a policy would have done with what happened."),
    "migration": ("migration", "Where each schema is, and a person's word on it."),
    "doctor": ("doctor", "Check from here what the platform can reach and may do."),
    "uninstall": ("uninstall", "Take away what the platform made on the clusters."),
    "retain": ("retain", "Remove what is old and evidence of nothing."),
    "rights": ("rights", "The Roles that the platform needs on its clusters."),
    "adopt": ("adopt", "Take over what runs in an environment already."),
    "catalog": ("catalog", "Check a catalog file; print its JSON schema."),
    "up": ("up", "Run the whole platform on this machine."),
    "demo": ("demo", "Live through a release, from a push to production."),
    "serve": ("serve", "Run the platform's server: webhooks and API."),
    "watch": ("watch", "Run the watch of environments by itself."),
    "daemon": ("daemon", "Run Dagster's daemon, and show that it works."),
    "alive": ("alive", "Whether a part does its work: what probes ask."),
    "webserver": ("webserver", "Run Dagster's UI with the rights of whoever asks."),
    "sandbox": ("sandbox", "Run the sandbox alone: GitLab, Kubernetes, registry and more."),
}
"""Command to its module, and what `--help` says of it without importing that."""


class LazyGroup(click.Group):
    """Commands are imported when they are used; errors of ours end in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's form
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's form
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"flowmaster_delivery.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's form
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DeliveryError as error:
            click.echo(f"flowmaster: {hidden(str(error))}", err=True)
            ctx.exit(exit_status(error))


@click.group(cls=LazyGroup)
@click.version_option(package_name="flowmaster-delivery")
@click.pass_context
def main(ctx: click.Context) -> None:
    """From a push in GitLab to production on Kubernetes, and back.

    \b
    Exit status: 0 done, 1 refused or failed, 2 wrong usage or unknown name,
    3 something that is needed cannot be reached.

    The server is found by FLOWMASTER_URL, else by what `flowmaster up` left in DAGSTER_HOME (or
    ./.flowmaster). Who you are is told by FLOWMASTER_TOKEN, your own GitLab token with the scope
    read_user; outside the sandbox nothing is told to anybody without one.
    """
    if ctx.obj is None:
        ctx.obj = Session(Settings.from_environ())
