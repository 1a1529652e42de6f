"""Figures of studies, and their page: of runs whose outcomes are known, for they are written here."""

import math
import warnings
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grokviz
from grokviz.cli.main import main
from grokviz.errors import GrokvizError, GrokvizWarning, LackingError
from grokviz.figures.studies import at_moment, curves, keys_chosen, phase_diagram, survival
from grokviz.figures.theme import OUTCOME_COLOURS
from grokviz.outcomes import OUTCOMES
from grokviz.report.study import axes_shown, render_study, write_study_report
from grokviz.studies.directory import CellFile, read_cell, write_cell, write_scalars
from grokviz.studies.ends import asked_of
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.plan import Plan, keep_plan
from grokviz.studies.planning import planned
from grokviz.studies.study import Study
from grokviz.studies.survival import mean_band
from grokviz.studies.unit import do, unit_of
from small_studies import TINY

pytestmark = pytest.mark.filterwarnings("ignore:this may not grok")
DECAYS, FRACTIONS, SEEDS = [0.3, 1.0, 3.0], [0.4, 0.6], [0, 1, 2]
EPOCHS = np.arange(0, 1001, 100)
INF = math.inf


def written(directory: Path, grokked: dict[tuple[float, float], tuple[float, ...]]) -> OpenedStudy:
    """A study whose runs have grokked by these epochs (of each cell three; infinite: never; NaN: it diverged)."""
    size = {**TINY, "training.epochs": 1000, "training.checkpoint_every": 100}
    del size["task.train_fraction"]
    axes = {"training.weight_decay": DECAYS, "task.train_fraction": FRACTIONS, "task.split_seed": SEEDS}
    plan = planned(Study(name="known", base="quick", set=size, axes=axes), directory)
    keep_plan(plan)
    for cell in plan.cells:
        decay, fraction, seed = cell.place.values()
        by = grokked[decay, fraction][seed]
        write_cell(directory, cell.id, came_of(cell.config, by))
        norm = 10 * decay + seed - EPOCHS / 1000
        accuracy = (by <= EPOCHS).astype(float)
        index = pd.Index(EPOCHS, name="epoch")
        write_scalars(directory, cell.id, pd.DataFrame({"accuracy_test": accuracy, "norm": norm}, index))
    return grokviz.open_study(directory)


def came_of(config, by: float) -> CellFile:
    outcome = "diverged" if math.isnan(by) else "memorised" if math.isinf(by) else "grokked_held"
    had = math.isfinite(by)
    times = {"outcome": outcome, "memorised_after": 90.0, "memorised_by": 100.0}
    times |= {"grokked_after": by - 10 if had else 1000.0, "grokked_by": by if had else INF}
    times |= {"delay_least": by - 110 if had else math.nan, "delay_most": by - 90 if had else math.nan}
    return CellFile(
        state="done", asked=asked_of(config), end=1000, status="finished", times=times, seconds={"training": 2.0}
    )


@pytest.fixture
def study(tmp_path: Path) -> OpenedStudy:
    return written(
        tmp_path / "study",
        {
            (0.3, 0.4): (INF, INF, INF),
            (0.3, 0.6): (900, INF, INF),
            (1.0, 0.4): (700, 800, INF),
            (1.0, 0.6): (400, 500, 600),
            (3.0, 0.4): (300, 300, math.nan),
            (3.0, 0.6): (200, 200, 200),
        },
    )


def test_a_phase_diagram_shows_outcomes_delays_and_what_is_censored(study: OpenedStudy) -> None:
    figure = phase_diagram(study, x="training.weight_decay", y="task.train_fraction")
    assert figure.layout.title.text == (
        "At least half of the runs grokked in 4 of 6 cells, a median of 110 to 710 epochs after memorising"
    )
    assert "n = 18 runs" in figure.layout.title.subtitle.text
    cells = next(trace for trace in figure.data if trace.type == "heatmap")
    names = list(OUTCOME_COLOURS)
    assert [[names[int(code)] for code in row] for row in cells.z] == [
        ["memorised", "grokked_held", "grokked_held"],
        ["memorised", "grokked_held", "grokked_held"],
    ]
    assert cells.customdata[0][2] == (
        "n = 3: 1 diverged, 2 grokked held<br>2 of 3 grokked; median delay 190 to 210 epochs"
    )
    assert "median delay beyond what was looked at" in cells.customdata[1][0]
    marks = {trace.name: len(trace.x) for trace in figure.data if trace.type == "scatter"}
    assert marks == {"grokked held (11)": 11, "memorised (6)": 6, "diverged (1)": 1}
    (hatching,) = figure.layout.shapes
    assert hatching.path.count("M") == 2 * 9  # two cells
    levels = [trace.contours.start for trace in figure.data if trace.type == "contour"]
    assert levels == [200, 500]
    assert set(OUTCOME_COLOURS) == set(OUTCOMES)
    with pytest.raises(GrokvizError, match="a phase diagram has two axes, but x and y are both"):
        phase_diagram(study, x="task.split_seed", y="task.split_seed")
    with pytest.raises(GrokvizError, match="which is no axis of the study"):
        phase_diagram(study, x="task.p", y="task.split_seed")


