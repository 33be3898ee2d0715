"""In which environment a model is served: the one of its tag, or one by its own requirements."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import runnerd.runner
from runnerd.environments import BuildFailed, Environments, IndexAway, Unresolvable
from runnerd.plugins import BackendAway, Tracker
from runnerd.plugins.local.storage import LocalStorage
from runnerd.serving import ModelUnusable, Serving
from runnerd.serving.environment import TAG, environment_of
from tests.serving.registry import OneEnvironment, Registry, upload, version

pytestmark = pytest.mark.anyio

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY")
REQUIREMENTS = """\
# what it was trained with
mlflow==3.17.2
--extra-index-url https://index.invalid/simple
scikit-learn==1.9.1  # pinned
cloudpickle==3.1.1 --hash=sha256:0
pandas<4 ; python_version > "3"

"""


@pytest.fixture
def environment(tmp_path: Path) -> OneEnvironment:
    return OneEnvironment(tmp_path / "environment", tmp_path / "lock", known={"key"})


async def served_in(environment: OneEnvironment, files: Path, tags: dict[str, str]) -> None:
    found = version("m", "1", "artifacts/m", tags)
    asked = cast(Environments, environment)
    async with environment_of(found, files, asked, ("mlflow",)) as (folder, lock):
        assert folder == environment.folder
        os.fstat(lock)


async def test_the_environment_that_trained_a_model_serves_it(
    environment: OneEnvironment, tmp_path: Path
) -> None:
    await served_in(environment, tmp_path, {TAG: "key"})
    assert (environment.planned, environment.resolved) == (["key"], [])


@pytest.mark.parametrize("tags", [{}, {TAG: "forgotten"}])
async def test_other_models_get_what_they_were_logged_with(
    tags: dict[str, str], environment: OneEnvironment, tmp_path: Path
) -> None:
    await served_in(environment, tmp_path, tags)
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    await served_in(environment, tmp_path, tags)
    theirs = (
        *("mlflow==3.17.2", "scikit-learn==1.9.1", "cloudpickle==3.1.1"),
        'pandas<4 ; python_version > "3"',
    )
    assert environment.resolved == [("mlflow",), theirs]


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (lambda: IndexAway("the index does not answer"), BackendAway),
        (lambda: Unresolvable("no such package"), ModelUnusable),
        (lambda: BuildFailed("no such package"), ModelUnusable),
    ],
)
async def test_why_there_is_no_environment_is_told(
    fault: Callable[[], Exception],
    verdict: type[Exception],
    environment: OneEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_plan: Any) -> Any:
        raise fault()

    monkeypatch.setattr(environment, "ready", fail)
    with pytest.raises(verdict, match=str(fault())):
        await served_in(environment, tmp_path, {})


@pytest.mark.slow
async def test_a_model_is_served_in_a_real_environment_of_its_own(
    tmp_path: Path, zoo: Path, answers: dict[str, Any], package_cache: Path
) -> None:
    environments = Environments(
        root=tmp_path / "environments",
        cache=package_cache,
        runner=Path(runnerd.runner.__file__).with_name("runner.py"),
        base=lambda: (),
        constraints=(),
        python=None,
        index_url=None,
        extra_index_urls=(),
        allow_urls=False,
        resolve_timeout=120.0,
        build_timeout=600.0,
        max_bytes=1,
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )
    storage, registry = LocalStorage(tmp_path / "storage"), Registry()
    await environments.open()
    await storage.open()
    await upload(storage, zoo / "forest", "artifacts/forest")
    registry.add("forest", "artifacts/forest")
    serving = Serving(
        tracker=cast(Tracker, registry),
        storage=storage,
        environments=environments,
        models_dir=tmp_path / "models",
        sockets_dir=tmp_path / "serving",
        max_workers=1,
        idle_seconds=600.0,
        load_timeout=600.0,
        predict_timeout=60.0,
        max_rows=1000,
        variables={"PATH": os.defpath},
        base=lambda: (),
    )
    await serving.open()
    try:
        known = answers["forest"]
        answer = await serving.predict("forest", None, known["inputs"], probabilities=True)
        assert answer.predictions == known["predictions"]
        assert answer.probabilities == known["probabilities"]
        (folder,) = (tmp_path / "environments").glob("*/bin/python")
        assert await environments.sweep() == []
        assert folder.exists()
    finally:
        await serving.close()
        await environments.close()
