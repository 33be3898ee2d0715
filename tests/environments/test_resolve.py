"""Resolving against the real index: locks, keys, and reasons that people can read."""

import sys
from pathlib import Path

import pytest

from runnerd.environments import EnvironmentUnknown, InterpreterMissing, Unresolvable
from tests.environments.conftest import Open

pytestmark = pytest.mark.anyio


async def test_a_lock_pins_everything_with_hashes(open_environments: Open) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["six==1.16.0", "idna<3.8"])
    described = environments.describe(plan.key)
    assert described.requirements == ("idna==3.7", "six==1.16.0")
    assert described.lock == plan.lock
    assert plan.lock.count("--hash=sha256:") >= 4
    assert described.python_version == plan.python_version
    assert described.platform.startswith("linux-")
    assert not described.built
    assert Path(plan.python) == Path(plan.python).resolve()


async def test_the_key_follows_the_content_alone(open_environments: Open, tmp_path: Path) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["six==1.16.0", "idna==3.7"])
    assert (await environments.resolve(["idna==3.7", "six<=1.16.0"])).key == plan.key
    assert (await environments.resolve(["idna==3.7"])).key != plan.key
    elsewhere = await open_environments(root=tmp_path / "elsewhere")
    assert (await elsewhere.resolve(["six==1.16.0", "idna==3.7"])).key == plan.key
    assert len(plan.key) == 32
    assert int(plan.key, 16)


async def test_nothing_asked_is_an_environment_too(open_environments: Open) -> None:
    environments = await open_environments()
    plan = await environments.resolve([])
    assert environments.describe(plan.key).requirements == ()


async def test_a_package_that_does_not_exist(open_environments: Open) -> None:
    environments = await open_environments()
    with pytest.raises(Unresolvable) as failed:
        await environments.resolve(["six", "no-such-package-xyz-123"])
    assert failed.value.reason.startswith("Because no-such-package-xyz-123 was not found")
    assert "\n" not in failed.value.reason


async def test_a_line_that_is_not_allowed(open_environments: Open) -> None:
    environments = await open_environments()
    with pytest.raises(Unresolvable, match=r"Requirement 2 .*option"):
        await environments.resolve(["six", "-r more.txt"])


async def test_a_package_that_does_not_build(open_environments: Open, tmp_path: Path) -> None:
    source = tmp_path / "faulty"
    source.mkdir()
    (source / "setup.py").write_text("print('compiling')\nraise RuntimeError('foo.h is missing')")
    environments = await open_environments(allow_urls=True)
    with pytest.raises(Unresolvable) as failed:
        await environments.resolve([f"faulty @ {source.as_uri()}"])
    assert failed.value.reason.startswith("Failed to build `faulty @ ")
    assert "RuntimeError: foo.h is missing." in failed.value.reason
    assert "Traceback" not in failed.value.reason


async def test_a_conflict_with_the_base_set_names_the_cure(open_environments: Open) -> None:
    environments = await open_environments(base=lambda: ("requests==2.32.3",))
    with pytest.raises(Unresolvable) as failed:
        await environments.resolve(["idna==1.0"])
    assert "idna==1.0" in failed.value.reason
    assert failed.value.reason.endswith(
        "requests==2.32.3 comes from the daemon's base set: name a version of requests in the "
        "requirements to choose another."
    )


async def test_the_scripts_own_versions_win(open_environments: Open) -> None:
    environments = await open_environments(
        base=lambda: ("six==1.17.0", "idna==3.10"), constraints=("packaging<24",)
    )
    plan = await environments.resolve(["six==1.16.0", "packaging==24.2"])
    pins = environments.describe(plan.key).requirements
    assert pins == ("idna==3.10", "packaging==24.2", "six==1.16.0")
    limited = await environments.resolve(["packaging"])
    assert "packaging==23.2" in environments.describe(limited.key).requirements


async def test_a_changed_base_set_is_resolved_anew(open_environments: Open) -> None:
    base = ["six==1.16.0"]
    environments = await open_environments(base=lambda: tuple(base))
    old = await environments.resolve(["idna==3.7"])
    base[:] = ["six==1.17.0"]
    new = await environments.resolve(["idna==3.7"])
    assert environments.describe(old.key).requirements == ("idna==3.7", "six==1.16.0")
    assert environments.describe(new.key).requirements == ("idna==3.7", "six==1.17.0")


async def test_a_plan_is_known_after_a_restart(open_environments: Open) -> None:
    plan = await (await open_environments()).resolve(["six==1.16.0"])
    restarted = await open_environments()
    assert restarted.plan_for(plan.key) == plan


@pytest.mark.parametrize("key", ["0" * 32, "../../etc/passwd", "", "requests"])
async def test_an_unknown_key(open_environments: Open, key: str) -> None:
    environments = await open_environments()
    with pytest.raises(EnvironmentUnknown):
        environments.plan_for(key)
    with pytest.raises(EnvironmentUnknown):
        environments.describe(key)


async def test_a_damaged_file_is_made_anew(open_environments: Open, tmp_path: Path) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["six==1.16.0"])
    (tmp_path / "environments" / "plans" / f"{plan.key}.json").write_text('{"lock": "si')
    with pytest.raises(EnvironmentUnknown):
        environments.describe(plan.key)
    assert await environments.resolve(["six==1.16.0"]) == plan
    assert environments.plan_for(plan.key) == plan


async def test_an_interpreter_that_has_gone(open_environments: Open, tmp_path: Path) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["six==1.16.0"])
    file = tmp_path / "environments" / "plans" / f"{plan.key}.json"
    changed = file.read_text().replace(plan.python, "/nowhere/python3")
    file.write_text(changed.replace(plan.python_version, "3.11.0"))
    with pytest.raises(EnvironmentUnknown, match=r"3\.11\.0.*/nowhere/python3"):
        environments.plan_for(plan.key)


@pytest.mark.parametrize("python", [sys.executable, f"{sys.version_info[0]}.{sys.version_info[1]}"])
async def test_a_configured_python_is_found(open_environments: Open, python: str) -> None:
    environments = await open_environments(python=python)
    plan = await environments.resolve([])
    assert plan.python_version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert Path(plan.python) != Path(sys.executable)


@pytest.mark.parametrize("python", ["2.5", "/nowhere/python3", "no such python"])
async def test_a_python_that_is_not_there(open_environments: Open, python: str) -> None:
    with pytest.raises(InterpreterMissing, match=r"environments\.python"):
        await open_environments(python=python)
