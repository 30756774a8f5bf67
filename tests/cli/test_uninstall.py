"""`flowmaster uninstall`: what could not be taken away is named, and the status says so."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.settings import Settings
from tests.builders import catalog_yaml


def uninstalled(folder: Path, kubeconfig: Path, *words: str) -> Result:
    (folder / "catalog.yaml").write_text(catalog_yaml(1))
    settings = Settings.from_environ(
        {
            "FLOWMASTER_CATALOG": str(folder / "catalog.yaml"),
            "FLOWMASTER_KUBECONFIG": str(kubeconfig),
        }
    )
    return CliRunner().invoke(main, ["uninstall", *words], obj=Session(settings))


def test_without_a_way_to_the_cluster_each_environment_is_named(tmp_path: Path) -> None:
    done = uninstalled(tmp_path, tmp_path / "none")
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line.partition(" could not")[0] for line in lines] == [
        f"flowmaster: the leases of {name}" for name in ("dev", "staging", "production")
    ]
    assert "kubeconfig" in lines[0]
