"""How a script's requirements join the base set: what the script says wins."""

import pytest

from runnerd.environments.requirements import Inputs, compose

MARKERS = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux"}
SERVER = "mlflow==3.17.2"
LIMIT = "skops<0.15"


def composed(*lines: str, base: tuple[str, ...] = (SERVER,)) -> Inputs:
    return compose(lines, base=base, constraints=(LIMIT,), markers=MARKERS)


def test_nothing_asked_gives_the_base_set() -> None:
    assert composed() == Inputs((SERVER,), (LIMIT,), (SERVER,))


@pytest.mark.parametrize(
    "line",
    ["mlflow==2.22.4", "MLflow<3", "mlflow[extras]~=2.0", "mlflow @ https://host/mlflow.whl"],
)
def test_another_version_replaces_the_base(line: str) -> None:
    assert composed(line).base == ()
    assert SERVER not in composed(line).requirements


@pytest.mark.parametrize("line", ["mlflow", "mlflow>=2", "MLFLOW[extras]", "mlflow==3.17.2"])
def test_a_name_that_the_base_satisfies_keeps_the_servers_version(line: str) -> None:
    assert SERVER in composed(line).requirements


def test_a_requirement_for_another_platform_says_nothing() -> None:
    asked = composed("mlflow==2.22.4; sys_platform == 'win32'", "skops>1; python_version < '3'")
    assert asked.base == (SERVER,)
    assert asked.constraints == (LIMIT,)


@pytest.mark.parametrize(
    ("line", "stays"),
    [("pandas", True), ("pandas>=2", False), ("pandas==2.2", False)],
)
def test_a_base_requirement_without_a_pin_gives_way_to_a_version(line: str, stays: bool) -> None:
    assert ("pandas<3" in composed(line, base=("pandas<3",)).base) is stays


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("scikit-learn", True),
        ("skops", True),
        ("skops==0.16.0", False),
        ("Skops>=0.15", False),
        ("skops @ https://host/skops.whl", False),
    ],
)
def test_a_constraint_gives_way_to_a_version_of_the_scripts_own(line: str, stays: bool) -> None:
    assert (composed(line).constraints == (LIMIT,)) is stays


def test_order_and_repetition_do_not_matter() -> None:
    assert composed("six", "idna >= 3", "six ") == composed("idna>=3", "six")
