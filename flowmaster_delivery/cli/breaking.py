"""`flowmaster sandbox break` and `mend`: anyone may play the release that turns bad."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx
from click.core import ParameterSource

from flowmaster_delivery.cli.console import short
from flowmaster_delivery.cli.session import ServerSaid, Session
from flowmaster_delivery.model.errors import Malformed, Unreachable

FILE = "sandbox.json"
ALONE = Path(".flowmaster") / "sandbox"
"""Where `flowmaster sandbox` puts its data if nobody says where."""
ILLNESSES = "--errors 8%, --slow 900ms, --down or --crash"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
LONGEST = 3600.0
NUMBER = r"\d{1,9}(?:\.\d{1,9})?"

folder = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the sandbox.  [default: that of `flowmaster up`, or of `flowmaster sandbox`]",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="An object, for machines.")


def share(text: str) -> float:
    """`8%` as 0.08."""
    match = re.fullmatch(rf"({NUMBER})%", text)
    found = float(match[1]) / 100 if match else 0.0
    if not 0 < found <= 1:
        raise click.BadParameter(f"{text!r} is no share of requests above 0% and up to 100%: 8%")
    return found


def seconds(text: str) -> float:
    """`900ms` as 0.9."""
    match = re.fullmatch(rf"({NUMBER})(ms|s|m)", text)
    found = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not 0 < found <= LONGEST:
        raise click.BadParameter(f"{text!r} is no time above 0 and up to an hour: 900ms, 2s")
    return found


@dataclass(frozen=True, slots=True)
class Control:
    """Where a running sandbox takes its orders."""

    url: str
    client: httpx.Client

    def order(self, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        try:
            response = self.client.post(f"/sandbox/{path}", json=body)
            said: Mapping[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable(
                f"the sandbox at {self.url} takes no orders ({type(error).__name__}); "
                "start it with `flowmaster up` or `flowmaster sandbox`"
            ) from error
        if response.is_success:
            return said
        raise ServerSaid(response.status_code, str(said.get("error", response.text[:200])))


@click.command("break", short_help="Make what runs of SERVICE ill.")
@click.argument("service")
@click.option("--environment", default="production", show_default=True)
@click.option(
    "--errors", type=share, metavar="SHARE", help="Share of requests answered 503, such as 8%."
)
@click.option(
    "--slow",
    type=seconds,
    metavar="TIME",
    help="Time that every answer takes longer, such as 900ms.",
)
@click.option("--down", is_flag=True, help="Connections are closed; pods are not ready.")
@click.option("--crash", is_flag=True, help="Its process ends again and again.")
@folder
@as_json_option
@click.pass_context
def break_service(
    ctx: click.Context,
    service: str,
    environment: str,
    errors: float | None,
    slow: float | None,
    down: bool,
    crash: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Make what runs of SERVICE ill, in the sandbox: its canary where there is one.

    The order is for the image that runs now, wherever it runs in the environment, until it is
    mended; another image, as after a rollback, is well. A new order replaces the last one.
    """
    if [bool(errors or slow), down, crash].count(True) != 1:
        raise click.UsageError(
            f"say what shall be wrong with {service}: {ILLNESSES}; "
            "only --errors and --slow go together"
        )
    told = {"failure_rate": errors, "delay": slow, "down": down, "crash": crash}
    order = {name: value for name, value in told.items() if value}
    data = data or _named_before(ctx)
    broken = dict(
        _control(ctx, data).order(
            f"break/{quote(service, safe='')}/{quote(environment, safe='')}", order
        )
    )
    broken |= {"order": order, "undo": _undo(service, data)}
    if as_json:
        click.echo(json.dumps(broken, indent=2))
        return
    pods = f"{broken['pods']} pod{'s' if broken['pods'] != 1 else ''}"
    click.echo(f"{service} is broken in {environment}: {'; '.join(_words(order))}")
    click.echo(f"image {short(broken['digest'])}, {pods} now; other images are well")
    click.echo(f"undo: {broken['undo']}")


@click.command(short_help="Take back every order that made SERVICE ill.")
@click.argument("service")
@folder
@as_json_option
@click.pass_context
def mend(ctx: click.Context, service: str, data: Path | None, as_json: bool) -> None:
    """Take back every order that made SERVICE ill, in all environments."""
    mended = _control(ctx, data or _named_before(ctx)).order(f"mend/{quote(service, safe='')}")
    if as_json:
        click.echo(json.dumps(mended, indent=2))
    elif mended["orders"]:
        click.echo(f"{service} is well again")
    else:
        click.echo(f"{service} was well: no order made it ill")


def _words(order: Mapping[str, Any]) -> list[str]:
    said = []
    if "failure_rate" in order:
        said.append(f"{order['failure_rate'] * 100:g} % of its answers are 503")
    if "delay" in order:
        said.append(f"every answer takes {order['delay']:g} s longer")
    if "down" in order:
        said.append("it closes connections without an answer, and its pods are not ready")
    if "crash" in order:
        said.append("its process crashes")
    return said


def _named_before(ctx: click.Context) -> Path | None:
    """The folder that stands before the command: `flowmaster sandbox --data … break …`."""
    above = ctx.parent
    if above is None or above.get_parameter_source("data") is not ParameterSource.COMMANDLINE:
        return None
    data: Path = above.params["data"]
    return data


def _undo(service: str, data: Path | None) -> str:
    where = f" --data {shlex.quote(str(data))}" if data else ""
    return f"flowmaster sandbox mend {service}{where}"


def _control(ctx: click.Context, data: Path | None) -> Control:
    """Of the sandbox in `data`; else of the one under `flowmaster up`, or started alone."""
    session: Session = ctx.obj
    files = [
        place / FILE for place in ([data] if data else [session.settings.home / "sandbox", ALONE])
    ]
    told = next((file for file in files if file.exists()), None)
    if told is None:
        raise Unreachable(
            f"no sandbox runs here: there is no {' or '.join(map(str, dict.fromkeys(files)))}; "
            "start one with `flowmaster up` or `flowmaster sandbox`, or name its folder by --data"
        )
    try:
        addresses = json.loads(told.read_text(encoding="utf-8"))
        url, token = str(addresses["control_url"]), addresses["control_token"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{told} does not tell where the sandbox is; start it anew") from error
    return Control(url, session.connect(url, {"Authorization": f"Bearer {token}"}))
