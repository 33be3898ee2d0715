"""The documentation speaks of what there is: commands, settings, routes, links."""

import re
from pathlib import Path
from urllib.parse import unquote

from runnerd import plugins, testing
from runnerd.api.app import ENDPOINTS
from runnerd.cli.root import COMMANDS
from runnerd.jobs.states import TRANSITIONS
from runnerd.plugins.loader import load_plugins
from runnerd.settings import Settings
from runnerd.testing import rules_of
from scripts import command_page, plugin_page, settings_page

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
    pages = {str(page.relative_to(root / "docs")) for page in (root / "docs").rglob("*.md")}
    assert pages - {"index.md"} <= linked


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


def test_the_plugin_reference_is_what_the_contracts_say() -> None:
    assert plugin_page.PAGE.read_text() == plugin_page.page(), "run `make docs`"


def test_every_hook_rule_error_and_tool_of_plugins_is_in_the_reference() -> None:
    text = plugin_page.page()
    rules = {name for contract in plugin_page.CONTRACTS for name in rules_of(contract)}
    assert {name for name in rules if f"- **{name}**: " not in text} == set()
    named = {f"`{name}`" for name in [*plugins.__all__, *testing.__all__, *plugin_page.hooks()]}
    beside = {"`hookimpl`", "`API_VERSION`", "`check_key`"}  # used in the text of the others
    headings = set(re.findall(r"^##+ (.+)$", text, re.MULTILINE))
    headings |= {f"`{heading}`" for heading in headings}
    assert named - beside - headings == set()


def test_every_hook_of_the_contracts_has_words_on_when_it_is_called() -> None:
    silent = [
        f"{contract.__name__}.{name}"
        for contract in plugin_page.CONTRACTS
        for name, verb in plugin_page.verbs_of(contract)
        if len(plugin_page.words(verb.__doc__)) < 40
    ]
    assert silent == []
    assert [name for name, hook in plugin_page.hooks().items() if not hook.__doc__] == []


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
