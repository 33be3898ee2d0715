"""MLflow's UI works in a browser that knows only the daemon's address."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.api.mlflow.conftest import Origin

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"Chromium is not installed as {CHROMIUM}"),
]
API = "/api/2.0/mlflow"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield await browser.new_page()
        await browser.close()


async def test_the_ui_shows_a_run_and_its_artifacts(
    origin: Origin, http: aiohttp.ClientSession, page: Page, tmp_path: Path
) -> None:
    async with http.post(f"{API}/experiments/create", json={"name": "seen in a browser"}) as made:
        experiment = (await made.json())["experiment_id"]
    wanted = {"experiment_id": experiment, "run_name": "the one run", "start_time": 1}
    async with http.post(f"{API}/runs/create", json=wanted) as made:
        run = (await made.json())["run"]["info"]["run_id"]
    files = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts"
    await http.put(f"{files}/notes/hello.txt", data=b"written by a test")
    failed: list[str] = []
    page.on(
        "response",
        lambda response: (
            failed.append(f"{response.status} {response.url}") if response.status >= 500 else None
        ),
    )

    await page.goto(f"{origin.url}/#/experiments")
    await expect(page.get_by_text("seen in a browser").first).to_be_visible(timeout=60_000)
    await page.screenshot(path=tmp_path / "experiments.png")
    await page.goto(f"{origin.url}/#/experiments/{experiment}/runs/{run}/artifacts")
    await page.get_by_text("notes").first.click(timeout=60_000)
    await page.get_by_text(re.compile("hello.txt")).first.click()
    await expect(page.get_by_text("written by a test")).to_be_visible(timeout=30_000)
    await page.screenshot(path=tmp_path / "artifact.png")
    assert not failed
