import base64
import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from markupsafe import escape

import grokviz
from fixtures import initial_model
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.cli.arguments import TrainArguments
from grokviz.cli.parsing import parsed
from grokviz.cli.table import COMMANDS
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.figures import FIGURES, Drawing, title_of, why_not
from grokviz.models.activations import RELU
from grokviz.models.token_tables import logits_of, tables_of
from grokviz.report.buffer import Buffer, Place
from grokviz.report.frames import frames
from grokviz.report.network import carried_network
from grokviz.report.panels import IN_VIEW
from grokviz.report.render import cursor_stops, most_stops
from grokviz.report.words import SAID_ALREADY, SAID_FIRST, command_again


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "copy"))


def read_back(place: Place, content: bytes) -> np.ndarray:
    """What the page makes of an array: written once more, to check the script's own reading in the browser test."""
    size, width = int(np.prod(place.shape)), int(place.type[1])
    planes = np.frombuffer(content, np.uint8, size * width, place.at).reshape(width, size).astype(np.uint16)
    differences = sum(plane << (8 * i) for i, plane in enumerate(planes)).reshape(place.shape)
    levels = np.cumsum(differences.astype(np.uint64), axis=0) % 2 ** (8 * width)
    return np.where(levels == 0, np.nan, place.low + (levels.astype(float) - 1) * place.step)


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
    buffer = Buffer()
    packed = frames(drawings, buffer)
    changes = {change.path: change for change in packed.changes}

    # then the rest is not repeated, and each number comes back as close as promised
    assert set(changes) == {("data", 0, "z"), ("data", 1, "y"), ("data", 1, "customdata"), ("layout", "title", "text")}
    assert changes["layout", "title", "text"].values == [f"epoch {i}" for i in range(5)]
    read = {path: read_back(change.array, buffer.content()) for path, change in changes.items() if change.array}
    np.testing.assert_array_equal(read["data", 1, "customdata"], counts)
    for path, values, levels in ((("data", 0, "z"), maps, 254), (("data", 1, "y"), curves, 65_534)):
        half_a_level = (np.nanmax(values) - np.nanmin(values)) / levels / 2
        np.testing.assert_allclose(read[path], values, atol=1.001 * half_a_level, rtol=0)


@given(
    arrays(np.float64, (4, 3), elements=st.floats(-1e6, 1e6) | st.just(np.nan)), st.sampled_from([254, 1022, 65_534])
)
def test_any_numbers_come_back_within_half_a_level_and_nothing_as_nothing(values: np.ndarray, levels: int) -> None:
    buffer = Buffer()
    buffer.exact(np.zeros(3))  # so that it does not begin at 0
    read = read_back(buffer.quantised(values, levels), buffer.content())
    width = np.nanmax(values) - np.nanmin(values) if np.isfinite(values).any() else 0.0
    np.testing.assert_allclose(read, values, atol=0.5001 * width / levels + 1e-9, rtol=1e-12)


def test_numbers_kept_by_steps_come_back_within_half_a_step() -> None:
    values = np.random.default_rng(0).normal(size=(5, 40)) * np.array([1, 9, 3, 20, 1])[:, None]
    buffer = Buffer()
    np.testing.assert_allclose(read_back(buffer.stepped(values, 0.25), buffer.content()), values, atol=0.1251)


def test_a_figure_with_other_traces_at_one_epoch_is_kept_whole_in_every_frame() -> None:
    one, two = Drawing(), Drawing()
    one.add("scatter", y=np.array([1.0, 2.0], np.float32))
    two.add("scatter", y=np.array([3.0], np.float32))
    two.add("scatter", y=[2])
    two.layout["title"] = {"text": "two"}
    packed = frames([one, two], Buffer())
    by_path = {change.path: change.values for change in packed.changes}
    assert [len(data) for data in by_path["data",]] == [1, 2]
    y = by_path["data",][0][0]["y"]
    assert np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"]).tolist() == [1.0, 2.0]
    assert by_path["layout",][1]["title"]["text"] == "two"
    json.dumps(by_path["data",])


