"""The documentation speaks of what there is: commands, settings, routes, links."""

import re
from pathlib import Path
from urllib.parse import unquote

from runnerd.api.app import ENDPOINTS
from runnerd.cli.root import COMMANDS
from runnerd.jobs.states import TRANSITIONS
from runnerd.plugins.loader import load_plugins
from runnerd.settings import Settings
from scripts import command_page, settings_page

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = HEADING.findall(FENCE.sub("", text))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_every_link_leads_somewhere(pages: list[Path]) -> None:
    broken = []
    for source in pages:
        for link in LINK.findall(FENCE.sub("", source.read_text())):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (source.parent / path) if path else source
            if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
                broken.append(f"{source.name}: {link}")
    assert broken == []


def test_every_make_target_that_is_named_exists(root: Path, prose: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", prose, re.MULTILINE))
    assert {"install", "demo", "test", "lint", "bench"} <= named <= targets


def test_the_readme_begins_with_what_a_newcomer_types(root: Path) -> None:
    first_block = FENCE.search((root / "README.md").read_text())
    assert first_block is not None
    assert "make demo" in first_block.group()


def test_every_page_is_reached_from_the_index(root: Path) -> None:
    index = (root / "docs" / "index.md").read_text()
    linked = {link.partition("#")[0] for link in LINK.findall(index)}
    assert {page.name for page in (root / "docs").glob("*.md")} - {"index.md"} <= linked


def test_the_settings_page_is_what_the_settings_file_says(root: Path) -> None:
    source = (root / "runnerd.toml").read_text()
    assert settings_page.PAGE.read_text() == settings_page.page(source), "run `make docs`"


def test_every_setting_is_documented(root: Path) -> None:
    source = (root / "runnerd.toml").read_text()
    documented = {(entry.table, entry.key) for entry in settings_page.settings(source)}
    wanted = {
        (f"plugins.{name}", key)
        for name, model in load_plugins().settings_models().items()
        for key in model.model_fields
    }
    for name, field in Settings.model_fields.items():
        keys = getattr(field.annotation, "model_fields", None)
        if name != "plugins":
            wanted |= {(name, key) for key in keys} if keys else {("", name)}
    assert wanted - documented == set()
    assert documented - wanted == set()


def test_the_command_page_is_what_the_commands_say() -> None:
    assert command_page.PAGE.read_text() == command_page.page(), "run `make docs`"


def test_the_command_page_has_every_command_and_option() -> None:
    text = command_page.PAGE.read_text()
    assert {name for name in COMMANDS if f"## `runnerd {name}`" not in text} == set()
    for nested in ("runnerd db upgrade", "runnerd token create"):
        assert f"## `{nested}`" in text
    for option in ("--follow", "--data-dir", "--json", "--url"):
        assert option in text


def test_every_address_has_a_section_with_an_example(root: Path) -> None:
    guide = (root / "docs" / "http-api.md").read_text()
    sections = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^#|\Z)", guide, re.M | re.S))
    addresses = {f"{each.method} {each.documented_path}" for each in ENDPOINTS}
    assert sections.keys() == {address for address in addresses if "/docs/" not in address}
    without = {name for name, body in sections.items() if "curl" not in body}
    assert without == {"GET /docs"}


def test_the_diagram_of_states_has_every_arrow(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text()
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", text, re.MULTILINE))
    assert drawn == {(old.value, new.value) for old, news in TRANSITIONS.items() for new in news}
