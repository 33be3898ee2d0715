"""The loader: real distributions on the path, good, broken and misconfigured."""

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from runnerd.plugins import PluginContext, fence
from runnerd.plugins.installed import Standing
from runnerd.plugins.loader import Admission, PluginMisconfigured, PluginUnknown, load_plugins
from runnerd.plugins.local import LocalSettings, LocalStorage
from runnerd.plugins.mlflow import MlflowSettings, MlflowTracker
from runnerd.testing import install_plugin

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
        install_plugin(site, name, name)

    return put


def test_the_built_in_plugins_come_by_the_same_door(context: PluginContext) -> None:
    plugins = load_plugins()
    assert {"local", "mlflow", "subprocess"} <= set(plugins.names())
    assert plugins.unusable == {}
    assert plugins.settings_models()["local"] is LocalSettings
    assert plugins.settings_models()["mlflow"] is MlflowSettings
    assert isinstance(plugins.storage("local", {}, context), LocalStorage)
    assert isinstance(plugins.tracker("mlflow", {}, context), MlflowTracker)


def test_a_third_partys_plugin_gets_its_own_settings(
    install: Install, context: PluginContext
) -> None:
    install(
        "shelf",
        """
        RUNNERD_API = 1
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
        ("RUNNERD_API = 1; import no_such_module", "No module named"),
        ("RUNNERD_API = 1; raise RuntimeError('out of order')", "RuntimeError: out of order"),
        (
            """
            RUNNERD_API = 1
            from runnerd.plugins import hookimpl
            @hookimpl
            def runnerd_settings():
                raise ValueError("no settings today")
            """,
            "ValueError: no settings today",
        ),
        (
            """
            RUNNERD_API = 1
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
    assert list(plugins.unusable) == ["runnerd_test_broken"]
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
        RUNNERD_API = 1
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


GOOD = "RUNNERD_API = 1\nprint('imported')\n"


@pytest.mark.parametrize(
    ("admission", "objection"),
    [
        (Admission(safe_mode=True), "safe mode loads the built-in plugins only"),
        (Admission(deny=("shelf",)), "loader.deny names it"),
        (Admission(allow=("other",)), "loader.allow does not name it"),
        (Admission(allow=("shelf",), deny=("shelf",)), "loader.deny names it"),
        (Admission(allow=("shelf",), safe_mode=True), "safe mode"),
    ],
)
def test_a_plugin_that_is_kept_out_is_not_even_imported(
    install: Install,
    context: PluginContext,
    capsys: pytest.CaptureFixture[str],
    admission: Admission,
    objection: str,
) -> None:
    install("shelf", GOOD)
    plugins = load_plugins(admission)
    assert "imported" not in capsys.readouterr().out.splitlines()
    assert plugins.unusable["shelf"].standing is Standing.KEPT_OUT
    plugins.check({"shelf": {"its": "table stays"}})
    assert isinstance(plugins.storage("local", {}, context), LocalStorage)
    with pytest.raises(PluginUnknown, match=f"installed but can't be used: {objection}"):
        plugins.storage("shelf", {}, context)


def test_an_allowed_plugin_is_loaded_and_described(install: Install, tmp_path: Path) -> None:
    install("shelf", GOOD)
    plugins = load_plugins(Admission(allow=("shelf",)))
    (shelf,) = [each for each in plugins.installed if not each.built_in]
    assert (shelf.standing, shelf.interface) == (Standing.LOADED, 1)
    assert (shelf.name, shelf.distribution, shelf.version) == ("shelf", "shelf", "1")
    assert Path(shelf.place) == tmp_path / "site"
    built_in = {each.name: each for each in plugins.installed if each.built_in}
    assert "runnerd_storage" in built_in["local"].hooks


def test_a_built_in_plugin_can_be_denied_too(context: PluginContext) -> None:
    plugins = load_plugins(Admission(deny=("mlflow",), allow=("x",)))
    assert "local" in plugins.names()
    with pytest.raises(PluginUnknown, match=r"loader\.deny names it"):
        plugins.tracker("mlflow", {}, context)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("RUNNERD_API = 2\nprint('imported')", "written for interface 2, and this runnerd has 1"),
        ("RUNNERD_API: int = 0\nprint('imported')", "interface 0, which this runnerd no longer"),
        ("print('imported')", "write `RUNNERD_API = 1`"),
        ("RUNNERD_API = 'one'\nprint('imported')", "write `RUNNERD_API = 1`"),
    ],
)
def test_a_plugin_of_another_interface_is_refused_in_words_before_it_runs(
    install: Install, capsys: pytest.CaptureFixture[str], source: str, reason: str
) -> None:
    install("shelf", source)
    shelf = load_plugins().unusable["shelf"]
    assert shelf.standing is Standing.REFUSED
    assert reason in shelf.why
    assert "imported" not in capsys.readouterr().out.splitlines()


