"""The documented default: ``runnerd.toml`` at the root."""

import re
import tomllib
from pathlib import Path

import pytest

from runnerd.plugins.loader import load_plugins
from runnerd.settings import Settings, load
from runnerd.settings.keys import KeyPath, known_keys

FILE = Path(__file__).parents[2] / "runnerd.toml"


def _keys_of(text: str) -> set[KeyPath]:
    section: KeyPath = ()
    found = set()
    for line in text.splitlines():
        if header := re.fullmatch(r"\[([\w.]+)\]", line):
            section = tuple(header[1].split("."))
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            found.add((*section, key[1]))
    return found


def test_it_gives_exactly_the_defaults() -> None:
    plugins = load_plugins().settings_models()

    loaded = load(config=FILE, environ={}, flags={}, known_plugins=plugins)

    assert loaded.settings.model_copy(update={"plugins": {}}) == Settings()
    for name, table in loaded.settings.plugins.items():
        assert plugins[name].model_validate(table) == plugins[name]()


def test_every_key_stands_in_it_and_no_other() -> None:
    built_in = {"docker", "kubernetes", "local", "mlflow", "s3", "subprocess"}
    models = load_plugins().settings_models()
    keys = known_keys({name: models[name] for name in built_in})

    assert _keys_of(FILE.read_text(encoding="utf-8")) == set(keys.fields)


def test_every_key_has_a_comment() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"(# )?[a-z_]+ = ", line)
        and not before.startswith("# ")
        and not line.startswith(("max_timeout", "default_timeout", "extra_index_urls"))
    ]
    assert bare == []


def test_what_is_commented_out_can_be_uncommented() -> None:
    text = re.sub(r"(?m)^# (?=[a-z_]+ = )", "", FILE.read_text(encoding="utf-8"))
    assert "data_dir" in tomllib.loads(text)


@pytest.mark.parametrize("key", ["jobs.finish_timeout", "server.port"])
def test_a_changed_default_would_be_noticed(key: str, tmp_path: Path) -> None:
    name = key.rpartition(".")[2]
    changed = re.sub(rf"(?m)^{name} = .*$", f"{name} = 77", FILE.read_text(encoding="utf-8"))
    file = tmp_path / "runnerd.toml"
    file.write_text(changed, encoding="utf-8")

    loaded = load(config=file, environ={}, flags={})

    assert loaded.settings.model_copy(update={"plugins": {}}) != Settings()
