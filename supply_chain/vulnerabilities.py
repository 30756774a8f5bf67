"""Who is asked what is known against a pin: pip-audit, and the index itself where that got nothing.

pip-audit asks the index for the page of each version, and takes an index that has no such pages
(many mirrors have none) for one without vulnerabilities, successfully. So its skips are looked at;
the page of the project, which mirrors do have, tells of the newest release. And an index may have
the pages and leave out what is known against them, so both are asked for a package of which much
is known; where they know nothing of that, their silence proves nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
from packaging.version import Version
from pip._internal.models.index import PyPI

from supply_chain.judging import Answer, Vulnerability
from supply_chain.pins import Pin

PROBE = Pin(
    "pycrypto", "2.6.1", ("f2ce1e989b272cfcb677616763e0a2e7ec659effa67a88aa92b3a65528f60a3c",)
)
"""Abandoned with holes that are known since 2017; nobody will release a newer one."""
BLIND = f"whoever was asked knows nothing against {PROBE} either, which has several holes"
NOT_NEWEST = "the index tells of newest releases only, and this is none"
PATIENCE = 20
"""Seconds for one page."""
AT_A_TIME = 4
ALL_OF_IT = 300
"""Seconds for pip-audit."""


def ask(pins: Iterable[Pin]) -> tuple[Answer, ...]:
    """What is known of each."""
    pins = tuple(pins)
    answers = believed(_by_pip_audit((*pins, PROBE)))
    left = [answer.pin for answer in answers if answer.unknown is not None]
    if left:
        again = {a.pin: a for a in believed(ask_index((*left, PROBE), PyPI.pypi_url))}
        answers = tuple(_better(answer, again.get(answer.pin)) for answer in answers)
    return answers


def believed(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """Without the probe's; with it unanswered or clean, silence about others is no answer."""
    sees = any(answer.pin == PROBE and answer.vulnerabilities for answer in answers)
    return tuple(
        answer
        if sees or answer.vulnerabilities or answer.unknown
        else replace(answer, unknown=BLIND)
        for answer in answers
        if answer.pin != PROBE
    )


def _better(first: Answer, second: Answer | None) -> Answer:
    return second if second is not None and first.unknown is not None else first


def _by_pip_audit(pins: Sequence[Pin]) -> tuple[Answer, ...]:
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text("".join(_locked(pin) for pin in pins), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--desc"]
        options = ["--format", "json", "--progress-spinner", "off", "--timeout", str(PATIENCE)]
        done = subprocess.run(  # nosec B603  # a tool of our own lock, no shell
            [*command, *options, "--requirement", str(lock)],
            capture_output=True,
            text=True,
            timeout=ALL_OF_IT,
            check=False,
        )
    return from_pip_audit(pins, done.stdout, done.stderr)


def _locked(pin: Pin) -> str:
    hashes = "".join(f" \\\n    --hash=sha256:{digest}" for digest in pin.hashes)
    return f"{pin.name}=={pin.version}{hashes}\n"


def from_pip_audit(pins: Iterable[Pin], output: str, complaints: str) -> tuple[Answer, ...]:
    """Its answer for each pin. It may have failed; then nothing is known of any."""
    try:
        told = {entry["name"]: entry for entry in json.loads(output)["dependencies"]}
    except ValueError:
        last = (complaints.strip().splitlines() or ["it said nothing"])[-1]
        return tuple(Answer(pin, unknown=f"pip-audit failed: {last}") for pin in pins)
    return tuple(_answer(pin, told.get(pin.name)) for pin in pins)


def _answer(pin: Pin, entry: Mapping[str, Any] | None) -> Answer:
    if entry is None:
        return Answer(pin, unknown="pip-audit left it out")
    if entry.get("skip_reason"):
        return Answer(pin, unknown="the index has no page of this version")
    found = [
        Vulnerability(
            frozenset([vuln["id"], *vuln["aliases"]]),
            _line(vuln["description"]),
            tuple(vuln["fix_versions"]),
        )
        for vuln in entry["vulns"]
    ]
    return Answer(pin, tuple(found))


def ask_index(pins: Iterable[Pin], base: str) -> tuple[Answer, ...]:
    """What the pages of their projects say of the newest releases; `base` is the index's JSON."""
    with requests.Session() as session, ThreadPoolExecutor(AT_A_TIME) as pool:
        return tuple(pool.map(lambda pin: _ask(session, pin, base), pins))


def _ask(session: requests.Session, pin: Pin, base: str) -> Answer:
    try:
        page = session.get(f"{base}/{pin.name}/json", timeout=PATIENCE)
        page.raise_for_status()
        return from_page(pin, page.json())
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        return Answer(pin, unknown=f"the index could not be asked: {type(error).__name__}")


def from_page(pin: Pin, page: Mapping[str, Any]) -> Answer:
    """Raise LookupError, TypeError or ValueError for a page of another form."""
    if Version(page["info"]["version"]) != Version(pin.version):
        return Answer(pin, unknown=NOT_NEWEST)
    found = [
        Vulnerability(
            frozenset([vuln["id"], *vuln["aliases"]]),
            _line(vuln.get("summary") or vuln.get("details") or ""),
            tuple(vuln["fixed_in"]),
        )
        for vuln in page["vulnerabilities"]
        if not vuln.get("withdrawn")
    ]
    return Answer(pin, tuple(found))


def _line(text: str) -> str:
    """The first sentence or so, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LENGTH else f"{flat[:LENGTH]}…"


LENGTH = 140
