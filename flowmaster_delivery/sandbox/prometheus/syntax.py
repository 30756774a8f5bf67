"""The subset of PromQL that is understood, as a tree, and its parser.

expression  = comparison ( "or" comparison )*
comparison  = terms [ (== | != | > | < | >= | <=) terms ]
terms       = sum ( ("+" | "-") sum )*
sum         = factor ( ("*" | "/") factor )*
factor      = number | "(" expression ")" | aggregate | function | selector
aggregate   = (sum | avg | min | max | count) [ by "(" labels ")" ] "(" expression ")" [ by … ]
function    = (rate | increase) "(" selector "[" duration "]" ")" | vector "(" number ")"
            | histogram_quantile "(" [ "-" ] number "," expression ")"
selector    = metric [ "{" label (= | != | =~ | !~) "text" , … "}" ]
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

AGGREGATES = ("sum", "avg", "min", "max", "count")
RANGED = ("rate", "increase")
COMPARISONS = ("==", "!=", ">=", "<=", ">", "<")
LENGTH_LIMIT = 4000
DEPTH_LIMIT = 40

TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?P<unit>ms|[smhd])?
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<sign>=~|!~|==|!=|>=|<=|[-+*/(){}\[\],=<>]))""",
    re.VERBOSE,
)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class QueryError(ValueError):
    """A query that Prometheus would refuse, or that the sandbox does not understand."""


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    sign: str
    value: str

    def accepts(self, found: str) -> bool:
        if self.sign in ("=", "!="):
            return (found == self.value) == (self.sign == "=")
        return (re.fullmatch(self.value, found) is not None) == (self.sign == "=~")


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """`vector(5)`: one sample without labels."""

    value: float


@dataclass(frozen=True, slots=True)
class Selector:
    name: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranged:
    """`rate(selector[window])` or `increase`; `window` in seconds."""

    function: str
    selector: Selector
    window: float


@dataclass(frozen=True, slots=True)
class Aggregate:
    function: str
    by: tuple[str, ...]
    inner: Expression


@dataclass(frozen=True, slots=True)
class Quantile:
    """`histogram_quantile(share, buckets)`."""

    share: float
    inner: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Expression
    right: Expression


Expression = Number | Vector | Selector | Ranged | Aggregate | Quantile | Binary


def parse(query: str) -> Expression:
    """Raise QueryError for what is not in the subset, naming the place."""
    if len(query) > LENGTH_LIMIT:
        raise QueryError(f"the query is longer than {LENGTH_LIMIT} characters")
    parser = _Parser(_tokens(query), query)
    found = parser.expression()
    if parser.token is not None:
        raise parser.fault()
    return found


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(query: str) -> list[_Token]:
    found, at = [], 0
    while query[at:].strip():
        match = TOKEN.match(query, at)
        if match is None or match.lastgroup is None:
            raise QueryError(f"parse error: unexpected character in {query[at : at + 20]!r}")
        kind = "duration" if match["unit"] else "number" if match["number"] else match.lastgroup
        found.append(_Token(kind, match[0].strip(), at))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[_Token], query: str) -> None:
        self._tokens = tokens
        self._query = query
        self._next = 0
        self._depth = 0

    @property
    def token(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def fault(self) -> QueryError:
        token = self.token
        seen = "the end" if token is None else f"{token.text!r} at character {token.at}"
        return QueryError(
            f"parse error: unexpected {seen} of {self._query!r}; the sandbox knows selectors, "
            f"{', '.join(RANGED)}, {', '.join(AGGREGATES)} by (…), histogram_quantile, vector, "
            "+ - * /, comparisons and or"
        )

    def expression(self) -> Expression:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise QueryError("parse error: the query is nested too deeply")
        left = self._chain(("or",), self._comparison)
        self._depth -= 1
        return left

    def _comparison(self) -> Expression:
        left = self._terms()
        if sign := self._take(*COMPARISONS):
            left = Binary(sign, left, self._terms())
        return left

    def _terms(self) -> Expression:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._factor))

    def _chain(self, signs: tuple[str, ...], inner: Callable[[], Expression]) -> Expression:
        left = inner()
        while sign := self._take(*signs):
            left = Binary(sign, left, inner())
        return left

    def _factor(self) -> Expression:
        if self._take("("):
            inner = self.expression()
            self._want(")")
            return inner
        if self.token is not None and (self.token.kind == "number" or self.token.text == "-"):
            return Number(self._signed())
        return self._named(self._name())

    def _named(self, name: str) -> Expression:
        follows = self.token.text if self.token else ""
        if name in AGGREGATES and follows in ("(", "by"):
            return self._aggregate(name)
        if follows == "(":
            return self._function(name)
        return self._selector(name)

    def _aggregate(self, name: str) -> Aggregate:
        by = self._by()
        self._want("(")
        inner = self.expression()
        self._want(")")
        return Aggregate(name, by or self._by(), inner)

    def _by(self) -> tuple[str, ...]:
        if not self._take("by"):
            return ()
        self._want("(")
        labels = [self._name()]
        while self._take(","):
            labels.append(self._name())
        self._want(")")
        return tuple(labels)

    def _function(self, name: str) -> Expression:
        if name not in (*RANGED, "vector", "histogram_quantile"):
            raise QueryError(f"parse error: unknown function with name {name!r} in the sandbox")
        self._want("(")
        if name == "vector":
            found: Expression = Vector(self._signed())
        elif name == "histogram_quantile":
            share = self._signed()
            self._want(",")
            found = Quantile(share, self.expression())
        else:
            selector = self._selector(self._name())
            self._want("[")
            found = Ranged(name, selector, self._duration())
            self._want("]")
        self._want(")")
        return found

    def _selector(self, name: str) -> Selector:
        matchers = []
        if self._take("{"):
            while not self._take("}"):
                matchers.append(self._matcher())
                if not self._take(",") and (self.token is None or self.token.text != "}"):
                    raise self.fault()
        return Selector(name, tuple(matchers))

    def _matcher(self) -> Matcher:
        label = self._name()
        sign = self._take("=", "!=", "=~", "!~")
        token = self.token
        if sign is None or token is None or token.kind != "text":
            raise self.fault()
        self._next += 1
        value = re.sub(r"\\(.)", r"\1", token.text[1:-1])
        if sign in ("=~", "!~"):
            _check_pattern(value)
        return Matcher(label, sign, value)

    def _name(self) -> str:
        return self._of_kind("name")

    def _signed(self) -> float:
        return -self._number() if self._take("-") else self._number()

    def _number(self) -> float:
        return float(self._of_kind("number"))

    def _duration(self) -> float:
        text = self._of_kind("duration")
        number = text.rstrip("mshd")
        return float(number) * UNITS[text[len(number) :]]

    def _of_kind(self, kind: str) -> str:
        token = self.token
        if token is None or token.kind != kind:
            raise self.fault()
        self._next += 1
        return token.text

    def _take(self, *texts: str) -> str | None:
        token = self.token
        if token is None or token.kind == "text" or token.text not in texts:
            return None
        self._next += 1
        return token.text

    def _want(self, text: str) -> None:
        if self._take(text) is None:
            raise self.fault()


def _check_pattern(pattern: str) -> None:
    """Only patterns that cannot take exponential time: no group that is repeated."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise QueryError(f"parse error: invalid regular expression {pattern!r}: {error}") from error
    if re.search(r"\)[*+{]", pattern):
        raise QueryError(f"the sandbox does not take repeated groups: {pattern!r}")
