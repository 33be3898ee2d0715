"""What `runnerd config` may show."""

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from runnerd.settings import in_force, load


class Guarded(BaseModel):
    bucket: str
    secret: SecretStr | None = None


def test_secrets_are_masked_and_sources_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "database.url = 'sqlite:////pass-1.db'\n"
        "environments.extra_index_urls = ['https://u:pass-2@x']\n"
        "[plugins.guarded]\nbucket = 'b'\nsecret = 'pass-3'\n"
    )
    plugins = {"guarded": Guarded}
    loaded = load(config=file, environ={}, flags={"server.port": 1}, known_plugins=plugins)

    rows = {row.key: row for row in in_force(loaded, plugins)}

    assert "pass-" not in repr(rows)
    assert rows["database.url"].value == "********"
    assert rows["environments.extra_index_urls"].value == ["********"]
    assert rows["plugins.guarded.secret"].value == "********"
    assert rows["plugins.guarded.bucket"].source == str(file)
    assert (rows["server.port"].value, rows["server.port"].source) == (1, "--port")
    assert rows["environments.index_url"].value is None


def test_a_plugin_that_lacks_what_it_needs_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plugins = {"guarded": Guarded}
    loaded = load(config=None, environ={}, flags={}, known_plugins=plugins)
    assert not [row for row in in_force(loaded, plugins) if row.key.startswith("plugins.")]