def test_curves_have_the_mean_over_runs_and_its_band_along_epochs(study: OpenedStudy) -> None:
    figure = curves(study, "norm", by="training.weight_decay")
    means = [trace for trace in figure.data if trace.mode == "lines" and trace.name]
    assert [trace.name for trace in means] == [f"weight decay {decay:g} (n = 6)" for decay in DECAYS]
    for decay, trace in zip(DECAYS, means, strict=True):
        np.testing.assert_allclose(trace.y, 10 * decay + 1 - EPOCHS / 1000)
        low, high = np.array(trace.customdata).T
        assert (low < trace.y).all()
        assert (trace.y < high).all()
    assert figure.layout.title.text.startswith(
        "Mean norm where all runs go on: 3 at epoch 1,000 (weight decay 0.3, n = 6)"
    )
    with pytest.raises(GrokvizError, match=r"measure 'nrm' is in no run's table; did you mean norm"):
        curves(study, "nrm", by="training.weight_decay")


def test_aligned_curves_leave_out_runs_that_have_not_grokked_and_say_so(study: OpenedStudy) -> None:
    figure = curves(study, "accuracy_test", by="training.weight_decay", along="grokked")
    assert "7 runs that have not grokked are left out" in figure.layout.title.subtitle.text
    for trace in figure.data:
        if trace.name:
            ratios, accuracy = np.array(trace.x), np.array(trace.y)
            assert (accuracy[ratios >= 1] == 1).all()  # by definition
            assert (accuracy[ratios < 0.5] < 0.6).all()
    none = written(
        study.directory.parent / "none", dict.fromkeys([(d, f) for d in DECAYS for f in FRACTIONS], (INF,) * 3)
    )
    with pytest.raises(LackingError, match="no run has grokked"):
        curves(none, "norm", by="training.weight_decay", along="grokked")


def test_a_measure_at_a_moment_counts_who_is_absent(study: OpenedStudy) -> None:
    figure = at_moment(study, "norm", by="training.weight_decay", at=("grokked", 1.15))
    assert "n = 10; absent: 8 runs" in figure.layout.title.subtitle.text  # one ends before 1.15 times 900
    mean = next(trace for trace in figure.data if trace.name == "mean, 95 %")
    assert list(mean.x) == [1, 2]
    with pytest.raises(GrokvizError, match="measure 'outcome' is no number in the table"):
        at_moment(study, "outcome", by="training.weight_decay", at="last")


def test_a_band_draws_whole_runs() -> None:
    runs = np.array([[0.0, 10.0], [2.0, 12.0]])
    mean, low, high = mean_band(runs)
    np.testing.assert_array_equal(mean, [1.0, 11.0])
    np.testing.assert_array_equal(low, [0.0, 10.0])
    np.testing.assert_array_equal(high, [2.0, 12.0])
    alone, *band = mean_band(runs[:1])
    for each in band:
        np.testing.assert_array_equal(each, alone)


def trained(directory: Path) -> Plan:
    """Two real runs, of which one is said to have keys."""
    plan = planned(Study(name="real", base="quick", set=TINY, axes={"task.split_seed": [0, 1]}), directory)
    keep_plan(plan)
    for cell in plan.cells:
        do(unit_of(plan, cell))
    return plan


def test_keys_are_shown_beside_what_the_embedding_held_of_them_at_initialisation(tmp_path: Path) -> None:
    from dataclasses import replace

    plan = trained(tmp_path / "study")
    with pytest.raises(LackingError, match="no run has key frequencies"):
        keys_chosen(grokviz.open_study(plan.directory))
    first = plan.cells[0].id
    write_cell(plan.directory, first, replace(read_cell(plan.directory, first), keys=(2,)))
    figure = keys_chosen(grokviz.open_study(plan.directory))
    power = grokviz.open_run(plan.directory / "runs" / first).measurements["embedding_power"].isel(epoch=0)
    expected = float(power.sel(frequency=2) / power.mean())
    assert figure.layout.title.text == (
        f"What became keys had {expected:.2f} times the mean power in the embedding at initialisation: 1 initialisations, 1 runs"
    )
    np.testing.assert_allclose(figure.data[0].z[0], power / power.mean(), rtol=1e-6)
    assert "1 runs without keys are left out" in figure.layout.title.subtitle.text


