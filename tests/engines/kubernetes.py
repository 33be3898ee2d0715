"""A real Kubernetes of the tests' own: one node on loopback, made of its own programs.

The programs are those that ``scripts/engines/kubernetes/build FOLDER`` leaves, for which
``RUNNERD_TEST_KUBERNETES`` names the FOLDER. Containers are those of a dockerd of its own. There is
no pod network: pods are on the host's.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uv
import yaml

from tests.engines.certificates import Authority
from tests.s3 import free_port

ROOT = Path(__file__).parents[2]
NODE = "127.0.0.1"
START_SECONDS = 120.0
PAUSE_IMAGE = "runnerd-pause:1"
ADDRESSES = "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"


class KubernetesCluster:
    """``folder`` holds all of it; ``image`` is an image with Python that its node has."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        self.image = "runnerd-python:1"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {name: free_port() for name in ("api", "etcd", "peer", "kubelet", "kcm", "ks")}
        self.authority = Authority(folder / "pki")
        self.docker = f"unix://{folder}/docker.sock"
        # Memory, since etcd waits for the disk with each write.
        self.memory = Path(tempfile.mkdtemp(prefix="etcd-", dir="/dev/shm"))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports['api']}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "admin.kubeconfig"

    def start(self) -> None:
        self._make_certificates()
        self._run_dockerd()
        self._run_control_plane()
        self._run("kubelet", *self._kubelet())
        self.until_ready()

    def stop(self) -> None:
        for name in ("kubelet", "kube-scheduler", "kube-controller-manager"):
            self._end(name)
        with suppress(subprocess.SubprocessError):
            containers = self.run_docker("ps", "-aq").split()
            if containers:
                self.run_docker("rm", "-f", *containers)
        for name in ("kube-apiserver", "etcd", "dockerd"):
            self._end(name)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            mounted = line.split()[1]
            if mounted.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", mounted], check=False)
        for group in sorted(Path("/sys/fs/cgroup").glob("*/kubepods/**/"), reverse=True):
            with suppress(OSError):
                group.rmdir()
        shutil.rmtree(self.memory, ignore_errors=True)

    def stop_api_server(self) -> None:
        self._end("kube-apiserver")

    def start_api_server(self) -> None:
        self._run("kube-apiserver", *self._api_server())
        self._until(lambda: self.try_kubectl("get", "--raw", "/readyz"))

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run a command as an administrator would; gives what it prints."""
        done = self._kubectl(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_kubectl(self, *arguments: str) -> str:
        """Run a command that may fail; gives what it prints, empty where it failed."""
        done = self._kubectl(*arguments)
        return done.stdout if done.returncode == 0 else ""

    def items(self, kind: str, namespace: str) -> list[dict[str, object]]:
        """List objects."""
        listed = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json"))
        items: list[dict[str, object]] = listed["items"]
        return items

    def run_docker(self, *arguments: str, given: bytes | None = None) -> str:
        """Run a docker command against the node's engine."""
        done = subprocess.run(
            ["docker", "-H", self.docker, *arguments],
            input=given,
            capture_output=True,
            timeout=120,
            check=True,
        )
        return done.stdout.decode()

    def make_namespace(self, name: str) -> str:
        """Make a namespace, and wait until pods can be made in it."""
        self.kubectl("create", "namespace", name)
        self._until(lambda: self.try_kubectl("get", "serviceaccount", "default", "-n", name))
        return name

    def write_kubeconfig(self, path: Path, user: dict[str, str]) -> Path:
        """Write a kubeconfig with the user's credentials."""
        authority = base64.b64encode(self.authority.certificate.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "user"}}],
            "current-context": "tests",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def until_ready(self) -> None:
        """Wait until the node takes pods."""
        ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        self._until(lambda: self.try_kubectl("get", "node", NODE, "-o", ready) == "True")
        self._until(lambda: self.try_kubectl("get", "serviceaccount", "default"))

    def _kubectl(
        self, *arguments: str, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.binaries / "kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _make_certificates(self) -> None:
        authority = self.authority
        authority.issue("apiserver", "/CN=kube-apiserver", ADDRESSES)
        authority.issue("admin", "/O=system:masters/CN=admin")
        authority.issue("node", f"/O=system:nodes/CN=system:node:{NODE}")
        authority.issue("kubelet", "/CN=kubelet", "IP:127.0.0.1,DNS:localhost")
        authority.make_key("accounts")
        for name in ("admin", "node"):
            user = {
                "client-certificate": str(authority.file(name, "crt")),
                "client-key": str(authority.file(name, "key")),
            }
            self.write_kubeconfig(self.folder / f"{name}.kubeconfig", user)

    def _run_dockerd(self) -> None:
        data = self.folder / "docker"
        self._run(
            "dockerd",
            *("-H", self.docker, "--data-root", data, "--exec-root", self.folder / "exec"),
            *("--pidfile", self.folder / "dockerd.pid", "--bridge=none", "--iptables=false"),
            program="dockerd",
        )
        self._until(lambda: self._try_docker("version"))
        with tempfile.TemporaryFile() as archive:
            tar = ["tar", "-C", str(self.binaries), "-c", "pause"]
            subprocess.run(tar, stdout=archive, check=True)
            archive.seek(0)
            self.run_docker(
                *("import", "-c", 'ENTRYPOINT ["/pause"]', "-", PAUSE_IMAGE), given=archive.read()
            )

        script = str(ROOT / "scripts/engines/python-image")
        subprocess.run(
            [script, self.image, sys.executable, uv.find_uv_bin()],
            env={**os.environ, "DOCKER_HOST": self.docker},
            capture_output=True,
            timeout=120,
            check=True,
        )

    def _try_docker(self, *arguments: str) -> str:
        try:
            return self.run_docker(*arguments)
        except subprocess.CalledProcessError:
            return ""

    def _run_control_plane(self) -> None:
        urls = {name: f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "peer")}
        self._run(
            "etcd",
            *("--data-dir", self.memory, "--listen-client-urls", urls["etcd"]),
            *("--advertise-client-urls", urls["etcd"], "--listen-peer-urls", urls["peer"]),
            *("--initial-advertise-peer-urls", urls["peer"]),
            *("--initial-cluster", f"default={urls['peer']}"),
        )
        self.start_api_server()
        common = ("--kubeconfig", self.kubeconfig, "--leader-elect=false", "--port=0")
        self._run(
            "kube-controller-manager",
            *(*common, f"--secure-port={self.ports['kcm']}", "--bind-address=127.0.0.1"),
            f"--service-account-private-key-file={self.authority.file('accounts', 'key')}",
            f"--root-ca-file={self.authority.certificate}",
            "--feature-gates=TTLAfterFinished=true",
            "--controllers=*,-nodeipam,-route,-service,-cloud-node-lifecycle",
        )
        self._run(
            "kube-scheduler",
            *(*common, f"--secure-port={self.ports['ks']}", "--bind-address=127.0.0.1"),
        )

    def _api_server(self) -> list[str]:
        file = self.authority.file
        return [
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports['api']}",
            "--insecure-port=0",
            f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--endpoint-reconciler-type=none",
            f"--client-ca-file={self.authority.certificate}",
            f"--tls-cert-file={file('apiserver', 'crt')}",
            f"--tls-private-key-file={file('apiserver', 'key')}",
            f"--kubelet-client-certificate={file('admin', 'crt')}",
            f"--kubelet-client-key={file('admin', 'key')}",
            f"--kubelet-certificate-authority={self.authority.certificate}",
            "--kubelet-preferred-address-types=Hostname",
            f"--service-account-key-file={file('accounts', 'key')}",
            f"--service-account-signing-key-file={file('accounts', 'key')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--feature-gates=TTLAfterFinished=true",
        ]

    def _kubelet(self) -> list[str]:
        file = self.authority.file
        return [
            f"--kubeconfig={self.folder / 'node.kubeconfig'}",
            f"--hostname-override={NODE}",
            "--address=127.0.0.1",
            f"--port={self.ports['kubelet']}",
            "--read-only-port=0",
            "--healthz-port=0",
            f"--tls-cert-file={file('kubelet', 'crt')}",
            f"--tls-private-key-file={file('kubelet', 'key')}",
            f"--client-ca-file={self.authority.certificate}",
            "--anonymous-auth=false",
            "--authorization-mode=AlwaysAllow",
            f"--root-dir={self.folder / 'kubelet'}",
            "--container-runtime=docker",
            f"--docker-endpoint={self.docker}",
            f"--pod-infra-container-image={PAUSE_IMAGE}",
            "--cgroup-driver=cgroupfs",
            "--fail-swap-on=false",
            "--make-iptables-util-chains=false",
            "--image-gc-high-threshold=100",
            "--eviction-hard=memory.available<50Mi",
            "--register-node=true",
            "--max-pods=50",
            "--node-status-update-frequency=1s",
        ]

    def _run(self, name: str, *arguments: str | Path, program: str | None = None) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                [program or self.binaries / name, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _until(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_so():
            for name, process in self.processes.items():
                words = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                assert process.poll() is None, f"{name} ended: {words}"
            assert time.monotonic() < deadline, "the cluster did not come up"
            time.sleep(0.1)


@contextmanager
def kubernetes_cluster() -> Iterator[KubernetesCluster]:
    """Run a cluster; a test that asks for one is skipped where it can't be had."""
    binaries = Path(os.environ.get("RUNNERD_TEST_KUBERNETES", "/nonexistent")) / "bin"
    if not (binaries / "kubelet").exists():
        pytest.skip(
            "no Kubernetes: `scripts/engines/kubernetes/build FOLDER` makes one, and "
            "RUNNERD_TEST_KUBERNETES=FOLDER names it"
        )
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("no Kubernetes: its node needs root and Docker's dockerd")
    folder = Path(tempfile.mkdtemp(prefix="kube-"))
    cluster = KubernetesCluster(binaries, folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
