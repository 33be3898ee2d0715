"""What the executor's tests trust."""

import pytest

from tests.engines.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The certificate of an authority."""
    return Authority(tmp_path_factory.mktemp("authority") / "pki").certificate.read_text()
