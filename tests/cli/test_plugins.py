"""`runnerd plugins list` and `check`, with a daemon and without one."""

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from runnerd.cli import configuration
from runnerd.holding import hold_data_dir
from runnerd.testing import install_plugin
from runnerd.testing.daemons import RunningDaemon
from tests.cli.conftest import Run

SHELF = """
from pydantic import BaseModel
from runnerd.plugins import BackendAway, Storage, hookimpl
from runnerd.plugins.local import LocalStorage
RUNNERD_API = 1

class Settings(BaseModel, extra="forbid"):
    board: str

class Wobbly(LocalStorage):
    async def list(self, prefix):
        raise BackendAway("the shelf wobbles")

@hookimpl
def runnerd_settings():
    return {"shelf": Settings}

@hookimpl
def runnerd_storage(name, settings, context):
    if settings.board == "wobbly":
        return Wobbly(context.data_dir)
    return LocalStorage(context.data_dir)
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage plugin of somebody else's is installed."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "shelf.py").write_text(dedent(SHELF))
    install_plugin(site, "shelf", "shelf")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "shelf", raising=False)
    configuration._loaded.cache_clear()


@pytest.mark.usefixtures("shelf")
def test_without_a_daemon_the_list_is_what_is_installed(
    run: Run, tmp_path: Path, closed_port: int
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    ran = run("plugins", "list", "--json", "--url", url, RUNNERD_LOADER_DENY="mlflow")
    assert ran.code == 0
    assert "no daemon answers" in ran.err
    found = {each["name"]: each for each in json.loads(ran.out)}
    assert found["shelf"] | {"version": "1", "built_in": False} == found["shelf"]
    assert found["shelf"]["place"] == str(tmp_path / "site")
    assert found["shelf"]["hooks"] == ["runnerd_settings", "runnerd_storage"]
    assert (found["mlflow"]["standing"], found["mlflow"]["why"]) == (
        "kept_out",
        "loader.deny names it",
    )


@pytest.mark.slow
def test_a_daemon_tells_its_own_plugins_and_their_health(run: Run, daemon: RunningDaemon) -> None:
    ran = run("plugins", "list", "--json", "--url", daemon.url)
    found = {each["name"]: each for each in json.loads(ran.out)}
    assert found["local"]["used_as"] == ["storage"]
    assert found["local"]["health"]["condition"] == "healthy"
    table = run("plugins", "list", "--url", daemon.url, COLUMNS="200").out
    assert "built in" in table


def verdicts(out: str) -> dict[str, str]:
    return {finding["name"]: finding["verdict"] for finding in json.loads(out)}


@pytest.mark.usefixtures("shelf")
def test_a_check_tries_what_the_daemon_will_do(run: Run, tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path / "data"), "--json")
    good = run("plugins", "check", "shelf", *place, RUNNERD_PLUGINS_SHELF_BOARD="oak")
    assert good.code == 0
    assert set(verdicts(good.out).values()) == {"ok"}
    assert {"open", "health", "put", "get", "list", "delete"} <= verdicts(good.out).keys()
    wobbly = run("plugins", "check", "shelf", *place, RUNNERD_PLUGINS_SHELF_BOARD="wobbly")
    assert wobbly.code == 1
    last = json.loads(wobbly.out)[-1]
    assert (last["name"], last["verdict"], last["detail"]) == ("list", "fail", "the shelf wobbles")
    assert "[plugins.shelf]" in last["cure"]


@pytest.mark.usefixtures("shelf")
def test_a_check_says_which_setting_is_missing_or_why_it_is_kept_out(
    run: Run, tmp_path: Path
) -> None:
    place = ("--data-dir", str(tmp_path / "data"), "--json")
    unset = json.loads(run("plugins", "check", "shelf", *place).out)[-1]
    assert unset["detail"] == "[plugins.shelf]: board: Field required"
    kept_out = run("plugins", "check", "shelf", *place, RUNNERD_LOADER_SAFE_MODE="true")
    assert kept_out.code == 1
    assert "safe mode" in json.loads(kept_out.out)[0]["detail"]
    unknown = run("plugins", "check", "shef", *place)
    assert "did you mean 'shelf'?" in json.loads(unknown.out)[0]["detail"]


def test_a_tracker_is_not_started_beside_a_daemons(run: Run, tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "data"):
        ran = run("plugins", "check", "mlflow", "--data-dir", str(tmp_path / "data"), "--json")
    assert ran.code == 0
    last = json.loads(ran.out)[-1]
    assert (last["name"], last["verdict"]) == ("tracker", "warn")
    assert "runnerd plugins list" in last["cure"]


def test_a_subprocess_executor_is_probed(run: Run, tmp_path: Path) -> None:
    ran = run("plugins", "check", "subprocess", "--data-dir", str(tmp_path / "data"))
    assert ran.code == 0, ran.out
    assert "never ran" in ran.out
