"""What a model answers: what pyfunc does, to the last bit, or which column does not fit."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runnerd.serving import Prediction, UnfitInput
from tests.serving.registry import House, open_house

MODELS = (
    *("logistic", "forest", "search", "linear", "pipeline"),
    *("unsigned", "nameless", "tensor", "whole numbers", "rows of a tensor"),
)
VARIANTS = {"whole numbers": "logistic", "rows of a tensor": "tensor"}
PLAIN = {"whole": [1, 2], "share": [0.5, None]}
ROW = {"whole": [1], "share": [1]}
XYZ = {"a": [1], "b": [2], "c": [3]}

# The question's name: the model, the inputs, the column at fault, words of the message.
UNFIT: dict[str, tuple[str, Any, str | None, str]] = {
    "missing": ("echo", {"whole": [1]}, "share", "'share' is missing"),
    "shorter": ("echo", {**PLAIN, "name": ["a"]}, "name", "1 values where others have 2"),
    "longer": ("logistic", {"a": [1], "b": [1, 2], "c": [1]}, "b", "equally long"),
    "no list": ("echo", {"whole": 1, "share": [1]}, "whole", "must be a list"),
    "nested": ("echo", {"whole": [[1]], "share": [1]}, "whole", "[1] in row 0"),
    "nested, no signature": ("unsigned", {**XYZ, "b": [{"x": 1}]}, "b", "single value"),
    "string for a number": ("echo", {**ROW, "share": ["1"]}, "share", '"1" in row 0'),
    "boolean for a number": ("echo", {**ROW, "share": [True]}, "share", "true in row 0"),
    "fraction for an integer": ("echo", {**ROW, "whole": [1.5]}, "whole", "1.5 in row 0"),
    "null for an integer": ("echo", {**ROW, "whole": [None]}, "whole", "null in row 0"),
    "beyond an integer": ("echo", {**ROW, "whole": [2**63]}, "whole", "limits of int64"),
    "beyond a double": ("echo", {**ROW, "share": [10**400]}, "share", "limits of float64"),
    "beyond a float": ("echo", {**ROW, "small": [1e300]}, "small", "limits of float32"),
    "number for a string": ("echo", {**ROW, "name": [3]}, "name", "3 in row 0"),
    "number for a boolean": ("echo", {**ROW, "flag": [1]}, "flag", "true or false"),
    "not a date": ("echo", {**ROW, "when": ["today"]}, "when", "not a date"),
    "not base64": ("echo", {**ROW, "blob": ["%"]}, "blob", "base64"),
    "empty": ("echo", {}, None, "a list of values for each feature"),
    "no rows": ("echo", {"whole": [], "share": []}, None, "no rows"),
    "too many rows": ("echo", {"whole": [1] * 1001, "share": [1] * 1001}, None, "at most 1000"),
    "no JSON": ("echo", b"{", None, "not valid JSON"),
    "no object": ("echo", b"[1]", None, "must be an object"),
    "too deep": ("echo", b"[" * 100_000, None, "not valid JSON"),
    "the model objects": ("echo", {**ROW, "boom": [1]}, None, "the flux is out of range"),
    "missing, no signature": ("unsigned", {"a": [1], "b": [2]}, "c", "'c' is missing"),
    "unknown, no signature": ("unsigned", {**XYZ, "d": [4]}, "d", "does not know the column 'd'"),
    "too few, no names": ("nameless", {"a": [1], "b": [2]}, None, "3 columns"),
    "too many, no names": ("nameless", {**XYZ, "d": [4]}, None, "3 columns"),
    "too few for a tensor": ("tensor", {"a": [1], "b": [2]}, None, "3 columns"),
    "string in a tensor": ("tensor", {**XYZ, "b": ["x"]}, "b", '"x" in row 0'),
}
FIT: dict[str, tuple[str, Any]] = {
    "plain": ("echo", PLAIN),
    "as JSON text": ("echo", json.dumps(PLAIN).encode()),
    "integral float": ("echo", {"whole": [2.0], "share": [1]}),
    "all kinds": (
        "echo",
        {
            "whole": [1, 2],
            "share": [1, 2],
            "small": [1, 0.5],
            "flag": [True, None],
            "name": ["x", None],
            "blob": ["aGk=", None],
            "when": ["2026-01-01T01:00:00+01:00", None],
        },
    ),
    "extra": ("echo", {**PLAIN, "colour": ["red", "blue"]}),
    "seen": ("echo", {**ROW, "seen": [""]}),
}


async def _ask_all(root: Path, zoo: Path, answers: dict[str, Any]) -> dict[str, Any]:
    """Ask every question of every model, two models at a time; errors are answers too."""
    names = sorted({"echo", *answers} - VARIANTS.keys())
    given: dict[str, Any] = {}

    async def ask(question: str, model: str, inputs: Any) -> None:
        try:
            given[question] = await house.predict(model, inputs, probabilities=True)
        except UnfitInput as error:
            given[question] = error

    async def ask_one(house: House, model: str) -> None:
        for question, known in answers.items():
            if model == VARIANTS.get(question, question):
                await ask(question, model, known["inputs"])
        for question, (asked, inputs, *_) in {**UNFIT, **FIT}.items():
            if asked == model:
                await ask(question, model, inputs)

    async with open_house(root, zoo, *names) as house:
        for pair in zip(names[::2], [*names[1::2], None], strict=False):
            await asyncio.gather(*(ask_one(house, name) for name in pair if name))
    return given


@pytest.fixture(scope="module")
def given(
    tmp_path_factory: pytest.TempPathFactory, zoo: Path, answers: dict[str, Any]
) -> dict[str, Any]:
    """What came of each question, from one worker a model."""
    return asyncio.run(_ask_all(tmp_path_factory.mktemp("answers"), zoo, answers))


@pytest.mark.parametrize("name", MODELS)
def test_predictions_and_probabilities_are_those_of_pyfunc(
    name: str, given: dict[str, Any], answers: dict[str, Any]
) -> None:
    answer = given[name]
    assert isinstance(answer, Prediction), answer
    assert answer.predictions == answers[name]["predictions"]
    assert answer.probabilities == answers[name]["probabilities"]
    assert (answer.probabilities is None) == (name == "linear")


@pytest.mark.parametrize("question", UNFIT)
def test_what_does_not_fit_is_refused_by_the_name_of_its_column(
    question: str, given: dict[str, Any]
) -> None:
    _, _, column, words = UNFIT[question]
    refusal = given[question]
    assert isinstance(refusal, UnfitInput), refusal
    assert refusal.column == column
    assert words in refusal.message


@pytest.mark.parametrize("question", ["plain", "as JSON text"])
def test_columns_have_the_types_of_the_signature(question: str, given: dict[str, Any]) -> None:
    first, second = given[question].predictions
    assert first.items() >= {"whole_type": "int64", "share_type": "float64"}.items()
    assert (first["whole"], first["share"], second["share"]) == (1, 0.5, None)


def test_an_integral_float_is_an_integer(given: dict[str, Any]) -> None:
    assert given["integral float"].predictions[0]["whole_type"] == "int64"


def test_every_kind_of_column_arrives_and_comes_back(given: dict[str, Any]) -> None:
    first, second = given["all kinds"].predictions
    kinds = {
        "small_type": "float32",
        "flag_type": "object",
        "blob_type": "object",
        "when_type": "datetime64[ns]",
        "share_type": "float64",
    }
    assert first.items() >= kinds.items()
    values = {"small": 1.0, "flag": True, "name": "x", "blob": "aGk="}
    assert first.items() >= values.items()
    assert first["when"] == "2026-01-01T00:00:00"
    assert {second[name] for name in ("flag", "name", "blob", "when")} == {None}


def test_columns_that_the_signature_does_not_know_are_ignored(given: dict[str, Any]) -> None:
    assert "colour" not in given["extra"].predictions[0]


def test_a_worker_sees_no_tracking_server_and_nothing_of_the_daemons_variables(
    given: dict[str, Any],
) -> None:
    seen = set(given["seen"].predictions[0]["seen"].split(","))
    assert "MLFLOW_TRACKING_URI" not in seen
    ours = {"PATH", "VIRTUAL_ENV", "TMPDIR", "MLFLOW_DISABLE_TELEMETRY", "LC_CTYPE"}
    threads = {name for name in seen if name.endswith("_THREADS") or name.startswith("KMP_")}
    assert seen - threads - ours == set()
