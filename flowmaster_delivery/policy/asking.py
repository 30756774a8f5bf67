"""Asking: who somebody is, by which proof, and whether they may act in an environment.

The same rule when a run is submitted, at the moment of effect, and in the API.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from flowmaster_delivery.model.catalog import Environment

ANONYMOUS = "anonymous"
LOCAL = "local"
USERNAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{0,254}[A-Za-z0-9_-]")
"""A username as GitLab allows it. Nothing of it separates the parts of a grant or a voucher."""


class Via(StrEnum):
    """How it is known who asked."""

    GRANT = "grant"
    PROXY = "proxy"
    GITLAB = "gitlab"
    """GitLab said whose token it is."""
    SANDBOX = "sandbox"
    NOTHING = "nothing"
    UNREADABLE = "unreadable"
    """A request that must have the proxy's header, and whose header names nobody."""


@dataclass(frozen=True, slots=True)
class Asker:
    name: str
    via: Via

    @property
    def known(self) -> bool:
        return self.via not in (Via.NOTHING, Via.UNREADABLE)


def named_by_proxy(values: Sequence[str]) -> Asker:
    """Whom the proxy's header names: exactly one username, or nobody to be believed."""
    if len(values) == 1 and USERNAME.fullmatch(values[0]):
        return Asker(values[0], Via.PROXY)
    return Asker(ANONYMOUS, Via.UNREADABLE)


def people_decide(environment: Environment) -> bool:
    """Whether somebody must be known to ask here."""
    return environment.operators is not None or not environment.automatic


def operators_to_ask(who: Asker, environment: Environment) -> str | None:
    """The group whose member the asker must be; None where that is no question.

    A grant of ours was given after it was asked; the sandbox's local identity may do everything.
    """
    if who.via not in (Via.PROXY, Via.GITLAB):
        return None
    return environment.operators


def not_permitted(who: Asker, environment: Environment, operators: frozenset[str]) -> str | None:
    """Why the asker may not act here, and whom to ask; None where they may.

    `operators` are the members of `operators_to_ask`. Asked when a run is submitted, and again at
    the moment of effect.
    """
    if not people_decide(environment):
        return None
    if not who.known:
        return (
            f"{environment.name} needs to know who asks, and nobody vouches for this caller; "
            "use `flowmaster` with your GitLab token, or come through the authenticating proxy"
        )
    group = operators_to_ask(who, environment)
    if group and who.name not in operators:
        return (
            f"{who.name} is not a member of {group}, which alone may act in {environment.name}; "
            "ask one of that group"
        )
    return None
