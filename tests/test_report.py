import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.measures.performance import accuracy, loss
from grokviz.figures import FIGURES, Drawing, finding_of, why_not
from grokviz.report.frames import Block, frames
from grokviz.report.render import slider_stops


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "copy"))


def read_back(change: dict, frame: int, content: bytes) -> np.ndarray:
    """What the page makes of a change: written once more, to check the script's own reading in the browser test."""
    place = change["array"]
    dtype = np.dtype(place["type"])
    raw = np.frombuffer(content, dtype, int(np.prod(place["shape"])), place["at"]).reshape(place["shape"])[frame]
    if "levels" not in change:
        return raw
    scaled = change["low"] + (raw.astype(float) - 1) * (change["high"] - change["low"]) / change["levels"]
    return np.where(raw == 0, np.nan, scaled)


def test_frames_hold_what_differs_and_give_it_back_within_half_a_level() -> None:
    # given a figure whose map, curve, whole numbers and title differ by epoch
    rng = np.random.default_rng(0)
    maps, curves = rng.normal(size=(5, 4, 3)).astype(np.float32), rng.normal(size=(5, 6)).astype(np.float32)
    maps[2, 1, 1] = np.nan
    counts = rng.integers(0, 9, size=(5, 6))
    drawings = []
    for i in range(5):
        drawing = Drawing()
        drawing.add("heatmap", z=maps[i])
        drawing.add("scatter", x=np.arange(6), y=curves[i], customdata=counts[i])
        drawing.layout["title"] = {"text": f"epoch {i}"}
        drawings.append(drawing)

    # when packed
    block = Block()
    packed = frames(drawings, block)
    changes = {change["path"]: change for change in packed["changes"]}

    # then the rest is not repeated, and each number comes back as close as promised
    assert set(changes) == {("data", 0, "z"), ("data", 1, "y"), ("data", 1, "customdata"), ("layout", "title", "text")}
    assert changes["layout", "title", "text"]["values"] == [f"epoch {i}" for i in range(5)]
    for i in range(5):
        np.testing.assert_array_equal(read_back(changes["data", 1, "customdata"], i, block.content()), counts[i])
        for path, values, levels in ((("data", 0, "z"), maps, 254), (("data", 1, "y"), curves, 65_534)):
            half_a_level = (np.nanmax(values) - np.nanmin(values)) / levels / 2
            read = read_back(changes[path], i, block.content())
            np.testing.assert_allclose(read, values[i], atol=1.001 * half_a_level, rtol=0)


def test_a_figure_with_other_traces_at_one_epoch_is_kept_whole_in_every_frame() -> None:
    one, two = Drawing(), Drawing()
    one.add("scatter", y=np.array([1.0, 2.0], np.float32))
    two.add("scatter", y=np.array([3.0], np.float32))
    two.add("scatter", y=[2])
    two.layout["title"] = {"text": "two"}
    packed = frames([one, two], Block())
    by_path = {change["path"]: change["values"] for change in packed["changes"]}
    assert [len(data) for data in by_path["data",]] == [1, 2]
    y = by_path["data",][0][0]["y"]
    assert np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"]).tolist() == [1.0, 2.0]
    assert by_path["layout",][1]["title"]["text"] == "two"
    json.dumps(by_path["data",])


def test_the_slider_stops_at_all_checkpoints_or_evenly_at_some_with_both_ends() -> None:
    assert slider_stops(range(0, 50), most=50) == list(range(50))
    many = slider_stops(range(0, 1000, 2), most=200)
    assert len(set(many)) == 200
    assert (many[0], many[-1]) == (0, 998)
    assert slider_stops(range(0, 1000, 2), most=2) == [0, 998]


def test_the_page_is_one_file_without_network_and_with_everything_in_it(copy: grokviz.Run) -> None:
    path = grokviz.write_report(copy)
    page = path.read_text()
    assert path == copy.directory / "report.html"
    assert path.stat().st_size < 20e6
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src &#x27;none&#x27;" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"<(script|img|link|iframe)[^>]*(src|href)=", page)
    for function in FIGURES:
        assert (f"id='{function.__name__}'" in page) == (not why_not(function, copy.measurements))
    assert "<h2>Not drawn</h2>" in page
    assert "<li>progress_measures: the measure &#x27;restricted_loss&#x27; is absent (there are no key" in page
    drawn = [function for function in FIGURES if not why_not(function, copy.measurements)]
    for function in drawn:
        assert f"<li><a href='#{function.__name__}'>{escape(finding_of(function(copy.measurements)))}</a></li>" in page
    assert escape(copy.measurements["loss"].attrs["formula"]) in page
    packed = re.search(r'id="data">([^<]*)<', page)[1]
    assert json.loads(gzip.decompress(base64.b64decode(packed)))["stops"] == list(copy.epochs)


