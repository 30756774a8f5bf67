"""A lock is read as what it installs in the image."""

from __future__ import annotations

from pathlib import Path

import pytest

from supply_chain.pins import Pin, pins

ROOT = Path(__file__).parents[2]
ONE, OTHER = "a" * 64, "b" * 64


def test_a_pin_has_its_version_and_the_hashes_of_its_files() -> None:
    lock = f"one-two==1.0 \\\n    --hash=sha256:{ONE} \\\n    --hash=sha256:{OTHER}\n"
    assert pins(lock) == (Pin("one-two", "1.0", (ONE, OTHER)),)


def test_what_another_system_needs_is_not_in_the_image() -> None:
    lock = "".join(
        f"{name}==1.0 ; {marker} \\\n    --hash=sha256:{ONE}\n"
        for name, marker in [("win", "sys_platform == 'win32'"), ("linux", "os_name == 'posix'")]
    )
    assert [pin.name for pin in pins(lock)] == ["linux"]


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("one==1.0\n", "one 1.0 has no hash"),
        (f"one==1.0 \\\n    --hash=sha256:{ONE}\ntwo==2.0\n", "two 2.0 has no hash"),
        ("one>=1.0\n", "no pin of a lock: 'one>=1.0'"),
    ],
)
def test_a_package_without_a_pin_or_a_hash_is_refused(lock: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pins(lock)


def test_the_images_lock_is_read_whole() -> None:
    found = pins((ROOT / "requirements-image.lock").read_text(encoding="utf-8"))
    names = [pin.name for pin in found]
    assert len(names) > 90
    assert {"dagster", "ruamel-yaml", "uvloop"} <= set(names)
    assert len(set(names)) == len(names)
