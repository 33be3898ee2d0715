"""Bodies of the model and inference addresses."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictBool

from runnerd.api.schemas.common import Answer, FixedBody, ModelName, Moment, Name, Tags, Text

_CHURN = "churn-forest"


def _or_text(value: object) -> object:
    return "" if value is None else value


def _or_false(value: object) -> object:
    return False if value is None else value


def _as_version(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value


def _columns(value: dict[str, list[Any]]) -> dict[str, list[Any]]:
    if not value:
        raise ValueError("must have at least one feature")
    first, rows = next((name, len(column)) for name, column in value.items())
    if rows == 0:
        raise ValueError(f"has no value in {first[:80]!r}: give at least one row")
    for name, column in value.items():
        if len(column) != rows:
            raise ValueError(
                f"has {len(column)} values in {name[:80]!r} but {rows} in {first[:80]!r}: "
                "all lists must be equally long"
            )
    return value


class RegistryRequest(FixedBody):
    """A run whose model becomes a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model_name": _CHURN, "run_id": "4c1f0a9be2f44d6fb2a3f5d1c7e8a901"}]
        }
    )

    model_name: ModelName
    run_id: Name
    description: Annotated[Text, BeforeValidator(_or_text)] = ""
    tags: Tags = Field({}, description="Put on the model version.")


class RegistryAnswer(Answer):
    """The new version."""

    model_name: str
    version: str
    run_id: str
    status: Literal["registered"] = "registered"
    created_at: Moment
    warnings: tuple[str, ...] = ()


class VersionAnswer(Answer):
    """One version of a registered model."""

    name: str
    version: str
    stage: str
    run_id: str | None
    description: str
    tags: dict[str, str]
    created_at: Moment
    updated_at: Moment


class ModelAnswer(Answer):
    """A registered model with its newest versions."""

    name: str
    description: str
    tags: dict[str, str]
    latest_versions: tuple[VersionAnswer, ...]
    created_at: Moment
    updated_at: Moment
    aliases: dict[str, str]


class InferenceRequest(FixedBody):
    """Rows to predict from, one list a feature."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_name": _CHURN,
                    "inputs": {"age": [31, 58], "visits": [4.0, 1.5]},
                    "return_probabilities": True,
                }
            ]
        }
    )

    model_name: ModelName
    model_version: Annotated[Name | None, BeforeValidator(_as_version)] = Field(
        None, description="A version, `latest`, or an alias as `@champion`; newest if left out."
    )
    inputs: Annotated[dict[str, list[Any]], AfterValidator(_columns)] = Field(
        description="Equally long lists, one a feature."
    )
    return_probabilities: Annotated[StrictBool, BeforeValidator(_or_false)] = False


class InferenceAnswer(Answer):
    """What the model says of each row."""

    model_name: str
    model_version: str
    predictions: list[Any]
    probabilities: list[Any] | None
    inference_time_ms: float
    timestamp: Moment
    warnings: tuple[str, ...] = ()
