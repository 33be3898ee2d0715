"""Installing a plugin for a test, with no package index and no build."""

from pathlib import Path


def install_plugin(site: Path, name: str, module: str) -> None:
    """Make the plugin ``name`` installed where ``site`` is on Python's path.

    ``module`` is what its entry point names; it has to be importable there. The distribution is
    called ``name`` and has version 1.
    """
    information = site / f"{name.replace('-', '_')}-1.dist-info"
    information.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    (information / "METADATA").write_text(metadata)
    (information / "entry_points.txt").write_text(f"[runnerd]\n{name} = {module}\n")
