"""Finding the cluster, and how to sign in to it."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from runnerd.executors.kubernetes import cluster
from runnerd.executors.kubernetes.cluster import SettingsUnusable, find_cluster


def write(folder: Path, user: dict[str, Any], name: str = "config", **context: str) -> Path:
    path = folder / name
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"https://{name}.example.org:6443/"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "first", "context": {"cluster": "c", "user": "u", **context}},
            {"name": "second", "context": {"cluster": "c", "user": "u", "namespace": "other"}},
        ],
        "current-context": "first",
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_token_and_a_namespace_of_the_current_context(tmp_path: Path) -> None:
    found = find_cluster(write(tmp_path, {"token": "t0k"}, namespace="ml"))
    assert (found.server, found.namespace) == ("https://config.example.org:6443", "ml")
    assert found.bearer() == "t0k"
    assert "t0k" not in repr(found)


def test_another_context_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, {})
    assert find_cluster(path, "second").namespace == "other"
    with pytest.raises(SettingsUnusable, match="no context 'third'"):
        find_cluster(path, "third")


def test_a_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("one\n")
    found = find_cluster(write(tmp_path, {"tokenFile": "token"}))
    assert found.bearer() == "one"
    (tmp_path / "token").write_text("two\n")
    assert found.bearer() == "one"
    monkeypatch.setattr(cluster, "TOKEN_SECONDS", -1.0)
    assert found.bearer() == "two"


@pytest.mark.parametrize("method", ["exec", "auth-provider"])
def test_a_sign_in_program_is_refused_in_words(tmp_path: Path, method: str) -> None:
    with pytest.raises(SettingsUnusable, match="token of a service account"):
        find_cluster(write(tmp_path, {method: {"command": "aws"}}))


@pytest.mark.parametrize("text", ["{", "[]", "contexts: 3", ""])
def test_what_is_no_kubeconfig_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SettingsUnusable):
        find_cluster(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsUnusable, match="nowhere can't be read: No such file"):
        find_cluster(tmp_path / "nowhere")


def test_without_settings_the_usual_places_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsUnusable, match=r"plugins\.kubernetes\.kubeconfig"):
        find_cluster(None)
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube", {})
    assert find_cluster(None).server.startswith("https://config.")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{write(tmp_path, {}, 'named')}")
    assert find_cluster(None).server.startswith("https://named.")


def test_in_a_pod_the_service_account_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: str
) -> None:
    for name, text in {"token": "pod", "namespace": "jobs", "ca.crt": authority}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(cluster, "POD_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = find_cluster(None)
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "jobs")
    assert found.bearer() == "pod"


def test_certificates_stand_in_the_file_or_beside_it(tmp_path: Path, authority: str) -> None:
    path = write(tmp_path, {})
    config = yaml.safe_load(path.read_text())
    inside = base64.b64encode(authority.encode()).decode()
    config["clusters"][0]["cluster"]["certificate-authority-data"] = inside
    path.write_text(yaml.safe_dump(config))
    assert len(find_cluster(path).tls.get_ca_certs()) == 1
