"""`make sbom`: the image's bill of materials in CycloneDX, checked by the standard's schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from supply_chain.bom import bill
from supply_chain.pins import pins

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-image.lock"
SPEC = "1.6"


def main(environment: str, target: str) -> int:
    """`environment` is the interpreter of one that holds the lock, `target` the file to write."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    options = ["--spec-version", SPEC, "--output-format", "JSON", "--no-validate"]
    project = ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application", environment]
    done = subprocess.run(  # nosec B603  # a tool of our own lock, no shell
        [*command, *options, *project], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return 1
    try:
        made = bill(json.loads(done.stdout), pins(LOCK.read_text(encoding="utf-8")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    text = json.dumps(made, indent=2, sort_keys=True) + "\n"
    faults = faults_of(text)
    if faults:
        print(f"no valid CycloneDX {SPEC}: {faults}", file=sys.stderr)
        return 1
    Path(target).parent.mkdir(exist_ok=True)
    Path(target).write_text(text, encoding="utf-8")
    print(f"{target}: {len(made['components'])} components, CycloneDX {SPEC}")
    return 0


def faults_of(text: str) -> str | None:
    """What the standard's own schema finds wrong."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.from_version(SPEC)).validate_str(text)
    return None if found is None else str(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
