import base64
import json

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.taking.measures import MEASURES
from grokviz.errors import GrokvizError, LackingError
from grokviz.figures import (
    FAMILIES,
    FIGURES,
    Drawing,
    drawing_of,
    figure_named,
    finding_of,
    irreps,
    measures_of,
    shows_an_epoch,
    why_not,
)
from grokviz.figures.theme import FREQUENCY_COLOURS, NEUTRAL, TEMPLATE, frequency_colours, thinned

EPOCH_FIGURES = [function for function in FIGURES if shows_an_epoch(function)]
ALL = pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
AT_EPOCH = pytest.mark.parametrize("function", EPOCH_FIGURES, ids=lambda function: function.__name__)


@pytest.fixture
def measured(request: pytest.FixtureRequest, of_frequencies: xr.Dataset) -> xr.Dataset:
    """The measurements of the tiny run; for a figure of irreps, those of a run of a group."""
    function = request.node.callspec.params.get("function") if hasattr(request.node, "callspec") else None
    return request.getfixturevalue("of_irreps") if function in irreps.FIGURES else of_frequencies


@pytest.fixture(scope="session")
def of_irreps(tiny_group_run: grokviz.Run) -> xr.Dataset:
    return tiny_group_run.measurements


@pytest.fixture(scope="session")
def of_frequencies(tiny_run: grokviz.Run) -> xr.Dataset:
    """The tiny run, with two frequencies declared key: it has learnt none, so what is measured with them is absent."""
    data = tiny_run.measurements.copy(deep=True)
    wave = np.array(["cos 1", "sin 1", "cos 3", "sin 3"], dtype=object)
    cosines = np.broadcast_to(np.eye(4), (data.sizes["epoch"], 4, 4)).copy()
    epochs, blocks = data.sizes["epoch"], np.ones(3)
    by_block = {
        f"removed_{place}_{name}": (("epoch", "frequency"), np.outer(np.arange(1, epochs + 1), blocks * factor))
        for place in ("embedding", "neurons")
        for name, factor in (("loss", 1.0), ("accuracy", 0.1), ("loss_control_low", 0.1), ("loss_control_high", 0.5))
    }
    kept = np.linspace(0.1, 1.0, epochs)[:, None]
    return (
        data.assign(
            **by_block,
            kept_accuracy=(("epoch", "kept"), kept),
            kept_accuracy_control_high=(("epoch", "kept"), kept / 2),
            unseen_restricted_loss=data["loss"].sel(split="test", drop=True) / 2,
            unseen_restricted_loss_null=(("epoch", "null"), np.full((epochs, 2), 9.0)),
            is_key_frequency=("frequency", np.array([1, 0, 1], np.int8)),
            restricted_loss=data["loss"],
            excluded_loss=data["loss"],
            fourier_interference=(("epoch", "key_component", "other_key_component"), cosines),
        )
        .assign_coords(key_component=wave, other_key_component=wave, kept=["1, 3"], null=["lookup 1", "random 1"])
        .assign_attrs(absent="{}")
    )


@ALL
def test_a_figure_states_its_finding_and_what_it_shows_and_draws_something(function, measured: xr.Dataset) -> None:
    figure = function(measured)
    assert isinstance(figure, go.Figure)
    assert len(figure.layout.title.text) > 15
    assert len(figure.layout.title.subtitle.text) > 15
    assert figure.layout.template.layout.colorway == TEMPLATE["layout"]["colorway"]
    assert len(figure.data) >= 1
    assert all("<extra>" in trace.hovertemplate for trace in figure.data)


@ALL
def test_a_drawing_is_what_plotly_makes_of_it_when_it_validates_every_attribute(function, measured: xr.Dataset) -> None:
    drawn = drawing_of(function, measured).to_json()
    validated = json.loads(function(measured).to_json())
    assert plain(drawn["data"]) == plain(validated["data"])
    for layout in (drawn["layout"], validated["layout"]):
        assert layout.pop("template")["layout"]["colorway"]
    assert plain(drawn["layout"]) == plain(validated["layout"])


def plain(node):
    """A part of a figure with its typed arrays as lists, of whatever width they are."""
    if isinstance(node, dict) and "bdata" in node:
        shape = [int(n) for n in str(node.get("shape", -1)).split(",")]
        numbers = np.frombuffer(base64.b64decode(node["bdata"]), node["dtype"]).reshape(shape)
        return [repr(number) for number in numbers.tolist()]  # NaN too equals itself, then
    if isinstance(node, dict):
        return {name: plain(child) for name, child in node.items()}
    return [plain(child) for child in node] if isinstance(node, list | tuple) else node


