"""Where settings come from, and what is said of wrong ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from runnerd.settings import Loaded, Settings, SettingsInvalid, load


class PluginTable(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str | None = None
    token: SecretStr | None = None
    retries: int = 3
    labels: dict[str, str] = {}


class FreeTable(BaseModel):
    model_config = ConfigDict(extra="allow")


PLUGINS: Mapping[str, type[BaseModel]] = {"mlflow": PluginTable, "free": FreeTable}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings_of(
    file: str | None = None,
    variables: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    plugins: Mapping[str, type[BaseModel]] | None = PLUGINS,
) -> Loaded:
    if file is not None:
        Path("runnerd.toml").write_text(file, encoding="utf-8")
    return load(config=None, environ=variables or {}, flags=flags or {}, known_plugins=plugins)


def problems_of(*sources: Any, **options: Any) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        settings_of(*sources, **options)
    return list(caught.value.problems)


def test_without_any_source_the_defaults_are_in_force() -> None:
    loaded = settings_of()

    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}


def test_flags_override_variables_and_those_the_file() -> None:
    file = "[server]\nhost = '127.0.0.2'\nport = 1\nidle_timeout = 5\n"
    variables = {"RUNNERD_SERVER_PORT": "2", "RUNNERD_SERVER_IDLE_TIMEOUT": "6"}

    loaded = settings_of(file, variables, {"server.port": 3, "server.host": None})

    server = loaded.settings.server
    assert (server.host, server.port, server.idle_timeout) == ("127.0.0.2", 3, 6.0)
    assert loaded.sources["server.host"] == "runnerd.toml"
    assert loaded.sources["server.idle_timeout"] == "RUNNERD_SERVER_IDLE_TIMEOUT"
    assert loaded.sources["server.port"] == "--port"
    assert loaded.sources["server.body_timeout"] == "default"


def test_config_overrides_the_variable_and_that_the_file_of_the_folder(tmp_path: Path) -> None:
    for name, port in (("runnerd", 1), ("named", 2), ("given", 3)):
        (tmp_path / f"{name}.toml").write_text(f"server.port = {port}\n")
    named = {"RUNNERD_CONFIG": str(tmp_path / "named.toml")}

    ports = [
        load(config=config, environ=environ, flags={}).settings.server.port
        for config, environ in ((None, {}), (None, named), (tmp_path / "given.toml", named))
    ]

    assert ports == [1, 2, 3]


@pytest.mark.parametrize("name", ["RUNNERD_JOBS_MAX_RUNNING", "RUNNERD_JOBS__MAX_RUNNING"])
def test_a_variable_has_two_spellings(name: str) -> None:
    assert settings_of(variables={name: "7"}).settings.jobs.max_running == 7


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PATH, HOME", ("PATH", "HOME")),
        ('["PATH", "A,B"]', ("PATH", "A,B")),
        ("", ()),
        ("HOME", ("HOME",)),
    ],
)
def test_lists_are_written_with_commas_or_as_json(text: str, found: tuple[str, ...]) -> None:
    loaded = settings_of(variables={"RUNNERD_JOBS_PASS_ENVIRONMENT": text})
    assert loaded.settings.jobs.pass_environment == found


def test_an_empty_variable_of_a_plain_key_counts_as_not_set() -> None:
    loaded = settings_of(variables={"RUNNERD_SERVER_PORT": "", "RUNNERD_DATA_DIR": ""})
    assert loaded.settings == Settings()


@pytest.mark.parametrize("plugins", [PLUGINS, None])
@pytest.mark.parametrize("name", ["RUNNERD_PLUGINS_MLFLOW_URL", "RUNNERD_PLUGINS__MLFLOW__URL"])
def test_variables_reach_the_tables_of_plugins(
    name: str, plugins: Mapping[str, type[BaseModel]] | None
) -> None:
    loaded = settings_of("[plugins.mlflow]\nretries = 5\n", {name: "http://x"}, plugins=plugins)

    assert loaded.settings.plugins == {"mlflow": {"retries": 5, "url": "http://x"}}
    assert loaded.sources["plugins.mlflow.url"] == name
    assert loaded.sources["plugins.mlflow.retries"] == "runnerd.toml"


def test_a_hyphen_in_a_plugins_name_is_an_underscore_in_its_variables() -> None:
    variables = {"RUNNERD_PLUGINS_FAR_AWAY_URL": "http://x"}
    loaded = settings_of(variables=variables, plugins={"far-away": PLUGINS["mlflow"]})
    assert loaded.settings.plugins == {"far-away": {"url": "http://x"}}


def test_a_table_in_a_variable_is_json_or_pairs() -> None:
    for text in ('{"a": "1", "b": "2"}', "a=1,b=2"):
        loaded = settings_of(variables={"RUNNERD_PLUGINS_MLFLOW_LABELS": text})
        assert loaded.settings.plugins["mlflow"]["labels"] == {"a": "1", "b": "2"}


def test_a_plugin_that_takes_any_key_gets_them_all() -> None:
    loaded = settings_of("[plugins.free]\nanything = { at = 'all' }\n")
    assert loaded.settings.plugins == {"free": {"anything": {"at": "all"}}}


def test_the_data_folder_is_absolute_wherever_the_daemon_goes(tmp_path: Path) -> None:
    assert settings_of(flags={"data_dir": "kept"}).settings.data_dir == tmp_path / "kept"
    home = settings_of("data_dir = '~/kept'\n").settings.data_dir
    assert home == Path.home() / "kept"


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("[server]\nprot = 1", "unknown setting server.prot in {}: did you mean server.port?"),
        ("[servr]\nport = 1", "unknown section [servr] in {}: did you mean [server]?"),
        (
            "[server]\nmax_running = 1",
            "unknown setting server.max_running in {}: did you mean jobs.max_running?",
        ),
        (
            "[plugins.mlflow]\nulr = 'x'",
            "unknown setting plugins.mlflow.ulr in {}: did you mean plugins.mlflow.url?",
        ),
        (
            "[plugins.mlflwo]\nurl = 'x'",
            "unknown section [plugins.mlflwo] in {}: did you mean [plugins.mlflow]?",
        ),
        ("server = 5", "server in {} must be a table: [server]"),
        ("qqqqqqq = 5", "unknown setting qqqqqqq in {}: `runnerd config` lists those that exist"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(file: str, problem: str) -> None:
    assert problems_of(file) == [problem.format("runnerd.toml")]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("RUNNERD_SERVER_PROT", "RUNNERD_SERVER_PORT"),
        ("RUNNERD_DATADIR", "RUNNERD_DATA_DIR"),
        ("RUNNERD_PLUGINS_MLFLOW_ULR", "RUNNERD_PLUGINS_MLFLOW_URL"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(name: str, nearest: str) -> None:
    assert problems_of(None, {name: "1"}) == [f"unknown variable {name}: did you mean {nearest}?"]


def test_variables_that_are_no_settings_are_passed_over() -> None:
    names = ["URL", "TOKEN", "JOB_ID", "TEST_CACHE"]
    links = {
        "RUNNERD_SERVICE_HOST": "10.0.0.1",
        "RUNNERD_SERVICE_PORT": "8000",
        "RUNNERD_SERVICE_PORT_HTTP": "8000",
        "RUNNERD_PORT": "tcp://10.0.0.1:8000",
        "RUNNERD_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "RUNNERD_PORT_8000_TCP_ADDR": "10.0.0.1",
        "RUNNERD_SERVER_PORT": "tcp://10.0.0.2:8000",
        "RUNNERD_POSTGRES_SERVICE_HOST": "10.0.0.3",
    }
    loaded = settings_of(variables={f"RUNNERD_{name}": "x" for name in names} | links)
    assert loaded.settings == Settings()


@pytest.mark.parametrize(
    ("file", "variables", "problem"),
    [
        (
            "server.port = 99999",
            {},
            "server.port = 99999 in runnerd.toml: must be a whole number from 0 to 65535",
        ),
        (
            None,
            {"RUNNERD_SERVER_PORT": "http"},
            'server.port = "http" from RUNNERD_SERVER_PORT: must be a whole number from 0 to 65535',
        ),
        (
            "jobs.grace_seconds = nan",
            {},
            "jobs.grace_seconds = NaN in runnerd.toml: must be a number greater than 0",
        ),
        (
            "jobs.max_running = 0",
            {},
            "jobs.max_running = 0 in runnerd.toml: must be a whole number of at least 1",
        ),
        (
            "log.level = 'loud'",
            {},
            'log.level = "loud" in runnerd.toml: must be debug, info, warning or error',
        ),
        (
            "environments.base = ['a', 1, 2]",
            {},
            'environments.base = ["a", 1, 2] in runnerd.toml: must be a list of texts',
        ),
        (
            "server.allow_unauthenticated = 'perhaps'",
            {},
            'server.allow_unauthenticated = "perhaps" in runnerd.toml: must be true or false',
        ),
        (
            "storage.plugin = ''",
            {},
            'storage.plugin = "" in runnerd.toml: must be a text that is not empty',
        ),
        (
            "jobs.default_timeout = 90000",
            {},
            "[jobs] (runnerd.toml): default_timeout (90000) must lie between min_timeout (1) "
            "and max_timeout (86400)",
        ),
        (
            None,
            {"RUNNERD_ENVIRONMENTS_BASE": '["a"'},
            "environments.base from RUNNERD_ENVIRONMENTS_BASE begins like JSON but is not: "
            "Expecting ',' delimiter at character 5",
        ),
    ],
)
def test_a_bad_value_is_told_with_its_origin_and_what_is_allowed(
    file: str | None, variables: dict[str, str], problem: str
) -> None:
    assert problems_of(file, variables) == [problem]


@pytest.mark.parametrize(
    "file",
    ["database.url = 12345678", "[plugins.mlflow]\ntoken = 12345678"],
)
def test_a_secret_is_not_echoed_when_it_is_wrong(file: str) -> None:
    (problem,) = problems_of(file)
    assert "12345678" not in problem
    assert "********" in problem


def test_everything_that_is_wrong_is_told_at_once() -> None:
    file = "[server]\nprot = 1\nport = -1\n[plugins.mlflow]\nretries = 'many'\n"

    problems = problems_of(file, {"RUNNERD_JOBS_MAX_RUNNNG": "1"}, {"log.level": "loud"})

    assert [problem.split(" in ")[0].split(":")[0] for problem in problems] == [
        "unknown setting server.prot",
        "unknown variable RUNNERD_JOBS_MAX_RUNNNG",
        "server.port = -1",
        'log.level = "loud" from --log-level',
        'plugins.mlflow.retries = "many"',
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[server\n", "is not valid TOML: Expected ']' at the end of a table declaration (at "),
        (b"a = '\xff'\n", "is not UTF-8 text"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid) as caught:
        load(config=file, environ={}, flags={})
    assert str(file) in str(caught.value)
    assert words in str(caught.value)
