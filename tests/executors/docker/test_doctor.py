"""``runnerd doctor`` asks for the daemon's address from inside of a container."""

import pytest

from runnerd.cli.checks.reach import reach
from runnerd.settings import Settings
from runnerd.testing.executors.reaching import answering
from tests.docker import DockerEngine
from tests.executors.docker.ground import settings

pytestmark = pytest.mark.docker


def found(tmp_path: object, origin: str, network: str) -> dict[str, str]:
    docker = settings(network=network).model_dump(mode="json", exclude_none=True)
    chosen = Settings.model_validate(
        {"data_dir": tmp_path, "executor": {"others": ["docker"]}, "plugins": {"docker": docker}}
    )
    (finding,) = reach(chosen, origin)
    return {"name": finding.name, "verdict": finding.verdict, "detail": finding.detail}


def test_a_daemon_is_reached_or_not_from_where_scripts_run(
    suite_engine: DockerEngine, tmp_path: object
) -> None:
    assert suite_engine.answers()
    with answering("127.0.0.1") as url:
        inside = found(tmp_path, url, "host")
        assert (inside["name"], inside["verdict"]) == ("from inside docker", "ok")
        apart = found(tmp_path, url, "none")
    assert apart["verdict"] == "fail"
    assert f"scripts do not reach {url}healthz" in apart["detail"]