def test_panels_of_a_grid_have_axes_of_their_own_and_lines_lie_in_their_panel() -> None:
    drawing = Drawing(rows=2, cols=2, titles=("a", "b", "c", "d"))
    drawing.add("scatter", y=[1, 2], row=2, col=1)
    drawing.axis("y", title="all")
    drawing.axis("x", row=2, range=[0, 1])
    drawing.horizontal_line(1.5, "dot", row=2, col=2)
    assert (drawing.data[0]["xaxis"], drawing.data[0]["yaxis"]) == ("x3", "y3")
    assert all(drawing.layout[f"yaxis{n}"]["title"] == {"text": "all"} for n in ("", "2", "3", "4"))
    assert [n for n in ("", "2", "3", "4") if "range" in drawing.layout[f"xaxis{n}"]] == ["3", "4"]
    assert drawing.layout["shapes"][0]["yref"] == "y4"
    assert "range" not in Drawing(rows=2, cols=2, titles=("a", "b", "c", "d")).layout["xaxis3"]  # grids are not shared
    drawing.figure()


@ALL
def test_numbers_in_a_figure_take_four_bytes_at_most(function, measured: xr.Dataset) -> None:
    def arrays(node):
        if isinstance(node, dict):
            if "bdata" in node:
                yield node["dtype"]
            for child in node.values():
                yield from arrays(child)
        elif isinstance(node, list | tuple):
            for child in node:
                yield from arrays(child)

    for dtype in arrays(function(measured).to_plotly_json()["data"]):
        assert np.dtype(dtype).itemsize <= 4


@ALL
def test_a_figure_changes_no_measurement_and_makes_valid_json(function, measured: xr.Dataset) -> None:
    before = measured.copy(deep=True)
    json.loads(function(measured).to_json())
    assert measured.identical(before)


def test_a_run_without_key_frequencies_has_every_figure_but_those_of_key_frequencies(tiny_run: grokviz.Run) -> None:
    data = tiny_run.measurements
    assert grokviz.key_frequencies_of(data) == ()
    reasons = {function.__name__: why_not(function, data) for function in FIGURES}
    assert {name for name, reason in reasons.items() if reason} == {
        "progress_measures",
        "necessity",
        "sufficiency",
        "unseen_progress",
        "token_circles",
        "component_interference",
        "composition_table",
        "logits_by_class",
    }
    for name, reason in reasons.items():
        if name in ("necessity", "sufficiency"):
            assert reason.endswith("in its networks yet; run grokviz ablate on the run")
        elif reason and "by which logits are shown" not in reason:
            assert "no circuit has formed" in reason
            with pytest.raises(LackingError, match=f"figure {name} cannot be drawn: .*no circuit has formed"):
                figure_named(name)(data)
        elif not reason:
            assert finding_of(figure_named(name)(data))


@AT_EPOCH
def test_a_figure_of_an_epoch_shows_the_last_one_unless_told(function, measured: xr.Dataset) -> None:
    assert function(measured).to_json() == function(measured, 40).to_json()
    first = function(measured, 0)
    assert "0" in first.layout.title.subtitle.text
    with pytest.raises(GrokvizError, match=r"no checkpoint of epoch 17; the nearest are"):
        function(measured, 17)


@AT_EPOCH
def test_axes_stand_still_over_the_epochs(function, measured: xr.Dataset) -> None:
    def ranges(figure: go.Figure) -> list:
        layout = figure.to_plotly_json()["layout"]
        return [layout[name].get("range") for name in sorted(layout) if "axis" in name and name != "coloraxis"]

    assert ranges(function(measured, 0)) == ranges(function(measured, 40))


@ALL
def test_a_figure_needs_what_it_states_and_nothing_else(function, measured: xr.Dataset) -> None:
    # without what it states, it says so ...
    for name in measures_of(function):
        said = "hold no history" if name.startswith("history_") else f"the measure '{name}' has not been taken"
        said = "run grokviz ablate on the run" if name.startswith(("removed_", "kept_")) else said
        with pytest.raises(LackingError, match=said):
            function(measured.drop_vars(name))
    # ... and without everything else it draws
    stated = {*measures_of(function), "is_key_frequency", "config", "p", "n_answers"}
    if any(name.startswith("history_") for name in stated):  # the history comes whole
        stated |= {str(name) for name in measured.data_vars if str(name).startswith("history_")}
    assert finding_of(function(measured[sorted(stated)]))


