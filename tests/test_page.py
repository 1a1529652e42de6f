"""The page of a run in a real browser."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.reading.causes import with_causes
from grokviz.analysis.taking.measures.fourier import logit_spectrum
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.figures import FIGURES, drawing_of, finding_of, measures_of, shows_an_epoch, view_of, why_not
from grokviz.report.panels import TABS
from opened import Opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OWN = {
    figure.__name__: view_of(figure)
    for figure in FIGURES
    if view_of(figure) and "logit_by_answer" not in measures_of(figure)  # which groups have that are not cyclic
}

PAYLOADS = [
    opening + payload + closing
    for opening, closing in (("", ""), ("'>", ""), ('">', ""), ("</script>", ""), ("</title>", ""), ("-->", ""))
    for payload in (
        "<script>window.hurt = 1</script>",
        "<img src=x onerror='window.hurt = 1'>",
        "<svg onload=window.hurt=1>",
        "<iframe srcdoc='<script>parent.hurt = 1</script>'>",
        "' onmouseover='window.hurt = 1",
    )
]


@pytest.fixture(scope="module")
def report(quick_run: grokviz.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grokviz.write_report(quick_run, out=tmp_path_factory.mktemp("page") / "quick.html", progress=False)


@pytest.fixture(scope="module")
def data(quick_run: grokviz.Run) -> xr.Dataset:
    return with_causes(quick_run.measurements, quick_run.interventions)


@pytest.fixture
def opened(browser, report: Path) -> Iterator[Opened]:
    opened = Opened(browser, report)
    yield opened
    opened.page.close()
    assert opened.problems == []


def ink_of(opened: Opened, selector: str) -> float:
    """The share of a canvas that is painted."""
    return opened.run(
        """selector => { const canvas = document.querySelector(`${selector} canvas`);
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let painted = 0;
        for (let i = 3; i < data.length; i += 4) painted += data[i] > 0;
        return painted / (data.length / 4); }""",
        selector,
    )


def test_every_panel_of_every_tab_has_drawn_something_with_its_finding(opened: Opened, data: xr.Dataset) -> None:
    for name, view in OWN.items():
        if name != "logit_spectrum":
            assert ink_of(opened, f"#view-{view}") > 0.01, name
    for step in ("lies", "attends", "fires", "adds"):
        assert ink_of(opened, f"[data-step={step}]") > 0.01, step
    drawn = {function.__name__: function for function in FIGURES if not why_not(function, data)}
    for tab in opened.tabs:
        opened.show(tab)
        here = opened.run(f"Array.from(document.querySelectorAll('#tab-{tab} .plot'), plot => plot.id)")
        for plot in here:
            opened.page.locator(f"#{plot}").scroll_into_view_if_needed()
            opened.page.wait_for_selector(f"#{plot} .main-svg .trace, #{plot} .main-svg .hm, #{plot} .main-svg .point")
            figure = drawn.pop(plot.removeprefix("plot-"))
            assert opened.page.inner_text(f"#{figure.__name__} h3") == finding_of(figure(data))
        for canvas in opened.run(f"Array.from(document.querySelectorAll('#tab-{tab} .canvas'), element => element.id)"):
            opened.wait_until(f"document.querySelector('#{canvas} canvas').width > 300")
            assert ink_of(opened, f"#{canvas}") > 0.01, canvas
    assert set(drawn) == set(OWN) - {"logit_spectrum"} | ({"logit_spectrum"} & set(drawn))


def test_the_cursor_shows_the_measurements_of_its_epoch_in_every_panel_that_moves(
    opened: Opened, data: xr.Dataset
) -> None:
    stops = opened.run("grokviz.run.stops")
    assert stops == data["epoch"].values.tolist()
    for epoch in (stops[0], stops[len(stops) // 2], stops[-1]):
        opened.go(epoch)
        at = data.sel(epoch=epoch)
        assert opened.page.inner_text("#epoch") == f"{epoch:,}"
        assert (
            f"{at['accuracy'].sel(split='test_unmirrored').item():.1%} without their mirror"
            in opened.page.inner_text("#reading")
        )
        for name in (
            "embedding_power",
            "readout_power",
            "token_plane",
            "attention_score",
            "neuron_frequency",
            "neuron_purity",
        ):
            shown = opened.run(
                "name => Array.from(grokviz.run.at(name, grokviz.run.stopAt(grokviz.state.get('epoch'))))", name
            )
            values = at[name].values.ravel()
            tolerance = 1.1 * float(np.nanmax(data[name]) - np.nanmin(data[name])) / 1022
            np.testing.assert_allclose(np.array(shown, float), values, atol=tolerance, err_msg=name)
        for figure in FIGURES:
            if figure.__name__ in OWN and figure.__name__ != "logit_spectrum":
                said = opened.page.inner_text(f"#{figure.__name__} h3")
                assert said == drawing_of(figure, data, epoch=epoch).finding
    opened.show("superposition")
    opened.go(stops[10])
    opened.page.locator("#plot-token_geometry").scroll_into_view_if_needed()
    opened.wait_until(f"document.querySelector('#token_geometry .shows').textContent.includes('epoch {stops[10]:,};')")
    cosines = opened.run("Array.from(document.getElementById('plot-token_geometry').data[0].z, row => Array.from(row))")
    np.testing.assert_allclose(cosines, data["token_cosine"].sel(epoch=stops[10]), atol=0.005)


def test_the_band_is_moved_by_pointer_and_keys_and_plays(opened: Opened) -> None:
    stops = opened.run("grokviz.run.stops")
    band = opened.page.locator("#band")
    box = band.bounding_box()
    at = {"y": box["y"] + 40}
    opened.page.mouse.click(box["x"] + box["width"] / 2, at["y"])
    middle = opened.epoch
    assert 0.4 * stops[-1] < middle < 0.6 * stops[-1]
    opened.page.mouse.move(box["x"] + box["width"] / 2, at["y"])
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] / 4, at["y"], steps=5)
    opened.page.mouse.up()
    assert opened.epoch < middle
    band.focus()
    place = stops.index(opened.epoch)
    opened.page.keyboard.press("ArrowRight")
    assert opened.epoch == stops[place + 1]
    opened.page.keyboard.press("ArrowLeft")
    assert opened.epoch == stops[place]
    opened.page.keyboard.press("Home")
    assert opened.epoch == stops[0]
    opened.page.keyboard.press("PageUp")
    assert opened.epoch == stops[round(len(stops) / 10)]
    opened.page.keyboard.press("End")
    assert opened.epoch == stops[-1]
    opened.page.select_option("#speed", "3")
    opened.page.click("#play")
    assert opened.page.inner_text("#play") == "Pause"
    opened.wait_until(f"grokviz.state.get('epoch') >= {stops[3]} && grokviz.state.get('epoch') < {stops[-1]}")
    opened.page.click("#play")
    assert opened.page.inner_text("#play") == "Play"
    opened.run("grokviz.state.tell()")
    said = opened.page.get_attribute("#band", "aria-valuetext")
    assert said.startswith(f"epoch {opened.epoch:,}. train loss")
    opened.page.select_option("#axis", "log")
    opened.page.mouse.click(box["x"] + box["width"] / 2, at["y"])
    assert opened.epoch < 0.1 * stops[-1]


def test_opening_and_findings_move_the_cursor_and_open_what_shows_them(opened: Opened, quick_run: grokviz.Run) -> None:
    phases = grokviz.find_phases(quick_run)
    opened.page.click("text=Of the logits the waves of the key frequencies alone")
    assert opened.run("grokviz.state.get('tab')") == "algorithm"
    assert opened.run("Math.abs(document.getElementById('progress_measures').getBoundingClientRect().top) < 700")
    opened.page.click(".opening a >> nth=1")  # when it grokked
    nearest = min(quick_run.epochs, key=lambda epoch: abs(epoch - phases.grokked_unmirrored.by))
    assert opened.epoch == nearest
    assert opened.run("grokviz.state.get('tab')") == "losses"


def test_the_page_and_the_figure_call_the_same_frequencies_harmonics(opened: Opened, data: xr.Dataset) -> None:
    for epoch in (data["epoch"].values[1], "last"):
        drawn = grokviz.figures.spectrum(data, epoch).data
        for bars, what in zip(drawn, ("embedding", "readout"), strict=True):
            named = opened.run(
                """([what, stop]) => { const { run } = grokviz;
                const power = run.blocks.perComponent(run.at(`${what}_power`, stop < 0 ? run.stops.length - 1 : stop));
                return run.harmonicsIn(power).map(each => each ? `${each.multiple}×${each.key}` : ""); }""",
                [what, -1 if epoch == "last" else 1],
            )
            assert named == list(bars.text)
            assert epoch == "last" or not any(named)  # nothing stands out yet


def test_a_frequency_is_shown_off_under_the_pointer_and_pinned_by_a_click_in_all_panels(opened: Opened) -> None:
    key = opened.run("grokviz.run.keys.labels[0]")
    spot = opened.run(
        """k => { const view = grokviz.views.find(v => v.constructor.name === 'Spectrum'); const [row] = view.rows;
        const box = view.surface.canvas.getBoundingClientRect();
        const share = (k - 0.5) / grokviz.run.blocks.count;
        return [box.left + row.left + share * (row.right - row.left), box.top + row.bottom - 3]; }""",
        key,
    )
    opened.page.mouse.move(*spot)
    opened.wait_until(f"grokviz.state.block === {key}")
    assert f"frequency {key}, key:" in opened.page.inner_text("#tip")
    opened.page.mouse.click(*spot)
    opened.page.mouse.move(5, 5)
    opened.wait_until(f"grokviz.state.get('pinned') === {key} && grokviz.state.get('hovered') === null")
    assert opened.page.inner_text("#pin") == f"frequency {key}, key ×"
    opened.show("algorithm")
    opened.page.locator("#plot-excluded_losses").scroll_into_view_if_needed()
    opened.page.wait_for_selector("#plot-excluded_losses .mark.block")
    opened.page.wait_for_selector("#plot-progress_measures .mark.cursor")
    opened.page.click("#pin")
    opened.wait_until("grokviz.state.get('pinned') === null")
    opened.wait_until("document.querySelector('#plot-excluded_losses .mark.block') === null")


def test_the_cursor_line_of_a_timeline_stands_at_its_epoch(opened: Opened) -> None:
    opened.show("losses")
    opened.page.wait_for_selector("#plot-losses .mark.cursor")
    for epoch in (opened.run("grokviz.run.stops")[20], 4000):
        opened.go(epoch)
        apart = opened.run(
            """epoch => { const plot = document.getElementById('plot-losses'); const axis = plot._fullLayout.xaxis;
            const mark = plot.querySelector('.mark.cursor').getBoundingClientRect();
            return mark.left + 1 - (plot.getBoundingClientRect().left + axis._offset + axis.d2p(epoch)); }""",
            epoch,
        )
        assert abs(apart) < 1.5


def test_a_sum_is_worked_as_the_network_works_it(opened: Opened, quick_run: grokviz.Run) -> None:
    for epoch in (quick_run.epochs[len(quick_run.epochs) // 2], quick_run.epochs[-1]):
        snapshot: Snapshot = grokviz.take_snapshot(quick_run, epoch)
        opened.go(epoch)
        for a, b in ((3, 5), (58, 58), (0, 41)):
            opened.page.fill("#operand-a", str(a))
            opened.page.fill("#operand-b", str(b))
            opened.wait_until(f"grokviz.state.get('a') === {a} && grokviz.state.get('b') === {b}")
            opened.run("grokviz.state.tell()")
            traced = opened.run(
                """() => { const { pattern, activations, logits } = grokviz.views.find(v => v.traced).traced;
                return { pattern, activations: Array.from(activations), logits: Array.from(logits) }; }"""
            )
            pair = a * 59 + b
            np.testing.assert_allclose(traced["pattern"], snapshot.pattern[pair], atol=0.01)
            logits = snapshot.logits[pair].numpy()
            apart = np.array(traced["logits"]) - logits
            spread = (logits - logits.mean()).std()
            assert (apart - apart.mean()).std() < 0.1 * spread
            neurons = snapshot.neurons[pair].numpy()
            assert np.abs(np.array(traced["activations"]) - neurons).mean() < 0.1 * neurons[neurons > 0].mean()
    assert opened.page.inner_text("#asked") == "a + b mod 59 = 41"
    assert "the network answers 41 with 100.0%: right." in opened.page.inner_text("#verdict")
    opened.page.fill("#operand-a", "59")
    assert opened.page.inner_text("#operand-error") == "a must be a whole number from 0 to 58"
    assert opened.run("grokviz.state.get('a')") == 0


def test_the_circles_of_the_sum_are_the_networks_own_at_the_epoch(opened: Opened, data: xr.Dataset) -> None:
    said = """epoch => { const { run, views, state } = grokviz; state.set({ epoch, a: 7, b: 30 }); state.tell();
        const sum = views.find(view => view.constructor.name === 'WorkedSum');
        return run.keys.labels.map(k => [sum.ownPlace(k, 7), sum.pointed(k)]); }"""
    keys = grokviz.key_frequencies_of(data)
    right = [np.array([np.cos(turn), np.sin(turn)]) for turn in 2 * np.pi * np.array(keys) * 37 / 59]
    for epoch in (data["epoch"].values[0].item(), data["epoch"].values[-1].item()):
        places, pointed = (np.array(each) for each in zip(*opened.run(said, epoch), strict=True))
        plane = data["token_plane"].sel(epoch=epoch, frequency=list(keys))
        unit = np.sqrt(np.square(plane).sum("axis")).median("token").values
        np.testing.assert_allclose(places, plane.sel(token=7).values / unit[:, None], atol=0.02)
        towards = sum(place @ answer for place, answer in zip(pointed, right, strict=True)) / len(keys)
        assert towards > 0.8 if epoch else abs(towards) < 0.5


def test_neuron_maps_and_spectra_are_those_of_the_network(opened: Opened, quick_run: grokviz.Run) -> None:
    snapshot = grokviz.take_snapshot(quick_run, "last")
    neuron = opened.run("grokviz.state.get('neuron')")
    own = snapshot.neurons[:, neuron].numpy()
    opened.run("Object.assign(window, { last: grokviz.run.stops.length - 1, neuron: grokviz.state.get('neuron') })")
    shown = np.array(opened.run("Array.from(grokviz.network.at(last).activationMap(neuron))"))
    assert np.corrcoef(shown, own)[0, 1] > 0.995
    readout = opened.run("Array.from(grokviz.network.readoutOf(last, neuron))")
    assert np.corrcoef(readout, snapshot.W_L[neuron].numpy())[0, 1] > 0.99
    spectrum = opened.run(
        "Array.from(grokviz.network.spectrum2d(grokviz.network.at(last).activationMap(neuron), grokviz.run.blocks.basis))"
    )
    basis = snapshot.harmonics.of_first.numpy()
    expected = np.abs(basis @ shown.reshape(59, 59) @ basis.T)
    expected[0, 0] = 0
    np.testing.assert_allclose(np.array(spectrum).reshape(59, 59), expected, atol=1e-3 * expected.max())
    norms = opened.run("Array.from(grokviz.run.at('logit_spectrum', grokviz.run.stops.length - 1))")
    np.testing.assert_allclose(np.array(norms).reshape(59, 59) ** 2, logit_spectrum(snapshot).numpy(), atol=0.003)


def test_reloading_restores_the_view_and_nonsense_in_the_fragment_is_passed_over(browser, report: Path) -> None:
    fragment = "#epoch=1200&tab=weights&k=14&head=2&neuron=17&a=7&b=9&axis=log"
    opened = Opened(browser, report, fragment=fragment)
    names = ("epoch", "tab", "pinned", "head", "neuron", "a", "b", "axis")
    view = {"epoch": 1200, "tab": "weights", "pinned": 14, "head": 2, "neuron": 17, "a": 7, "b": 9, "axis": "log"}
    read = "names => Object.fromEntries(names.map(name => [name, grokviz.state.get(name)]))"
    assert opened.run(read, names) == view
    opened.page.click("#to-tables")
    opened.wait_until("location.hash.includes('tab=tables')")
    opened.page.reload()
    opened.page.wait_for_selector("html[data-ready=yes]", state="attached")
    assert opened.run(read, names) == {**view, "tab": "tables"}
    nonsense = Opened(
        browser, report, fragment="#epoch=-3&tab=<b>&k=999&head=77&neuron=x&a=59&constructor=1&__proto__=2"
    )
    first = nonsense.run(read, names)
    assert (first["epoch"], first["tab"], first["pinned"], first["head"]) == (4000, "losses", None, 0)
    assert opened.problems + nonsense.problems == []
    opened.page.close()
    nonsense.page.close()


def test_names_and_notes_that_are_payloads_execute_nothing(browser, tiny_run: grokviz.Run, tmp_path: Path) -> None:
    assert len(PAYLOADS) == 30
    data = tiny_run.measurements
    data["run"] = " ".join(PAYLOADS)
    for i, name in enumerate(list(data.data_vars)):
        data[name].attrs["description"] = PAYLOADS[i % 30]
    data["key_frequency_rule"] = " ".join(PAYLOADS)
    folder = tmp_path / "<img src=x onerror=window.hurt=1>"
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, folder))
    page = tmp_path / "hostile.html"
    page.write_text(grokviz.report.render_report(run, data, progress=False))
    opened = Opened(browser, page)
    for tab, _, _ in TABS:
        if opened.page.locator(f"#to-{tab}").count():
            opened.show(tab)
    opened.page.wait_for_timeout(200)
    assert opened.run("window.hurt") is None
    assert opened.run("document.querySelectorAll('img, iframe, body svg[onload]').length") == 0
    assert opened.problems == []
    opened.page.close()


# Pairs of boxes that overlap though neither holds the other, boxes that stick out of the window, and sideways scrolling.
OVERLAPS = """() => {
  const of = 'h1, h2, h3, .about, .opening li, .terms, .band, figure, figcaption, .shows, .canvas, .plot, .steps > div, ' +
    '.asked, .switch, #superposed-table, ' +
    '#findings li, [role=tablist], .controls > *';
  const shown = [...document.querySelectorAll(of)].filter(e => e.offsetParent && e.offsetWidth && e.offsetHeight);
  const boxes = shown.map(e => [e, e.getBoundingClientRect()]);
  const named = e => `${e.tagName}#${e.id}.${e.className}`;
  const found = [];
  for (const [one, a] of boxes) for (const [other, b] of boxes) {
    if (one === other || one.contains(other) || other.contains(one)) continue;
    if (Boolean(one.closest('.band')) !== Boolean(other.closest('.band'))) continue;  // the band lies over what scrolls
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(`${named(one)} over ${named(other)}`);
  }
  for (const [e, box] of boxes) if (box.right > innerWidth + 1 && !e.closest('.controls')) found.push(`${named(e)} is cut`);
  if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
  return found; }"""


@pytest.mark.parametrize("width", [400, 768, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_and_nothing_is_cut(browser, report: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, report, width=width, scheme=scheme)
    for tab in ("losses", "neurons", "superposition", "tables"):
        opened.show(tab)
        opened.page.wait_for_timeout(300)
        assert opened.run(OVERLAPS) == []
    canvases = opened.run("Array.from(document.querySelectorAll('.columns .canvas'), e => e.offsetTop)")
    assert len(set(canvases)) == (2 if width > 1250 else 5)
    assert opened.problems == []
    opened.page.close()


def test_the_page_prints(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    assert opened.run("getComputedStyle(document.querySelector('.band')).position") == "static"
    assert not opened.page.is_visible("#play")
    assert len(opened.page.pdf()) > 50_000


def test_a_run_without_keys_has_a_page_without_empty_panels(browser, tiny_run: grokviz.Run, tmp_path: Path) -> None:
    opened = Opened(browser, grokviz.write_report(tiny_run, out=tmp_path / "tiny.html", progress=False))
    assert opened.page.locator("#token_circles").count() == 0
    assert opened.run("Array.from(document.querySelectorAll('.columns .canvas'), e => e.id)") == [
        "view-attention",
        "view-spectrum",
        "view-neurons",
    ]
    assert opened.page.locator("[data-step=lies]").count() == 0
    for tab in opened.tabs:
        opened.show(tab)
        for plot in opened.run(f"Array.from(document.querySelectorAll('#tab-{tab} .plot'), plot => plot.id)"):
            opened.page.locator(f"#{plot}").scroll_into_view_if_needed()
            opened.page.wait_for_selector(f"#{plot} .main-svg")
    assert opened.problems == []
    opened.page.close()


def test_epoch_figures_are_all_in_the_page(data: xr.Dataset, report: Path) -> None:
    page = report.read_text()
    for figure in FIGURES:
        if shows_an_epoch(figure):
            assert (f'id="{figure.__name__}"' in page) == (not why_not(figure, data))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_axe_finds_nothing_serious(browser, report: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    for tab in ("losses", "neurons", "tables"):
        page.click(f"#to-{tab}")
        page.wait_for_timeout(500)
        found = [
            (one["id"], one["nodes"][0]["html"][:100])
            for one in axe.run(page).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert found == [], tab
    page.close()


def test_the_keyboard_reaches_everything_in_few_steps(opened: Opened) -> None:
    reached = []
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.append(opened.run("document.activeElement.id || document.activeElement.tagName"))
        if reached[-1] == "BODY":
            break
    for wanted in ("play", "speed", "axis", "band", "operand-a", "operand-b", "to-losses"):
        assert wanted in reached
    assert reached.index("to-losses") < 50


def test_the_keyboard_does_what_a_pointer_does(opened: Opened) -> None:
    """Pins, heads and neurons are chosen with arrows and Enter, and said where they lie; Tab stops once in a row of switches."""
    keys = opened.page.keyboard
    opened.page.locator("#view-spectrum canvas").focus()
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    opened.wait_until("grokviz.state.get('hovered') === 2")
    assert "of the embedding's power" in opened.page.inner_text("#tip")
    keys.press("Enter")
    assert opened.run("grokviz.state.get('pinned')") == 2
    opened.wait_until("document.querySelector('[data-switch=k1]') !== null")  # what is pinned has its switch
    keys.press("Escape")
    assert not opened.page.is_visible("#tip")
    opened.page.locator("#view-attention canvas").focus()
    keys.press("ArrowLeft")
    keys.press("Enter")
    assert opened.run("grokviz.state.get('head')") == opened.run("grokviz.run.heads - 1")
    before = opened.run("grokviz.state.get('neuron')")
    opened.page.locator("#view-neurons canvas").focus()
    keys.press("ArrowRight")
    keys.press("Enter")
    assert opened.run("grokviz.state.get('neuron')") != before
    opened.page.locator("[data-switch=h0] input").focus()
    keys.press("ArrowRight")
    assert opened.run("document.activeElement.textContent") == "a random other"
    keys.press("ArrowRight")
    keys.press("Space")
    opened.wait_until("grokviz.state.get('off') === 'h1'")
    assert opened.run("document.querySelectorAll('#switches [tabindex=\"0\"]').length") == 3


OTHER_TASKS = [("multiplication", 23), ("x2_xy_y2", 23), ("addition", 24)]


@pytest.mark.parametrize(("operation", "p"), OTHER_TASKS)
def test_other_tasks_have_their_page_and_their_sums(
    browser, tiny_config, operation: str, p: int, tmp_path: Path
) -> None:
    task = replace(tiny_config.task, operation=operation, p=p)
    run = grokviz.train(replace(tiny_config, task=task), tmp_path / "run", progress=False)
    grokviz.measure(run, progress=False)
    opened = Opened(browser, grokviz.write_report(run, progress=False))
    elements = run.config.task.task.elements.tolist()
    a, b = elements[3], elements[-1]
    opened.page.fill("#operand-a", str(a))
    opened.page.fill("#operand-b", str(b))
    opened.wait_until(f"grokviz.state.get('b') === {len(elements) - 1}")
    opened.run("grokviz.state.tell()")
    answer = elements[run.config.task.task.answers[3 * len(elements) + len(elements) - 1]]
    assert opened.page.inner_text("#asked").endswith(f" = {answer}")
    snapshot = grokviz.take_snapshot(run, "last")
    traced = opened.run(
        "Array.from(grokviz.network.at(grokviz.run.stops.length - 1).forward(3, grokviz.run.task.n - 1).logits)"
    )
    logits = snapshot.logits[3 * len(elements) + len(elements) - 1].numpy()
    assert np.corrcoef(traced, logits)[0, 1] > 0.98
    for tab, _, _ in TABS:
        if opened.page.locator(f"#to-{tab}").count():
            opened.show(tab)
            opened.page.wait_for_timeout(300)
    assert opened.problems == []
    opened.page.close()


def test_a_diverged_run_has_a_page_that_opens(browser, tiny_config, tmp_path: Path) -> None:
    training = replace(tiny_config.training, learning_rate=1e30)
    with pytest.warns(grokviz.GrokvizWarning, match="diverged"):
        run = grokviz.train(replace(tiny_config, training=training), tmp_path / "run", progress=False)
    grokviz.measure(run, progress=False)
    opened = Opened(browser, grokviz.write_report(run, progress=False))
    assert opened.page.inner_text("#findings li >> nth=0").startswith("Diverged at epoch 1")
    assert opened.problems == []
    opened.page.close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.filterwarnings("ignore:.*it is not known which pairs:grokviz.errors.GrokvizWarning")
def test_a_single_network_has_a_page_without_a_slider_and_without_a_course(
    browser, quick_run: grokviz.Run, tmp_path: Path
) -> None:
    # given one network, as somebody publishes it
    file = quick_run.directory / "checkpoints" / f"epoch_{quick_run.epochs[-1]:06d}.safetensors"
    run = grokviz.import_run(file, tmp_path / "run", progress=False)
    measurements = grokviz.measure(run, progress=False)
    page = grokviz.write_report(run, progress=False)

    # when opened, then nothing goes along a course that it does not have
    opened = Opened(browser, page)
    for hidden in ("#band", "#play", "#speed", "#axis"):
        assert not opened.page.is_visible(hidden), hidden
    assert opened.page.inner_text("#epoch") == f"{run.epochs[0]:,}"
    words = opened.page.inner_text("body")
    for name in ("dimensionality", "progress_measures", "losses"):
        assert opened.run("name => document.getElementById(name)", name) is None
    assert "it shows a course over training, and there is one checkpoint" in opened.run("document.body.textContent")
    assert not re.search(r"peak|ends? at|at the end|from epoch", words), words

    # and what is said leads to what is there
    for target in opened.run("Array.from(document.querySelectorAll('[data-target]'), e => e.dataset.target)"):
        assert opened.run("name => document.getElementById(name) !== null", target), target

    # and what is of one moment is there, with the numbers that were measured
    for figure in ("spectrum", "token_circles", "neurons_by_frequency"):
        assert opened.run("name => document.getElementById(name) !== null", figure)
    assert f"it answers {measurements['accuracy'].sel(split='test_unmirrored').item():.1%} of unseen pairs" in words
    opened.page.close()
    assert opened.problems == []


def test_an_address_typed_while_a_view_is_still_to_be_drawn_is_followed(opened: Opened) -> None:
    stops = opened.run("grokviz.run.stops")
    opened.run(
        """([typed, drawn]) => { location.hash = `#epoch=${typed}`;
        history.replaceState(null, '', fragmentOf({ ...grokviz.state.values, epoch: drawn })); }""",
        [stops[3], opened.epoch],
    )
    opened.wait_until(f"grokviz.state.get('epoch') === {stops[3]}")
