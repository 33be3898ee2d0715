"""The loader: real distributions on the path, good, broken and misconfigured."""

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from runnerd.plugins import PluginContext
from runnerd.plugins.loader import PluginMisconfigured, PluginUnknown, load_plugins
from runnerd.plugins.local import LocalSettings, LocalStorage
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker

Install = Callable[[str, str], None]


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext(tmp_path / "data", "http://127.0.0.1:8000")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one module and an entry point of the same name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(name: str, source: str) -> None:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (site / f"{name}.py").write_text(dedent(source))
        information = site / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_text(f"[runnerd]\n{name} = {name}\n")

    return put


def test_the_built_in_plugins_come_by_the_same_door(context: PluginContext) -> None:
    plugins = load_plugins()
    assert {"local", "mlflow", "subprocess"} <= set(plugins.names())
    assert plugins.broken == {}
    assert plugins.settings_models()["local"] is LocalSettings
    assert plugins.settings_models()["mlflow"] is MlflowSettings
    assert isinstance(plugins.storage("local", {}, context), LocalStorage)
    assert isinstance(plugins.tracker("mlflow", {}, context), MlflowTracker)


def test_a_third_partys_plugin_gets_its_own_settings(
    install: Install, context: PluginContext
) -> None:
    install(
        "runnerd_test_shelf",
        """
        from pathlib import Path
        from pydantic import BaseModel
        from runnerd.plugins import hookimpl
        from runnerd.plugins.local import LocalStorage

        class Shelf(BaseModel):
            board: Path

        @hookimpl
        def runnerd_settings():
            return {"shelf": Shelf}

        @hookimpl
        def runnerd_storage(name, settings, context):
            return LocalStorage(settings.board)
        """,
    )
    plugins = load_plugins()
    assert isinstance(plugins.storage("shelf", {"board": "/x"}, context), LocalStorage)
    with pytest.raises(PluginMisconfigured, match=r"\[plugins.shelf\]: board: Field required"):
        plugins.storage("shelf", {}, context)
    with pytest.raises(PluginUnknown, match="'shelf' is no tracker"):
        plugins.tracker("shelf", {"board": "/x"}, context)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
        ("raise RuntimeError('out of order')", "RuntimeError: out of order"),
        (
            """
            from runnerd.plugins import hookimpl
            @hookimpl
            def runnerd_settings():
                raise ValueError("no settings today")
            """,
            "ValueError: no settings today",
        ),
        (
            """
            from runnerd.plugins import hookimpl
            @hookimpl
            def runnerd_storage(name, settings, contxt):
                return None
            """,
            "contxt",
        ),
    ],
)
def test_a_broken_plugin_takes_down_itself_only(
    install: Install, context: PluginContext, source: str, reason: str
) -> None:
    install("runnerd_test_broken", source)
    plugins = load_plugins()
    assert list(plugins.broken) == ["runnerd_test_broken"]
    assert isinstance(plugins.storage("local", {}, context), LocalStorage)
    plugins.check({"runnerd_test_broken": {"whatever": 1}})
    with pytest.raises(PluginUnknown, match="installed but can't be used") as caught:
        plugins.storage("runnerd_test_broken", {}, context)
    assert reason in str(caught.value)


def test_a_plugin_that_builds_badly_is_not_asked_for_anothers_name(
    install: Install, context: PluginContext
) -> None:
    install(
        "runnerd_test_greedy",
        """
        from runnerd.plugins import hookimpl
        @hookimpl
        def runnerd_storage(name, settings, context):
            raise RuntimeError(name)
        """,
    )
    assert isinstance(load_plugins().storage("local", {}, context), LocalStorage)


def test_an_unknown_name_gets_the_nearest(context: PluginContext) -> None:
    plugins = load_plugins()
    with pytest.raises(PluginUnknown, match=r"no plugin 'locl' for the storage: .*'local'\?"):
        plugins.storage("locl", {}, context)
    with pytest.raises(PluginMisconfigured, match=r"\[plugins.mlfow\].*'mlflow'\?"):
        plugins.check({"local": {}, "mlfow": {}})


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"ulr": "http://x"}, r"the key 'ulr' does not exist: did you mean 'url'\?"),
        ({"url": "ftp://x"}, "url: "),
        ({"url": "http://name:secret@x"}, "url: "),
        ({"username": "x"}, "username and password belong together"),
        ({"token": "x"}, "credentials need a url"),
        ({"url": "http://x", "backend_store_uri": "sqlite:///x"}, "not both"),
        ({"max_concurrency": 0}, "max_concurrency: "),
    ],
)
def test_a_wrong_table_names_the_key(
    context: PluginContext, table: dict[str, object], fault: str
) -> None:
    with pytest.raises(PluginMisconfigured, match=rf"^\[plugins.mlflow\]: .*{fault}") as caught:
        load_plugins().tracker("mlflow", table, context)
    assert "secret" not in str(caught.value)
