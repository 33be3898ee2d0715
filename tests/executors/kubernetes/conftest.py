"""The cluster of the executor's tests."""

from collections.abc import Iterator

import pytest

from tests.engines.certificates import Authority
from tests.engines.kubernetes import KubernetesCluster, kubernetes_cluster


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[KubernetesCluster]:
    """One cluster for all tests; each class makes its own namespace."""
    with kubernetes_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The certificate of an authority."""
    return Authority(tmp_path_factory.mktemp("authority") / "pki").certificate.read_text()
