"""Silence is no answer: not of an index without pages, and not of one that knows nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from supply_chain.judging import Answer, Vulnerability
from supply_chain.pins import Pin
from supply_chain.vulnerabilities import (
    BLIND,
    NOT_NEWEST,
    PROBE,
    ask_index,
    believed,
    from_page,
    from_pip_audit,
)

PIN = Pin("one", "1.0")
HOLE = Vulnerability(frozenset({"PYSEC-1", "CVE-1"}), "reads too far", ("1.1",))
TOLD = {"id": "PYSEC-1", "aliases": ["CVE-1"], "summary": None, "details": "reads\n too far"}


def page(version: str = "1.0", **more: object) -> dict[str, Any]:
    return {
        "info": {"version": version},
        "vulnerabilities": [{**TOLD, "fixed_in": ["1.1"], **more}],
    }


def test_pip_audit_tells_of_a_vulnerability() -> None:
    found = {
        "id": "PYSEC-1",
        "fix_versions": ["1.1"],
        "aliases": ["CVE-1"],
        "description": "reads too far",
    }
    output = {"dependencies": [{"name": "one", "version": "1.0", "vulns": [found]}]}
    assert from_pip_audit([PIN], json.dumps(output), "") == (Answer(PIN, (HOLE,)),)


def test_what_pip_audit_skips_is_not_without_vulnerabilities() -> None:
    output = {"dependencies": [{"name": "one", "skip_reason": "Dependency not found"}]}
    (answer,) = from_pip_audit([PIN], json.dumps(output), "No known vulnerabilities found")
    assert answer.unknown == "the index has no page of this version"


def test_what_pip_audit_leaves_out_is_unknown() -> None:
    (answer,) = from_pip_audit([PIN], '{"dependencies": []}', "")
    assert answer.unknown == "pip-audit left it out"


@pytest.mark.parametrize(
    ("complaints", "said"),
    [("INFO: x\nERROR: cannot connect\n", "ERROR: cannot connect"), ("", "it said nothing")],
)
def test_when_pip_audit_fails_nothing_is_known_and_its_last_words_are_told(
    complaints: str, said: str
) -> None:
    answers = from_pip_audit([PIN, PROBE], "", complaints)
    assert {answer.unknown for answer in answers} == {f"pip-audit failed: {said}"}


def test_whoever_knows_the_probes_holes_is_believed_about_others() -> None:
    assert believed([Answer(PIN), Answer(PROBE, (HOLE,))]) == (Answer(PIN),)


@pytest.mark.parametrize(
    "probe", [Answer(PROBE), Answer(PROBE, unknown="no page")], ids=["clean", "unknown"]
)
def test_whoever_does_not_is_believed_only_in_what_they_found(probe: Answer) -> None:
    guilty, away = Answer(Pin("two", "2"), (HOLE,)), Answer(Pin("three", "3"), unknown="away")
    assert believed([Answer(PIN), guilty, away, probe]) == (
        Answer(PIN, unknown=BLIND),
        guilty,
        away,
    )


def test_a_projects_page_tells_of_its_newest_release() -> None:
    assert from_page(PIN, page()) == Answer(PIN, (HOLE,))


def test_and_of_no_other() -> None:
    assert from_page(PIN, page("1.1")) == Answer(PIN, unknown=NOT_NEWEST)


def test_a_vulnerability_that_was_withdrawn_is_none() -> None:
    assert from_page(PIN, page(withdrawn="2026-01-01T00:00:00Z")) == Answer(PIN)


@pytest.fixture
def index() -> Iterator[str]:
    """An index on loopback: `one` has a page, `odd` one of another form, others have none."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            pages = {"/one/json": page(), "/odd/json": {"info": {"version": "1.0"}}}
            found = pages.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_index_is_asked_for_each_and_one_failure_is_not_the_others(index: str) -> None:
    known, odd, missing = ask_index([PIN, Pin("odd", "1.0"), Pin("no", "1")], index)
    assert known == Answer(PIN, (HOLE,))
    assert odd.unknown == "the index could not be asked: KeyError"
    assert missing.unknown == "the index could not be asked: HTTPError"


def test_an_index_that_is_away_leaves_everything_unknown() -> None:
    (answer,) = ask_index([PIN], "http://127.0.0.1:9")
    assert answer.unknown == "the index could not be asked: ConnectionError"
