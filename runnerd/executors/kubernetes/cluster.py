"""Where the API server is, and who we are to it: from inside the cluster, or from a kubeconfig."""

import base64
import os
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runnerd.plugins import PluginError

POD_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Tokens of a pod's service account are renewed in place; the old one is good for minutes yet.
TOKEN_SECONDS = 60.0


class SettingsUnusable(PluginError):
    """With these settings the executor can't work: a person must change them."""


@dataclass
class Cluster:
    """``server`` is the API server's address; ``namespace`` the one that goes with the sign-in.

    ``token`` is a bearer token, or ``token_file`` holds one that may change at any time.
    """

    server: str
    namespace: str
    tls: ssl.SSLContext = field(repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    _read_at: float = field(default=0.0, repr=False)

    def bearer(self) -> str | None:
        """Give the token to sign in with, None where a client certificate does."""
        if self.token_file is not None and time.monotonic() - self._read_at > TOKEN_SECONDS:
            self.token = self.token_file.read_text().strip()
            self._read_at = time.monotonic()
        return self.token


def find_cluster(kubeconfig: Path | None, context: str = "") -> Cluster:
    """Find the cluster: the kubeconfig given, the pod we are in, $KUBECONFIG, ~/.kube/config.

    Raises ``SettingsUnusable``.
    """
    if kubeconfig is not None:
        return _from_file(kubeconfig.expanduser(), context)
    if "KUBERNETES_SERVICE_HOST" in os.environ and (POD_ACCOUNT / "token").exists():
        return _from_pod()
    named = [Path(name) for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    for path in [*named, Path.home() / ".kube" / "config"]:
        if path.exists():
            return _from_file(path, context)
    raise SettingsUnusable(
        "no Kubernetes cluster is known here: set plugins.kubernetes.kubeconfig to a kubeconfig "
        "file, or run the daemon in a pod with a service account"
    )


def _from_pod() -> Cluster:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return Cluster(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(POD_ACCOUNT / "namespace").read_text().strip(),
        tls=ssl.create_default_context(cafile=str(POD_ACCOUNT / "ca.crt")),
        token_file=POD_ACCOUNT / "token",
    )


def _from_file(path: Path, context: str) -> Cluster:
    try:
        config = yaml.safe_load(path.read_text())
        return _from_config(config, context, path.parent)
    except OSError as error:
        raise SettingsUnusable(f"the kubeconfig {path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise SettingsUnusable(f"{path} is not a kubeconfig that can be used: {error}") from error


def _from_config(config: Mapping[str, Any], context: str, folder: Path) -> Cluster:
    chosen = _named(config, "context", context or config.get("current-context") or "")
    cluster = _named(config, "cluster", chosen["cluster"])
    user = _named(config, "user", chosen["user"]) if chosen.get("user") else {}
    for unsupported in ("exec", "auth-provider"):
        if unsupported in user:
            raise SettingsUnusable(
                f"the kubeconfig signs in with {unsupported!r}, which runnerd does not run: give "
                "it a kubeconfig with the token of a service account or a client certificate"
            )
    file = user.get("tokenFile")
    return Cluster(
        server=cluster["server"].rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        tls=_tls(cluster, user, folder),
        token=None if file else user.get("token"),
        token_file=folder / file if file else None,
    )


def _named(config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in config.get(f"{kind}s") or ():
        if entry.get("name") == name:
            return dict(entry[kind] or {})
    raise SettingsUnusable(f"the kubeconfig has no {kind} {name!r}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    tls = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    elif authority := _content(cluster, "certificate-authority", folder):
        tls = ssl.create_default_context(cadata=authority.decode())
    certificate = _content(user, "client-certificate", folder)
    key = _content(user, "client-key", folder)
    if certificate is not None and key is not None:
        # ssl takes these from files only.
        with tempfile.NamedTemporaryFile() as both:  # readable by this user alone
            both.write(certificate + b"\n" + key)
            both.flush()
            tls.load_cert_chain(both.name)
    return tls


def _content(entry: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """Give what stands in the file itself as base64, or else in the file that it names."""
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(str(data))
    if path := entry.get(name):
        return (folder / str(path)).read_bytes()
    return None
