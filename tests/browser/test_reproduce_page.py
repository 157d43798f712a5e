"""The reproduction page in a real browser with real workers: start, steer, results, records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.experiments.status import State
from dal_core.record_file.io import dump_record
from dal_core.store.base import Store
from dal_ui.reproduce import actions
from tests import fast
from tests.browser.conftest import StreamlitServer
from tests.report_record import report_record

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail
TINY = (
    "num_mc_samples=2\nn_acquisition_steps=2\nval_size=50\ntest_size=100\n"
    "pool_subset_size=100\ntest_subset_size=50\n"
)


def key(page: Page, name: str) -> Locator:
    """A button by its key: its name would hold that of its icon."""
    return page.locator(f".st-key-{name} button")


def see(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=WORK_MS)


def choose_view(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).click()


def test_an_experiment_is_started_paused_resumed_and_finished(
    page: Page, server: StreamlitServer, store: Store
) -> None:
    page.goto(f"{server.url}/reproduce")  # a deep link, and nobody has opened the server yet
    expect(key(page, "start")).to_be_enabled(timeout=WORK_MS)
    for name in ("Max entropy", "Variation ratios", "Mean std"):
        page.get_by_role("button", name=f"Remove {name}").or_(
            page.get_by_label(f"Remove {name}")
        ).first.click()
    page.get_by_role("textbox", name="Seeds").fill("1")
    page.get_by_role("textbox", name="Seeds").press("Enter")
    page.get_by_text("Also train on all images").click()
    page.get_by_text("Change parameters", exact=True).click()
    page.get_by_role("textbox", name="One KEY=VALUE per line").fill(f"{TINY}n_epochs=100")
    page.get_by_role("textbox", name="One KEY=VALUE per line").press("Control+Enter")
    see(page, "quick with")
    see(page, "2 runs")
    key(page, "start").click()

    page.wait_for_url(re.compile(r"\?experiment=quick-[0-9a-f]{6}$"), timeout=WORK_MS)
    (row,) = store.experiments.all()
    assert row.acquisitions == ("bald", "random") and row.protocol.n_epochs == 100
    key(page, "pause").click(timeout=WORK_MS)
    see(page, "paused; measured steps are kept")
    now = actions.find(store, row.experiment_id)
    assert now is not None and now.state is State.PAUSED

    page.reload()
    see(page, "paused; measured steps are kept")
    key(page, "resume").click(timeout=WORK_MS)
    see(page, "Table 2: Labels needed to reach 10% test error")
    see(page, "All 6 steps are measured.")
    now = actions.find(store, row.experiment_id)
    assert now is not None and now.is_complete
    page.get_by_role("tab", name="Downloads").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Tables (CSV)").click()
    assert download.value.suggested_filename == "tables.csv"


def test_an_experiment_of_the_command_line_appears_and_its_figures_can_be_saved(
    page: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    row = control.create_experiment(
        store,
        mnist5k,
        fast.protocol(n_epochs=1, n_acquisition_steps=1),
        ["random"],
        [7],
        full_data=False,
        title="from the shell",
    )
    bench = Workbench(store)
    for run in store.experiments.runs(row.experiment_id):
        for _ in advance(bench, run.run_id):
            pass
    page.goto(f"{server.url}/reproduce")
    see(page, "from the shell")
    key(page, f"open-{row.experiment_id}").click(timeout=WORK_MS)
    page.get_by_role("tab", name="Figures").click(timeout=WORK_MS)
    see(page, "Figure 2: Test accuracy over labels")
    page.get_by_role("button", name="Save").first.click()
    with page.expect_download(timeout=WORK_MS) as download:
        page.get_by_role("button", name="SVG").first.click()
    assert Path(download.value.path()).read_text().lstrip().startswith("<svg")


def test_an_uploaded_record_is_shown_and_a_broken_one_is_one_line(
    page: Page, server: StreamlitServer, store: Store, tmp_path: Path
) -> None:
    before = [row.experiment_id for row in store.experiments.all()]
    whole = dump_record(report_record())
    (tmp_path / "theirs.yaml").write_text(whole)
    (tmp_path / "cut.yaml").write_text(whole[: len(whole) // 2])
    page.goto(f"{server.url}/reproduce")
    expect(key(page, "start")).to_be_enabled(timeout=WORK_MS)
    choose_view(page, "Open a record file")
    upload = page.locator("input[type=file]")
    upload.set_input_files(tmp_path / "cut.yaml")
    see(page, re.compile(r"^cut\.yaml: the record .*cut off"))
    upload.set_input_files(tmp_path / "theirs.yaml")
    see(page, "Table 3: Labels needed to reach 5% test error")
    see(page, "133.3 ± 4.7")
    assert [row.experiment_id for row in store.experiments.all()] == before
