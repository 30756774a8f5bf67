"""The container of a smoke test has nothing of the pods that runs are."""

from pathlib import Path
from types import SimpleNamespace

from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext

from flowmaster_delivery.defs.containers import Apart

SECRET = {"name": "secrets", "secret": {"secretName": "flowmaster"}}


def merged(context: object) -> K8sContainerContext:
    """As `execute_k8s_job` makes it."""
    launcher = context.instance.run_launcher  # type: ignore[attr-defined]
    given = launcher if isinstance(launcher, K8sRunLauncher) else None
    run = SimpleNamespace(job_code_origin=None)
    return K8sContainerContext.create_for_run(run, given, include_run_tags=False)  # type: ignore[arg-type]


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""


def test_a_tests_container_has_none_of_the_launchers_volumes_and_no_account(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    launcher = K8sRunLauncher(
        instance_config_map="",
        dagster_home="/home",
        service_account_name="flowmaster-env-production",
        volumes=[SECRET],
        load_incluster_config=False,
        kubeconfig_file=str(kubeconfig),
        k8s_client_batch_api=SimpleNamespace(),
        k8s_client_core_api=SimpleNamespace(),
    )
    step = SimpleNamespace(instance=SimpleNamespace(run_launcher=launcher), retry_number=2)
    assert "flowmaster-env-production" in str(merged(step))
    apart = str(merged(Apart(step)))
    assert "flowmaster" not in apart
    assert Apart(step).retry_number == 2