def test_an_old_interface_that_still_works_is_warned_of() -> None:
    assert fence.refusal(2, newest=3, oldest=2) is None
    assert fence.warning(3, newest=3) is None
    assert "will be dropped" in (fence.warning(2, newest=3) or "")
    assert "has 2 to 3" in (fence.refusal(1, newest=3, oldest=2) or "")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        (
            """
            from runnerd.plugins import hookimpl
            @hookimpl
            def runnerd_storge(name): ...
            """,
            "runnerd_storge is no hook: did you mean 'runnerd_storage'?",
        ),
        (
            """
            from runnerd.plugins import hookimpl
            @hookimpl
            def runnerd_settings():
                return {"local": dict}
            """,
            "its own name: [plugins.shelf]",
        ),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(install: Install, source: str, reason: str) -> None:
    install("shelf", f"RUNNERD_API = 1\n{dedent(source)}")
    plugins = load_plugins()
    assert reason in plugins.unusable["shelf"].why
    assert plugins.settings_models()["local"] is LocalSettings


def test_nobody_takes_a_built_in_plugins_name(
    install: Install, context: PluginContext, tmp_path: Path
) -> None:
    install("local", GOOD)
    plugins = load_plugins()
    assert isinstance(plugins.storage("local", {}, context), LocalStorage)
    (other,) = [each for each in plugins.installed if each.place == str(tmp_path / "site")]
    assert (other.standing, other.why) == (
        Standing.REFUSED,
        "another plugin of this name is loaded already",
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no')", r"could not be built \(RuntimeError: no\)"),
        ("raise TakeOut('the licence is over')", "can't be used: the licence is over"),
        ("return 7", "gave int, which is no Storage"),
        ("return None", "is no storage"),
    ],
)
def test_a_part_that_can_not_be_built_is_said(
    install: Install, context: PluginContext, body: str, reason: str
) -> None:
    install(
        "shelf",
        f"""
        RUNNERD_API = 1
        from runnerd.plugins import TakeOut, hookimpl
        @hookimpl
        def runnerd_storage(name, settings, context):
            {body}
        """,
    )
    with pytest.raises(PluginUnknown, match=reason):
        load_plugins().storage("shelf", {}, context)


@pytest.mark.parametrize(
    ("verb", "refused"),
    [("async def census(self): ...", False), ("async def count(self): ...", True)],
)
def test_a_capability_that_is_declared_and_not_given_is_refused(
    install: Install, context: PluginContext, verb: str, refused: bool
) -> None:
    install(
        "counting",
        f"""
        RUNNERD_API = 1
        from runnerd.plugins import Tracker, TrackerCapability, hookimpl
        from runnerd.testing import FakeTracker

        class Counting(FakeTracker):
            capabilities = frozenset({{TrackerCapability.CENSUS}})
            census = Tracker.census
            {verb}

        @hookimpl
        def runnerd_tracker(name, settings, context):
            return Counting()
        """,
    )
    if refused:
        with pytest.raises(PluginUnknown, match="declares the capability 'census' and has no such"):
            load_plugins().tracker("counting", {}, context)
    else:
        assert load_plugins().tracker("counting", {}, context).capabilities
