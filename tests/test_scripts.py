"""The page's scripts by themselves, in an empty page."""

import json
import re
from dataclasses import fields

import numpy as np
import pytest

from grokviz.report import data
from grokviz.report.buffer import Buffer, Place, grid, levels_of, numbers_of
from grokviz.report.data import as_json
from grokviz.report.page import SCRIPTS, resource
from page_types import declared

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser):
    """An empty page with every script but the one that starts."""
    page = browser.new_page()
    for name in SCRIPTS:
        if name != "main.js":
            page.add_script_tag(content=resource(name))
    yield page
    page.close()


def test_each_script_is_short_and_strict() -> None:
    for name in SCRIPTS:
        text = resource(name)
        assert text.count("\n") < 500, name
        assert '"use strict";' in text.split("\n", 3)[1], name


def test_every_field_that_scripts_read_is_declared_to_their_type_checker() -> None:
    text = declared()
    for kind in (data.PageData, data.RunData, data.BandData, data.NetworkData, Place):
        (body,) = re.findall(rf"  interface {kind.__name__} {{\n(.*?)\n  }}", text, re.DOTALL)
        assert len(body.splitlines()) == len(fields(kind))
    assert "firstPair: [number, number];" in text
    assert "history: Record<string, Place>;" in text


@pytest.mark.parametrize("levels", [254, 1022, 65_534])
def test_arrays_are_read_as_they_were_written(page, levels: int) -> None:
    values = np.random.default_rng(levels).normal(size=(7, 3, 5))
    values[2, 1] = np.nan
    buffer = Buffer()
    buffer.exact(np.zeros(3))
    place = buffer.quantised(values, levels)
    read = page.evaluate(
        """([place, bytes]) => { const array = new ByStop(place, Uint8Array.from(bytes).buffer);
        return Array.from({ length: place.shape[0] }, (_, stop) => Array.from(array.at(stop))); }""",
        [as_json(place), list(buffer.content())],
    )
    low, step = grid(values, levels)
    expected = numbers_of(levels_of(values, low, step), low, step).reshape(7, 15)
    np.testing.assert_allclose(np.array(read, float), expected, atol=1e-6)


def test_the_fragment_keeps_what_it_knows_and_passes_over_the_rest(page) -> None:
    view = {"epoch": 1200, "tab": "weights", "pinned": "3", "head": 0, "neuron": 7, "a": 1, "b": 2, "axis": "log"}
    assert page.evaluate("view => valuesOf(fragmentOf(view))", view) == view
    assert page.evaluate("fragmentOf({ epoch: 3, pinned: null })") == "#epoch=3"
    for nonsense in (
        "",
        "#",
        "#epoch=",
        "#epoch=-1&k=1.5&a=x",
        "#tab=%3Cb%3E",
        "#__proto__=1&toString=2",
        "#epoch=1e999",
    ):
        values = page.evaluate("text => valuesOf(text)", nonsense)
        assert set(values) <= {"epoch", "pinned"}, nonsense  # what is pinned is a text that the page looks up
        assert values.get("epoch", 0) in (0, 1), nonsense


def test_a_state_tells_those_who_need_it_once(page) -> None:
    told = page.evaluate(
        """() => { const state = new State({ a: 1, b: 2, hovered: null, pinned: 4 }); const told = [];
        state.subscribe({ needs: ["a"], draw: () => told.push("a") });
        state.subscribe({ needs: ["b"], draw: () => told.push("b") });
        state.set({ a: 5 }); state.set({ a: 6 }); state.set({ b: 2 }); state.tell();
        const off = [state.block];
        state.set({ hovered: 9 }); off.push(state.block);
        state.toggle("pinned", 4); off.push(state.get("pinned"));
        return { told, off }; }"""
    )
    assert told == {"told": ["a", "b", "a"], "off": [4, 9, None]}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "0"),
        ("0.5", "0.5"),
        ("12.345", "12.3"),
        ("100", "100"),
        ("-3.10", "-3.1"),
        ("1e-7", "1.0e-7"),
        ("NaN", "none"),
    ],
)
def test_numbers_are_written_as_people_write_them(page, number: str, words: str) -> None:
    assert page.evaluate(f"inWords({number})") == words


def test_softmax_of_large_scores_is_finite(page) -> None:
    shares = page.evaluate("softmax([1000, 999, -1000])")
    np.testing.assert_allclose(shares, np.exp([0, -1, -2000]) / np.exp([0, -1, -2000]).sum())


def test_the_nearest_stop_is_found_and_clocks_join_stops(page) -> None:
    assert page.evaluate("[nearest([0, 10, 20], 14), nearest([0, 10, 20], 15), nearest([0, 10, 20], 99)]") == [1, 1, 2]
    runs = json.dumps(
        [
            {"name": "x", "stops": [0, 4], "shortReadings": ["p", "q"]},
            {"name": "y", "stops": [0, 3], "shortReadings": ["r", "s"]},
        ]
    )
    joined = page.evaluate(
        f"""() => {{ const runs = {runs}.map(run => ({{ ...run, stopAt: (epoch) => nearest(run.stops, epoch) }}));
        const clock = new Clock(runs); return [clock.stops, clock.readings]; }}"""
    )
    assert joined == [[0, 3, 4], ["x: p, y: r", "x: q, y: s", "x: q, y: s"]]


def test_ramps_begin_and_end_in_their_colours(page) -> None:
    assert page.evaluate("[...RAMPS.sequential.slice(0, 3), ...RAMPS.sequential.slice(-3)]") == [
        68,
        1,
        84,
        253,
        231,
        37,
    ]