def test_the_cursor_stops_at_all_checkpoints_or_evenly_at_some_with_both_ends() -> None:
    assert cursor_stops(range(0, 50), most=50) == list(range(50))
    many = cursor_stops(range(0, 1000, 2), most=200)
    assert len(set(many)) == 200
    assert (many[0], many[-1]) == (0, 998)
    assert cursor_stops(range(0, 1000, 2), most=2) == [0, 998]


def test_a_page_of_a_large_network_has_fewer_stops() -> None:
    assert most_stops(grokviz.preset("default")) == most_stops(grokviz.preset("nanda2023")) == 200
    large = replace(grokviz.preset("default"), task=TaskConfig(p=499))
    assert 2 < most_stops(large) < 100


def test_the_page_is_one_file_without_network_and_with_everything_in_it(copy: grokviz.Run) -> None:
    path = grokviz.write_report(copy)
    page = path.read_text()
    assert path == copy.directory / "report.html"
    assert path.stat().st_size < 15e6
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src &#39;none&#39;" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"<(script|img|link|iframe)[^>]*(src|href)=(?!.data:,)", page)
    for function in FIGURES:
        assert (f'id="{function.__name__}"' in page) == (not why_not(function, copy.measurements))
    assert "<h2>Not drawn</h2>" in page
    assert "<li>progress_measures: the measure &#39;restricted_loss&#39; is absent (there are no key" in page
    drawn = [function for function in FIGURES if not why_not(function, copy.measurements)]
    links = dict(
        re.findall(
            r'<li><a href="#(\w+)" data-target="\1" data-epoch="\d+">([^<]*)</a></li>', page.split('id="data"')[0]
        )
    )
    names = [function.__name__ for function in drawn]
    for function in drawn:
        if SAID_ALREADY.get(function.__name__) in names or function.__name__ in (*SAID_FIRST, *IN_VIEW):
            continue
        assert links[function.__name__] == escape(title_of(function, copy.measurements).finding)
    assert escape(copy.measurements["loss"].attrs["formula"]) in page
    packed = re.search(r'id="data">([^<]*)<', page)[1]
    assert json.loads(gzip.decompress(base64.b64decode(packed)))["runs"][0]["stops"] == list(copy.epochs)


def test_text_from_a_run_is_escaped(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / hostile.replace("/", "∕")))
    data = run.measurements
    data["run"] = hostile
    data["loss"].attrs["description"] = hostile
    page = grokviz.report.render_report(run, data)
    assert "<script>alert" not in page
    assert page.count("<script>") == 1  # ours; plotly.js is in the data