def test_text_from_a_run_is_escaped(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / hostile.replace("/", "∕")))
    data = run.measurements
    data["run"] = hostile
    data["loss"].attrs["description"] = hostile
    page = grokviz.report.render_report(run, data)
    assert "<script>alert" not in page
    assert page.count("<script>") == 2  # plotly.js and ours


@pytest.mark.slow
def test_a_report_needs_no_torch(copy: grokviz.Run) -> None:
    code = (
        f"import sys; from grokviz.cli.main import main; assert main(['report', {str(copy.directory)!r}]) == 0; "
        "assert not {'torch', 'transformer_lens'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def list_of_findings(page: str) -> list[str]:
    """The findings on a page, as text."""
    part = re.search(r'<ul id="findings">(.*?)</ul>', page, re.DOTALL)[1]
    return [re.sub(r"<[^>]*>", "", line) for line in part.strip().splitlines()]


def test_findings_are_those_of_the_figures_and_what_has_not_happened(copy: grokviz.Run) -> None:
    sentences = list_of_findings(grokviz.write_report(copy).read_text())
    assert sentences[0].startswith("This run has not grokked. Networks are known to grok from a train_fraction of 0.25 up (here")
    assert sentences[1].startswith("Not memorised: train accuracy has not held 0.99")
    assert any("key frequencies" in sentence for sentence in sentences)
    assert not any("nan" in sentence for sentence in sentences)


@pytest.mark.slow
def test_a_run_measured_with_two_measures_alone_has_a_report_of_what_they_show(copy: grokviz.Run) -> None:
    (copy.directory / "measurements.nc").unlink()
    grokviz.measure(copy, measures=(loss, accuracy))
    page = grokviz.write_report(copy).read_text()
    shown = re.findall(r"<div id='(\w+)' class='plot'>", page)
    assert shown == ["losses", "accuracies"]
    assert re.search(r"spectrum: the measure &#x27;embedding_power&#x27; has not been taken", page)


def wait_until(page, expression: str) -> None:
    """Wait until a JavaScript expression is true. (The page's own policy forbids the eval of wait_for_function.)"""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {expression}")


@pytest.mark.slow
def test_a_diverged_run_is_measured_and_reported_and_says_so(tiny_config, tmp_path: Path) -> None:
    training = replace(tiny_config.training, learning_rate=1e30)
    with pytest.warns(grokviz.GrokvizWarning, match=r"diverged: at epoch 1 the train loss is nan.*--learning-rate"):
        run = grokviz.train(replace(tiny_config, training=training), tmp_path / "diverged")
    assert run.status == "diverged"
    assert run.epochs == (0,)
    assert run.history["epoch"].values.tolist() == [0, 1]
    grokviz.measure(run)
    page = grokviz.write_report(run).read_text()
    said = "Diverged at epoch 1: the loss is not a finite number, and training has stopped."
    assert list_of_findings(page)[0].startswith(said)
    packed = re.search(r'id="data">([^<]*)<', page)[1]
    json.loads(gzip.decompress(base64.b64decode(packed)), parse_constant=pytest.fail)  # no NaN, which browsers refuse


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_opens_offline_draws_every_panel_and_follows_the_slider(browser, copy: grokviz.Run) -> None:
    # given the report of a run, opened from its file
    path = grokviz.write_report(copy)
    data: xr.Dataset = copy.measurements
    page = browser.new_page(viewport={"width": 1240, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            problems.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None
        ),
    )
    page.goto(path.as_uri())

    # when every panel is looked at, then it has drawn, with its title and something in it
    for function in FIGURES:
        if why_not(function, data):
            continue
        panel = page.locator(f"#{function.__name__}")
        panel.scroll_into_view_if_needed()
        page.wait_for_selector(f"#{function.__name__} .main-svg .gtitle")
        assert page.evaluate(f"document.getElementById('{function.__name__}').layout.title.text")

    # when the slider moves, then readings and panels are those of the measurements at that epoch
    for frame in (0, 2, len(copy.epochs) - 1):
        epoch = copy.epochs[frame]
        page.evaluate(
            "frame => { const s = document.getElementById('slider'); s.value = frame; s.dispatchEvent(new Event('input')); }",
            frame,
        )
        page.locator("#spectrum").scroll_into_view_if_needed()
        wait_until(page, f"document.getElementById('spectrum').layout.title.subtitle.text.includes('epoch {epoch};')")
        assert page.inner_text("#epoch") == f"{epoch:,}"
        bars = page.evaluate("Array.from(document.getElementById('spectrum').data[1].y)")
        np.testing.assert_allclose(bars, data["readout_power"].sel(epoch=epoch), atol=1e-4)
        page.locator("#token_geometry").scroll_into_view_if_needed()
        wait_until(
            page, f"document.getElementById('token_geometry').layout.title.subtitle.text.includes('epoch {epoch};')"
        )
        cosines = page.evaluate(
            "Array.from(document.getElementById('token_geometry').data[0].z, row => Array.from(row))"
        )
        np.testing.assert_allclose(cosines, data["token_cosine"].sel(epoch=epoch), atol=0.005)
    assert problems == []
