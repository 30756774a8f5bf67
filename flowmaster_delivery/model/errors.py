"""What can go wrong, in one tree. The split that matters is whether trying again can help.

DeliveryError
├── Permanent            trying again changes nothing: every retry ends here
│   ├── NotConfigured    this process was not given what it takes
│   ├── CatalogFault     the catalog contradicts itself or names what is not there
│   ├── UnknownName      a service, environment, version that nothing has; with the nearest name
│   ├── Refused          a rule of ours says no: a closed gate, a lock, a missing right
│   │   └── NoWayBack    a rollback that a schema stands in the way of
│   ├── NotFound         the outside world does not have it (image, workload, tag)
│   ├── Denied           the outside world knows us and says no (401, 403)
│   ├── Malformed        an answer or a payload that is not of the form it must have
│   └── Superseded       somebody else changed what we were working on
└── Transient            the same call may go through later
    ├── Unreachable      no answer in time: refused, timed out, 5xx
    └── Throttled        told to wait (429)
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DeliveryError(Exception):
    """Anything that this package raises on purpose. The message is written for people."""


class Permanent(DeliveryError):
    """Trying again changes nothing; it ends all of Dagster's retries."""


class NotConfigured(Permanent):
    """This process was not given what it takes: a setting, a secret, a way to a cluster."""


class CatalogFault(Permanent):
    """The catalog is not usable. `faults` lists every one of them, one line each."""

    def __init__(self, source: str, faults: Iterable[str]) -> None:
        self.source = source
        self.faults = tuple(faults)
        count = len(self.faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        super().__init__(f"{source} has {count} fault{'s' if count != 1 else ''}:\n{lines}")


class UnknownName(Permanent):
    """A name that nothing has, with the nearest valid one beside it."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, tuple(known)
        super().__init__(f"there is no {what} {name!r}; {nearest(name, self.known)}")


class Refused(Permanent):
    """A rule of this platform says no."""


class NoWayBack(Refused):
    """A rollback is refused since a schema stands in its way: people must go forward."""


class NotFound(Permanent):
    """The outside world does not have it."""


class Denied(Permanent):
    """The outside world says that we may not (401, 403)."""


class Malformed(Permanent):
    """An answer or a payload that is not of the form it must have."""


class Superseded(Permanent):
    """Somebody else changed what we were working on; what they did stands."""


class Transient(DeliveryError):
    """The same call may go through later."""


class Unreachable(Transient):
    """No usable answer: connection refused, timed out, or a server's own failure (5xx)."""


class Throttled(Transient):
    """The server told us to wait; `retry_after` is in seconds where it said how long."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


def nearest(name: str, known: Iterable[str]) -> str:
    """Words that lead from a wrong name to a right one: `did you mean 'api-gateway'?`."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:8])
    return f"there are: {shown}{', …' if len(names) > 8 else ''}"
