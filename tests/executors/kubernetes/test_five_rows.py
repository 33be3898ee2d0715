"""The five rows with jobs in pods, and the daemon killed in the middle of the job."""

import json
import signal
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import running_daemon, wait_for
from scripts.five_rows import ROWS, SCRIPT, Answers
from tests.engines.kubernetes import KubernetesCluster
from tests.s3 import free_port

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]
# The daemon builds the model's environment of its own, beside a whole cluster on this machine.
PATIENCE = 300.0
SETTINGS = """
[executor]
plugin = "kubernetes"
[plugins.kubernetes]
image = {image}
namespace = {namespace}
kubeconfig = {kubeconfig}
image_pull_policy = "Never"
pod_overlay = {{ spec = {{ hostNetwork = true }} }}
cache = {{ hostPath = {{ path = {cache} }} }}
"""


@pytest.mark.parametrize("moment", ["claimed", "started"])
def test_the_five_rows_with_the_daemon_killed(
    kubernetes: KubernetesCluster, tmp_path: Path, package_cache: Path, moment: str
) -> None:
    namespace = kubernetes.make_namespace(f"five-rows-{moment}")
    given = {
        "image": kubernetes.image,
        "namespace": namespace,
        "kubeconfig": str(kubernetes.kubeconfig),
        "cache": str(package_cache.parent),
    }
    config = tmp_path / "runnerd.toml"
    config.write_text(SETTINGS.format(**{key: json.dumps(text) for key, text in given.items()}))
    data_dir, port = tmp_path / "data", str(free_port())
    arguments = ("--port", port, "--config", str(config))
    answers = Answers()

    def say(_: str) -> None:
        """Nobody looks on."""

    with running_daemon(data_dir, package_cache, arguments=arguments) as daemon:
        with daemon.client() as client:
            ROWS["Connectivity"](client, answers, say)
        job = daemon.submit(
            SCRIPT.read_text(),
            script_name=SCRIPT.name,
            experiment_name="iris",
            model_name=answers.model_name,
            requirements=["scikit-learn"],
        )
        wait_for(daemon, job["job_id"], moment)
        daemon.stop(signal.SIGKILL)
    with running_daemon(data_dir, package_cache, arguments=arguments) as daemon:
        done = daemon.ended(job["job_id"], seconds=600)
        assert (done["status"], done["error"]) == ("completed", None), done
        assert done["attempt"] == 1
        assert done["logs"].count("accuracy") == 1
        answers.job_id, answers.run_id = job["job_id"], done["run_id"]
        answers.version = done["model_version"]
        with httpx.Client(base_url=daemon.url, timeout=PATIENCE) as client:
            for name in ("Tracking", "Models", "Inference"):
                ROWS[name](client, answers, say)
    left = kubernetes.kubectl("get", "jobs,secrets,pods", "-n", namespace, "-o", "name")
    assert [name for name in left.split() if "default-token" not in name] == []
