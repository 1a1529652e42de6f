import json
import re
import shutil
import struct
import sys
import zlib
from html import unescape
from pathlib import Path

import pytest
import xarray as xr

import grokviz
from grokviz.analysis.reading.causes import with_causes
from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.figures import FIGURES, drawing_of, why_not
from grokviz.figures.encoding import facts_of, file_of, format_of
from grokviz.figures.paper import TYPE, WIDTH, in_paper_style
from grokviz.formats import FIGURE_FORMATS


@pytest.fixture
def copy(tiny_run: grokviz.Run, in_tmp_path: Path) -> xr.Dataset:
    """The tiny run as `copy` in the current directory; its measurements."""
    shutil.copytree(tiny_run.directory, "copy")
    return tiny_run.measurements


@pytest.mark.parametrize("kind", FIGURE_FORMATS)
def test_the_format_is_that_of_the_suffix(kind: str) -> None:
    assert format_of(Path(f"a.b/c.{kind.upper()}")) == kind


@pytest.mark.parametrize(("name", "said"), [("x.gif", "ends in .gif"), ("x", "has no suffix")])
def test_another_suffix_is_refused_before_anything_is_drawn(name: str, said: str) -> None:
    with pytest.raises(GrokvizError, match=rf"{name} {said}, but a figure is written as one of: \.html, \.json, \.png"):
        format_of(Path(name))


def test_a_page_and_a_json_carry_the_facts_of_the_run(copy: xr.Dataset) -> None:
    assert main("figure copy spectrum --epoch 20 -o s.html".split()) == 0
    assert main("figure copy spectrum --epoch 20 -o s.json".split()) == 0
    kept = json.loads(unescape(re.search(r'<meta name="grokviz" content="([^"]*)">', Path("s.html").read_text())[1]))
    assert (kept["figure"], kept["epoch"], kept["run"]) == ("spectrum", 20, str(copy["run"].item()))
    assert kept["config"]["task"]["p"] == 7
    meta = json.loads(Path("s.json").read_text())["layout"]["meta"]
    assert meta == kept


def png_text(content: bytes) -> dict[str, str]:
    """The text chunks of a PNG, each of which must have the right sum."""
    found, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + body),)
        if kind == b"iTXt":
            keyword, _, _, _, _, text = body.split(b"\0", 5)
            found[keyword.decode()] = text.decode()
        at += 12 + length
    return found


@pytest.mark.slow
@pytest.mark.browser
def test_images_are_images_with_the_facts_in_their_metadata(copy: xr.Dataset) -> None:
    pytest.importorskip("kaleido", reason="pip install 'grokviz[images]'")
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    from pypdf import PdfReader

    figure = grokviz.figures.losses(copy)
    facts = facts_of(figure, "losses", copy, None)
    assert json.loads(png_text(file_of(figure, "png", facts))["grokviz"]) == facts
    svg = file_of(figure, "svg", facts).decode()
    assert json.loads(unescape(re.search(r"<metadata>(.*?)</metadata>", svg)[1])) == facts
    Path("l.pdf").write_bytes(file_of(figure, "pdf", facts))
    assert json.loads(PdfReader("l.pdf").metadata["/Subject"]) == facts
    assert file_of(figure, "png", facts)[16:24] == struct.pack(">II", 3000, 3 * figure.layout.height)


def test_all_figures_go_into_a_new_folder(copy: xr.Dataset, capsys) -> None:
    assert main("figure copy --all --format json -o drawn".split()) == 0
    drawable = {function.__name__ for function in FIGURES if not why_not(function, copy)}
    assert {path.stem for path in Path("drawn").iterdir()} == drawable
    assert f"{len(drawable)} of {len(FIGURES)}" in capsys.readouterr().out
    assert main("figure copy --all --format json -o drawn".split()) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
def test_a_figure_for_a_paper_is_a_column_wide_and_its_panels_do_not_touch(
    function, quick_run: grokviz.Run, tiny_group_run: grokviz.Run
) -> None:
    tried = with_causes(quick_run.measurements, quick_run.interventions)
    at_all = tried["accuracy"].sel(split="test_unmirrored", drop=True).expand_dims(kept=tried["kept"])
    kept = {
        "kept_accuracy": at_all.transpose("epoch", "kept"),
        "kept_accuracy_control_high": at_all.transpose("epoch", "kept") / 2,
    }
    datasets = (tried.assign(kept), tiny_group_run.measurements)
    data = next(each for each in datasets if not why_not(function, each))
    drawing = drawing_of(function, data)
    before = drawing.figure().to_json()
    paper = in_paper_style(drawing)
    layout = paper.figure().layout
    assert (layout.width, layout.font.size, layout.title.text) == (WIDTH, TYPE, None)
    assert drawing.figure().to_json() == before  # what it was made of is as it was
    numbers = {(trace.xaxis or "x", trace.yaxis or "y") for trace in paper.figure().data}
    boxes = [(*layout[f"xaxis{x[1:]}"].domain, *layout[f"yaxis{y[1:]}"].domain) for x, y in sorted(numbers, key=str)]
    for i, (left, right, low, high) in enumerate(boxes):
        assert 0 <= left < right <= 1
        assert 0 <= low < high <= 1
        for other in boxes[:i]:
            assert right < other[0] or other[1] < left or high < other[2] or other[3] < low


def test_the_style_is_a_flag(copy: xr.Dataset) -> None:
    assert main("figure copy accuracies --style paper -o a.json".split()) == 0
    assert json.loads(Path("a.json").read_text())["layout"]["width"] == WIDTH


@pytest.mark.parametrize("error", [RuntimeError("Kaleido requires Google Chrome to be installed."), OSError("disk")])
def test_images_without_a_browser_are_refused_in_one_line(
    error, copy: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_image(*_: object, **__: object) -> bytes:
        raise error

    monkeypatch.setattr("plotly.graph_objects.Figure.to_image", to_image)
    expected = (
        (GrokvizError, "there is none; on Debian: apt install chromium")
        if "Chrome" in str(error)
        else (OSError, "disk")
    )
    with pytest.raises(expected[0], match=expected[1]):
        file_of(grokviz.figures.losses(copy), "png", {})


def test_images_without_the_extra_are_refused_in_one_line(copy: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(
        GrokvizError, match=r"images need the extra 'images'; install it with: pip install 'grokviz\[images\]'"
    ):
        file_of(grokviz.figures.losses(copy), "png", {})


def test_epochs_in_the_facts_are_those_that_are_shown(copy: xr.Dataset) -> None:
    assert main("figure copy spectrum --epoch first -o first.json".split()) == 0
    assert json.loads(Path("first.json").read_text())["layout"]["meta"]["epoch"] == 0
    assert main("figure copy losses -o all.json".split()) == 0
    assert json.loads(Path("all.json").read_text())["layout"]["meta"]["epoch"] is None
