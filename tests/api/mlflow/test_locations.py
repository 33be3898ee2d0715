"""Where artifacts lie is the daemon's choice, and models come from there alone."""

import aiohttp
import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

API = "/api/2.0/mlflow"


@pytest.mark.parametrize("spelling", ["artifact_location", "artifactLocation"])
async def test_a_location_of_ones_own_is_dropped(
    http: aiohttp.ClientSession, spelling: str
) -> None:
    wanted = {"name": f"placed by {spelling}", spelling: "s3://elsewhere/bucket"}
    async with http.post(f"{API}/experiments/create", json=wanted) as response:
        made = (await response.json())["experiment_id"]
    async with http.get(f"{API}/experiments/get", params={"experiment_id": made}) as response:
        experiment = (await response.json())["experiment"]
    assert experiment["artifact_location"] == f"mlflow-artifacts:/{made}"


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/model",
        "file:///etc",
        "/etc/passwd",
        "http://elsewhere/model",
        "mlflow-artifacts://elsewhere:5000/1/model",
        "mlflow-artifacts:/1/../../model",
        "mlflow-artifacts:/1/%2e%2e/model",
        "models://profile@databricks/x/1",
        "dbfs:/model",
        "",
        None,
        7,
    ],
)
async def test_a_foreign_source_is_refused(
    http: aiohttp.ClientSession, source: str | int | None
) -> None:
    await http.post(f"{API}/registered-models/create", json={"name": "sources"})
    async with http.post(
        "/ajax-api/2.0/mlflow/model-versions/create", json={"name": "sources", "source": source}
    ) as response:
        answer = await response.json()
    assert response.status == 400, answer
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
