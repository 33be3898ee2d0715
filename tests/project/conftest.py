"""What the tests of the project's own files share."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked_files(root: Path) -> list[Path]:
    """Every text file that git knows, lock files aside."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True
    )
    names = [name for name in listed.stdout.split("\0") if name and not name.endswith(".lock")]
    return [root / name for name in names if (root / name).is_file()]


@pytest.fixture(scope="session")
def pages(root: Path) -> list[Path]:
    return [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]


@pytest.fixture(scope="session")
def prose(pages: list[Path]) -> str:
    """Everything that is written for users, as one text."""
    return "\n".join(page.read_text() for page in pages)
