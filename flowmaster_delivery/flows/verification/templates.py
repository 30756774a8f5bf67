"""What stands in the calls of a smoke test for values that are known only when it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.redaction import forms_of, hidden, without

SECRET = "secret:"  # noqa: S105  # what a reference begins with
LONGEST = 80
"""Characters of a value that are shown."""
PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Missing:
    """There is nothing at a path."""


def found_at(value: object, path: str) -> object:
    """What stands at a dotted path in JSON (`items.0.id`); Missing where there is nothing."""
    for key in path.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return Missing()
    return value


def secrets_in(value: object) -> frozenset[str]:
    """The names of all secrets that a value refers to, in depth."""
    if isinstance(value, Mapping):
        return frozenset().union(*(secrets_in(inner) for inner in value.values()))
    if isinstance(value, list | tuple):
        return frozenset().union(*(secrets_in(inner) for inner in value))
    named = isinstance(value, str) and value.startswith(SECRET)
    return frozenset([str(value).removeprefix(SECRET)] if named else [])


class Values:
    """What earlier steps saved, and the secrets of the installation."""

    def __init__(self, secrets: Callable[[str], str]) -> None:
        self._secrets = secrets
        self._saved: dict[str, object] = {}
        self._used: frozenset[str] = frozenset()

    def save(self, name: str, value: object) -> None:
        self._saved[name] = value

    def filled(self, value: object) -> object:
        """The value with all its places filled, in depth. A place that is all of a text keeps the
        kind of what was saved: a number stays one."""
        if isinstance(value, Mapping):
            return {key: self.filled(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(inner) for inner in value]
        if not isinstance(value, str):
            return value
        if value.startswith(SECRET):
            return self._secret(value.removeprefix(SECRET))
        whole = PLACE.fullmatch(value)
        if whole:
            return self._known(whole[1])
        return PLACE.sub(lambda place: str(self._known(place[1])), value)

    def in_path(self, path: str) -> str:
        """The path with its places filled, each as one segment whatever it contains."""
        return PLACE.sub(lambda place: quote(str(self._known(place[1])), safe=""), path)

    def in_header(self, text: str) -> str:
        """A header's value. What earlier steps saved for it lets somebody in (a session, a token),
        so it is a secret from now on."""
        for place in PLACE.finditer(text):
            self._used |= forms_of(str(self._known(place[1])))
        return str(self.filled(text))

    def hidden(self, words: str) -> str:
        """The words without any secret that was used."""
        return hidden(without(sorted(self._used, key=len, reverse=True), words))

    def shown(self, value: object) -> str:
        """A value of an answer as people may see it: hidden first, then cut."""
        text = self.hidden(repr(value))
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

    def _known(self, name: str) -> object:
        if name not in self._saved:
            raise Permanent(f"no earlier step saved `{name}`; correct it in the catalog")
        return self._saved[name]

    def _secret(self, name: str) -> str:
        value = self._secrets(name)
        if value:
            self._used |= {value} | forms_of(value)
        return value