def test_the_page_of_a_study_names_what_cannot_be_drawn_and_leads_to_the_runs(tmp_path: Path) -> None:
    plan = trained(tmp_path / "study")
    cell = plan.cells[0].id
    assert main(["report", str(plan.directory / "runs" / cell), "--quiet"]) == 0
    page = write_study_report(plan.directory, progress=False)
    assert page == plan.directory / "report.html"
    text = page.read_text()
    assert f'href="runs/{cell}/report.html"' in text
    assert f"grokviz report runs/{plan.cells[1].id}" in text
    assert "Not here: no run has key frequencies" in text
    assert "Not here: no run has grokked" in text
    assert "Mean restricted loss test, runs aligned on the epoch by which each had grokked" in text
    assert "did you mean" not in text
    with pytest.raises(
        LackingError, match=r"restricted_loss_test is in no run's table: of .*there are no key frequencies"
    ):
        grokviz.open_study(plan.directory).by_epoch("restricted_loss_test")
    assert str(tmp_path) not in text
    elsewhere = write_study_report(plan.directory, out=tmp_path / "page.html", progress=False)
    assert f'href="study/runs/{cell}/report.html"' in elsewhere.read_text()
    with pytest.raises(GrokvizError, match="exists"):
        write_study_report(plan.directory, out=elsewhere, progress=False)


def test_commands_read_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = trained(tmp_path / "study")
    study = grokviz.open_study(plan.directory)
    directory, table = str(plan.directory), tmp_path / "table.parquet"

    assert main(["measurements", directory]) == 0  # a row for each run and epoch
    read = pd.read_csv(StringIO(capsys.readouterr().out), index_col=["cell", "epoch"])
    pd.testing.assert_frame_equal(read, study.scalars, check_dtype=False)
    assert main(["measurements", directory, "--at", "last", "--parquet", "--out", str(table)]) == 0
    assert pd.read_parquet(table)["loss_test"].tolist() == study.at("last")["loss_test"].tolist()
    capsys.readouterr()

    assert main(["compare", directory, "--csv"]) == 0
    compared = pd.read_csv(StringIO(capsys.readouterr().out), index_col="run")
    assert compared.index.tolist() == [cell.said for cell in plan.cells]
    assert compared["loss_test"].tolist() == study.at("last")["loss_test"].tolist()
    assert grokviz.compare(study)["loss_test"].values.tolist() == compared["loss_test"].tolist()
    for words, why in (
        (["compare", directory], "a page has no room for the 2 runs of a study"),
        (["report", directory, "--measurements", "x.nc"], "leave out --measurements"),
        (["study", "--out", directory, "--keep", "grokd"], "keep names 'grokd'"),
    ):
        assert main(words) == 2
        assert why in capsys.readouterr().err

    assert main(["study", "--out", directory, "--keep", "first,20", "--workers", "1", "--quiet"]) == 0
    assert [study.run(cell.id).epochs for cell in plan.cells] == [(0, 20, 40)] * 2  # and the newest stays always


def test_seeds_have_no_part_of_the_page_where_there_is_another_axis(study: OpenedStudy) -> None:
    assert axes_shown(study) == ["training.weight_decay", "task.train_fraction"]


@pytest.mark.browser
def test_every_figure_of_the_page_is_drawn_in_a_browser(study: OpenedStudy, browser, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrokvizWarning)
        (tmp_path / "page.html").write_text(render_study(study, folder=tmp_path, progress=False))
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"file://{tmp_path}/page.html")
    page.wait_for_selector("html[data-ready]")
    for figure in page.query_selector_all("figure:not(.absent)"):
        figure.scroll_into_view_if_needed()
        figure.wait_for_selector(".main-svg")
        assert figure.query_selector("h3").text_content()
    assert len(page.query_selector_all("#phases .main-svg")) > 0
    page.click("#runs th:nth-child(6) button")
    first = page.text_content("#runs tbody tr:first-child")
    assert first is not None
    assert "not by 1,000" in first
    assert not errors
    page.close()


def test_survival_has_a_curve_for_each_value(study: OpenedStudy) -> None:
    figure = survival(study, by="training.weight_decay")
    assert figure.layout.title.text == (
        "Half of the runs have grokked by epoch 600 (weight decay 1), 200 (weight decay 3); fewer than half at weight "
        "decay 0.3"
    )
