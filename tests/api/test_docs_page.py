"""The documentation page in a real browser, under its own content policy."""

import shutil

import pytest
from playwright.async_api import ConsoleMessage, Error, async_playwright, expect

from tests.api.daemon import JOBS, Daemon

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


async def test_people_can_try_the_api_on_its_page(daemon: Daemon) -> None:
    faults: list[str] = []

    def note(message: ConsoleMessage | Error) -> None:
        if isinstance(message, Error) or message.type in ("error", "warning"):
            faults.append(str(message))

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page()
        page.set_default_timeout(10_000)
        page.on("console", note)
        page.on("pageerror", note)
        await page.goto(f"{daemon.url}/docs")
        for summary, told in (
            ("POST /mlops/training/upload", "202 Accepted"),
            ("GET /mlops/status", "mlflow_tracking_uri"),
        ):
            operation = page.locator("details", has_text=summary)
            await operation.locator("summary").click()
            await operation.get_by_role("button", name="Send").click()
            await expect(operation.locator("pre")).to_contain_text(told)
        await browser.close()
    assert faults == []
    assert len((await daemon.call("GET", JOBS)).json["items"]) == 1