def test_a_figure_wants_measurements_or_a_run_and_says_so(tiny_run: grokviz.Run) -> None:
    with pytest.raises(GrokvizError, match=r"figure losses needs measurements, but got 3; .* or a run"):
        grokviz.figures.losses(3)
    assert grokviz.figures.losses(tiny_run) == grokviz.figures.losses(tiny_run.measurements)


def test_every_figure_is_reached_by_its_name_and_a_wrong_name_gets_the_nearest() -> None:
    for function in FIGURES:
        assert getattr(grokviz.figures, function.__name__) is figure_named(function.__name__) is function
    with pytest.raises(GrokvizError, match="did you mean losses"):
        figure_named("loses")
    assert not hasattr(grokviz.figures, "loses")


def test_figure_families_mirror_the_measure_families() -> None:
    names = [family.__name__.rsplit(".", 1)[-1] for family in FAMILIES]
    assert names == ["performance", "fourier", "irreps", "progress", "causes", "attention", "superposition", "weights"]
    shown_in_causes = {"unseen", "algorithm"}
    families = {measure.__module__.rsplit(".", 1)[-1] for measure in MEASURES}
    assert families - shown_in_causes == {*names} - {"causes"}


def test_the_bars_of_the_spectrum_are_the_measured_shares(measured: xr.Dataset) -> None:
    figure = grokviz.figures.spectrum(measured, 20)
    np.testing.assert_allclose(figure.data[1].y, measured["readout_power"].sel(epoch=20), rtol=1e-6)
    assert frequency_colours(measured, [1, 2, 3]) == [FREQUENCY_COLOURS[0], NEUTRAL, FREQUENCY_COLOURS[1]]
    assert figure.data[0].marker.color[0] == FREQUENCY_COLOURS[0]


def test_the_harmonics_of_keys_are_drawn_in_their_colours_hatched_and_named(measured: xr.Dataset) -> None:
    power = measured["embedding_power"].copy()
    power.loc[{"epoch": 20}] = [0.6, 0.399, 0.001]
    bars = grokviz.figures.spectrum(measured.assign(embedding_power=power), 20).data[0]
    assert list(bars.text) == ["", "2×1", ""]  # 3 is twice 2, and three times 1, but a key itself
    assert list(bars.marker.pattern.shape) == ["", "/", ""]
    assert bars.marker.color[1] == bars.marker.color[0]
    assert "2 times key frequency 1" in bars.hovertext[1]
    power.loc[{"epoch": 20}] = [0.9, 0.008, 0.092]
    bars = grokviz.figures.spectrum(measured.assign(embedding_power=power), 20).data[0]
    assert list(bars.text) == ["", "", ""]  # below 1 % of the largest


def test_a_loss_that_rounding_raises_is_no_higher(measured: xr.Dataset) -> None:
    plain = measured["loss"].sel(split="train", drop=True)
    same = plain.expand_dims(frequency=measured["frequency"]).transpose("epoch", "frequency") - 1.8e-14
    figure = grokviz.figures.excluded_losses(measured.assign(excluded_loss_by_frequency=same), 20)
    assert figure.layout.title.text.startswith(
        "Without the waves of any one frequency in the logits the train loss of "
    )
    assert "is no higher" in figure.layout.title.text


def test_attention_can_be_drawn_to_each_source_and_the_three_sum_to_one(measured: xr.Dataset) -> None:
    maps = [grokviz.figures.attention_patterns(measured, 20, source=source).data[0].z for source in ("a", "b", "=")]
    np.testing.assert_allclose(sum(maps), 1, rtol=1e-6)
    with pytest.raises(GrokvizError, match="source is 'c'"):
        grokviz.figures.attention_patterns(measured, 20, source="c")


def test_thinning_keeps_every_spike_of_a_long_curve() -> None:
    y = np.sin(np.arange(50_000) / 1000)
    y[[1234, 40_001]] = [9.0, -9.0]
    x, kept = thinned(np.arange(50_000), y)
    assert len(x) <= 2002
    assert {1234, 40_001, 0, 49_999} <= set(x.tolist())
    np.testing.assert_array_equal(y[x], kept)
