"""Vouchers: what the coordinator seals about a run, and what is believed of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowmaster_delivery.defs.submissions import voucher, voucher_in
from flowmaster_delivery.model.seal import Grant, seal
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.policy.submission import Voucher
from tests.defs.conftest import SEAL_KEY

DANA = Asker("dana", Via.PROXY)


def sealed(run_id: str = "r1", who: Asker = DANA, environment: str = "production") -> str:
    return seal(SEAL_KEY, voucher(run_id, who, environment))


def test_a_voucher_says_who_asked_and_where_the_run_may_act() -> None:
    assert voucher_in(sealed(), "r1", SEAL_KEY) == Voucher("r1", DANA, "production")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing of the kind",
        voucher("r1", DANA, "production"),
        sealed()[:-1] + ("0" if sealed()[-1] != "0" else "1"),
        sealed().replace("production", "dev"),
        seal("another key that is long", voucher("r1", DANA, "production")),
        sealed("r2"),
        seal(SEAL_KEY, "r1|dana|proxy"),
        seal(SEAL_KEY, "r1|dana|proxy|production"),
        sealed(who=Asker("dana|grant", Via.PROXY)),
        sealed(environment="dev|production"),
        Grant("r1", "dana", "proxy", datetime(2026, 1, 1, tzinfo=UTC)).sealed(SEAL_KEY),
    ],
    ids=[
        "none",
        "no seal",
        "not sealed",
        "a changed seal",
        "a changed text",
        "another key",
        "another run",
        "an older form",
        "another form",
        "a name with the separator",
        "an environment with the separator",
        "a grant",
    ],
)
def test_whatever_else_vouches_for_nobody(text: str) -> None:
    assert voucher_in(text, "r1", SEAL_KEY) is None