@pytest.mark.slow
def test_a_report_needs_no_torch(copy: grokviz.Run) -> None:
    code = (
        f"import sys; from grokviz.cli.main import main; assert main(['report', {str(copy.directory)!r}]) == 0; "
        "assert not {'torch', 'transformer_lens'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def list_of_findings(page: str) -> list[str]:
    """The findings on a page, as text."""
    part = re.search(r'<div id="findings">(.*?)</section>', page, re.DOTALL)[1]
    part = re.sub(r"<h3>.*?</h3>", "", part)
    return [text for line in part.splitlines() if (text := re.sub(r"<[^>]*>", "", line).strip())]


def test_findings_are_those_of_the_figures_and_what_has_not_happened(copy: grokviz.Run) -> None:
    sentences = list_of_findings(grokviz.write_report(copy).read_text())
    assert not any(each.startswith("Neither memorised nor grokked") for each in sentences)  # which the opening says
    assert any(each.startswith("Not memorised: train accuracy has not held 0.99") for each in sentences)
    assert any("key frequencies" in sentence for sentence in sentences)
    assert not any("nan" in sentence for sentence in sentences)


@pytest.mark.slow
def test_a_run_measured_with_two_measures_alone_has_a_report_of_what_they_show(copy: grokviz.Run) -> None:
    (copy.directory / "measurements.nc").unlink()
    grokviz.measure(copy, measures=(loss, accuracy))
    page = grokviz.write_report(copy).read_text()
    shown = re.findall(r'<div id="plot-(\w+)" class="plot">', page)
    assert shown == ["losses", "accuracies"]
    assert re.search(r"spectrum: the measure &#39;embedding_power&#39; has not been taken", page)


@pytest.mark.slow
def test_a_diverged_run_is_measured_and_reported_and_says_so(tiny_config, tmp_path: Path) -> None:
    training = replace(tiny_config.training, learning_rate=1e30)
    with pytest.warns(
        grokviz.GrokvizWarning, match=r"diverged: at epoch 1 the train loss is nan.*lower weight_decay or learning_rate"
    ):
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


def test_a_run_that_did_not_grok_says_so_first_and_what_it_would_take(tiny_run: grokviz.Run) -> None:
    page = grokviz.report.render_report(tiny_run, tiny_run.measurements)
    first, *_, last = re.findall(r"<li>(.*?)</li>", re.search(r'<ol class="opening">(.*?)</ol>', page, re.DOTALL)[1])
    assert "It has neither memorised nor grokked: at epoch 40 it answers" in first
    assert last.startswith("Outside what is known to grok: p is 7 (known: 23 or more). With AdamW networks are known")
    assert 'id="token_circles"' not in page  # it has no key frequencies, and no empty panels


def test_the_tables_of_a_network_are_its_forward() -> None:
    run_config = RunConfig(task=TaskConfig(p=11, operation="multiplication"), model=ModelConfig(biases="mlp"))
    model = initial_model(run_config)
    with torch.no_grad():
        for parameter in model.parameters():  # biases that are zero would hide a mistake
            parameter.add_(torch.randn_like(parameter) * 0.1)
    arrays = {name: value.numpy() for name, value in model.state_dict().items() if name in run_config.blueprint.shapes}
    pairs = run_config.task.task.pairs
    tokens = torch.cat([torch.from_numpy(pairs), torch.full((len(pairs), 1), 10)], dim=1)
    with torch.no_grad():
        expected = model.double()(tokens)[:, -1].numpy()
    np.testing.assert_allclose(logits_of(tables_of(run_config.blueprint, arrays), pairs, RELU), expected, atol=1e-10)


@pytest.mark.slow
def test_the_carried_network_is_near_the_runs_own(quick_run: grokviz.Run) -> None:
    carried = carried_network(quick_run, quick_run.epochs[::8], Buffer())
    assert carried.fidelity.same_answer > 0.85  # before it has learnt anything, its answers hang by a hair
    assert carried.fidelity.of_logits < 0.06


def test_an_intervened_network_is_not_shown_with_sums_of_the_plain_one(tiny_run: grokviz.Run) -> None:
    data = grokviz.measure(
        tiny_run, hooks=[("blocks.0.mlp.hook_post", lambda x, hook: x)], label="none", progress=False
    )
    page = grokviz.report.render_report(tiny_run, data, progress=False)
    assert "Not here: these measurements are of an intervention" in page
    assert 'id="view-activation"' not in page


def test_the_command_to_do_it_again_gives_the_same_configuration() -> None:
    config = replace(
        grokviz.preset("quick"),
        task=replace(grokviz.preset("quick").task, operation="subtraction", split_seed=7),
        training=replace(grokviz.preset("quick").training, optimizer="muon", epochs=123),
    )
    command, *words = shlex.split(command_again(config))
    assert (command, words[0], words[1]) == ("grokviz", "run", "quick")
    parsed_again = parsed(COMMANDS[0], TrainArguments, words[2:], default=TrainArguments(grokviz.preset("quick")))
    assert parsed_again.config == config
    assert command_again(grokviz.preset("nanda2023")) == "grokviz run nanda2023"
