"""What is done beside a rollback."""

from __future__ import annotations

import subprocess
import sys

TELLS_LATE = """
import time
from flowmaster_delivery.flows.work import in_a_thread

def tell() -> None:
    time.sleep(0.2)
    print("told")

in_a_thread(tell)
"""


def test_what_is_told_aside_is_told_although_the_process_has_come_to_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", TELLS_LATE], capture_output=True, text=True)
    assert done.stdout == "told\n", done.stderr
