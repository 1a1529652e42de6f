import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grokviz
from grokviz.analysis.reading.compared import table_of
from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.report.assembling import page_of
from grokviz.report.buffer import Buffer
from grokviz.report.comparison import ComparisonPage, DifferenceRow, RunColumn
from grokviz.report.data import PageData
from grokviz.report.panels import Panel
from test_page import OVERLAPS, PAYLOADS, Opened, ink_of


@pytest.fixture(scope="module")
def other(tiny_config, tmp_path_factory: pytest.TempPathFactory) -> grokviz.Run:
    """A run with another p, operation and length than the tiny one, which has no mirrored splits."""
    config = replace(
        tiny_config,
        task=replace(tiny_config.task, p=11, operation="subtraction"),
        training=replace(tiny_config.training, epochs=60),
    )
    run = grokviz.train(config, tmp_path_factory.mktemp("runs") / "other", progress=False)
    grokviz.measure(run, progress=False)
    return run


def test_differences_times_keys_and_ends_stand_beside_each_other(
    tiny_run: grokviz.Run, other: grokviz.Run, quick_run: grokviz.Run
) -> None:
    with pytest.warns(grokviz.GrokvizWarning, match=r"different epochs: 40 \(tiny\), 4,000 \(quick\), 60 \(other\)"):
        table = grokviz.compare([tiny_run, quick_run, other.measurements])
    assert table["run"].values.tolist() == ["tiny", "quick", "other"]
    assert set(table.attrs["differing"]) >= {"p", "operation", "train_fraction", "epochs", "d_model"}
    assert "weight_decay" not in table
    assert table["p"].values.tolist() == [7, 59, 11]
    assert table["operation"].values.tolist() == ["addition", "addition", "subtraction"]
    phases = grokviz.find_phases(quick_run)
    assert table["grokked_by"].sel(run="quick") == phases.grokked.by
    assert table["grokked_after"].sel(run="quick") == phases.grokked.after
    assert table["grokked_unmirrored_by"].sel(run="quick") == phases.grokked_unmirrored.by
    assert table["outcome"].values.tolist() == ["not_memorised", phases.outcome.name, "not_memorised"]
    assert table["epoch"].values.tolist() == table["last_epoch"].values.tolist() == [40, 4000, 60]
    ends = [table[f"grokked_{end}"].sel(run="tiny").item() for end in ("after", "by")]
    assert ends == [40, np.inf]  # after its last evaluation, if ever: no average leaves it out
    assert table["grokked_unmirrored_by"].isnull().values.tolist() == [False, False, True]  # not told apart
    last = quick_run.measurements["loss"].isel(epoch=-1)
    assert table["loss_test_unmirrored"].sel(run="quick") == last.sel(split="test_unmirrored")
    assert np.isnan(table["loss_test_unmirrored"].sel(run="other"))
    masks = table["is_key_frequency"]
    assert masks.dtype == bool
    assert tuple(table["frequency"].values[masks.sel(run="quick")]) == grokviz.key_frequencies_of(quick_run)
    assert not masks.sel(run=["tiny", "other"]).any()
    assert table_of(table)["key_frequencies"].tolist() == [[], list(grokviz.key_frequencies_of(quick_run)), []]


def test_runs_of_one_name_are_told_apart(tiny_run: grokviz.Run, other: grokviz.Run, tmp_path: Path) -> None:
    again = grokviz.open_run(shutil.copytree(other.directory, tmp_path / "tiny"))
    names = grokviz.compare([tiny_run, again], at="first")["run"].values.tolist()
    assert names == ["tiny", "other"]  # as it was measured
    assert grokviz.compare([other, again])["run"].values.tolist() == ["other (1)", "other (2)"]


def test_one_run_or_none_is_refused(tiny_run: grokviz.Run) -> None:
    with pytest.raises(GrokvizError, match="compare needs two runs or more, but got 1"):
        grokviz.compare([tiny_run])


def test_the_command_prints_or_writes_csv(tiny_run: grokviz.Run, other: grokviz.Run, in_tmp_path: Path, capsys) -> None:
    runs = [str(tiny_run.directory), str(other.directory)]
    assert main(["compare", *runs, "--csv"]) == 0
    said = capsys.readouterr()
    assert "the last checkpoints are of different epochs: 40 (tiny), 60 (other)" in said.err
    printed = pd.read_csv(StringIO(said.out), index_col="run")
    assert printed.loc["other", "p"] == 11
    assert printed["key_frequencies"].tolist() == ["[]", "[]"]
    assert main(["compare", *runs, "--csv", "-o", "table.csv"]) == 0
    pd.testing.assert_frame_equal(pd.read_csv("table.csv", index_col="run"), printed)
    assert main(["compare", *runs, "--csv", "-o", "table.csv"]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_shows_the_runs_at_one_cursor(
    browser, width: int, tiny_run: grokviz.Run, quick_run: grokviz.Run, other: grokviz.Run, tmp_path: Path
) -> None:
    runs = [quick_run, tiny_run, other]
    out = grokviz.write_comparison(runs, tmp_path / "compare.html", at="first", progress=False)
    opened = Opened(browser, out, width=width)
    for i, run in enumerate(runs):
        places = opened.run(f"Array.from(document.querySelectorAll('[id^=view-][id$=\"-{i}\"]'), e => e.id)")
        assert len(places) == (4 if grokviz.key_frequencies_of(run) else 3)
        for place in places:
            assert ink_of(opened, f"#{place}") > 0.01, place
        absent = opened.run(f"Array.from(document.querySelectorAll('figure.absent[id$=\"-{i}\"]'), e => e.innerText)")
        assert len(absent) == 4 - len(places)
        assert all("there are no key frequencies at the last checkpoint" in said for said in absent)
    assert "other: its test pairs are not told apart" in opened.page.inner_text("#timeline_accuracy_test_unmirrored")

    # when the address changes, then the cursor goes to a stop of any of the runs
    only_elsewhere = opened.run("grokviz.clock.stops.filter(stop => !grokviz.runs[0].stops.includes(stop))")
    for epoch in (*only_elsewhere[:1], 0):
        opened.run("epoch => { location.hash = `#epoch=${epoch}`; }", epoch)
        opened.wait_until(f"grokviz.state.get('epoch') === {epoch}")
    assert only_elsewhere

    # when the cursor moves, then each run shows its checkpoint nearest to that epoch
    for epoch in (0, 20, opened.run("grokviz.runs[0].stops[30]")):
        opened.go(epoch)
        assert opened.page.inner_text("#epoch") == f"{epoch:,}"
        for i, run in enumerate(runs):
            stops = opened.run(f"grokviz.runs[{i}].stops")
            nearest = stops[int(np.abs(np.array(stops) - epoch).argmin())]
            assert (
                opened.run(f"grokviz.runs[{i}].stops[grokviz.runs[{i}].stopAt(grokviz.state.get('epoch'))]") == nearest
            )
            shown = opened.run(f"Array.from(grokviz.runs[{i}].at('readout_power', grokviz.runs[{i}].stopAt({epoch})))")
            measured = run.measurements["readout_power"].sel(epoch=nearest)
            np.testing.assert_allclose(shown, measured, atol=1e-4)
    opened.page.locator("#plot-timeline_accuracy_test").scroll_into_view_if_needed()
    opened.page.wait_for_selector("#plot-timeline_accuracy_test .mark.cursor")
    assert opened.run("document.getElementById('plot-timeline_accuracy_test').data.length") == 3
    assert opened.page.locator("#differences tr.differs").count() == len(
        grokviz.compare(runs, at="first").attrs["differing"]
    )
    opened.page.wait_for_timeout(300)
    assert opened.run(OVERLAPS) == []
    assert opened.problems == []
    opened.page.close()


@pytest.mark.slow
@pytest.mark.browser
def test_texts_that_are_payloads_execute_nothing(browser, tmp_path: Path) -> None:
    panels = [Panel("here", text, why_absent=text) for text in PAYLOADS]
    hostile = ComparisonPage(
        [RunColumn(text, "#ffffff", panels) for text in PAYLOADS],
        panels,
        [DifferenceRow(text, PAYLOADS, True) for text in PAYLOADS],
        notes=" ".join(PAYLOADS),
    )
    page = tmp_path / "names.html"
    page.write_text(page_of("comparison.html", hostile, PageData([], True, []), Buffer()))
    shown = browser.new_page()
    shown.goto(page.as_uri())
    assert shown.evaluate("window.hurt") is None
    assert shown.evaluate("document.querySelectorAll('main script, main img, main iframe, main [onload]').length") == 0
    assert shown.inner_text(".columns h2.run") == PAYLOADS[0]
    shown.close()


def test_a_run_and_networks_in_no_run_are_told_apart_by_what_both_have(tiny_run: grokviz.Run) -> None:
    network = grokviz.measure_model(tiny_run.model("last"), tiny_run.config.task, epoch=40)
    comparison = grokviz.compare([tiny_run, network])
    assert comparison.attrs["differing"] == []
    other = replace(tiny_run.config.task, split_seed=1)
    comparison = grokviz.compare([tiny_run, grokviz.measure_model(tiny_run.model("last"), other, epoch=40)])
    assert comparison.attrs["differing"] == ["split_seed"]
    assert comparison["split_seed"].values.tolist() == [tiny_run.config.task.split_seed, 1]
