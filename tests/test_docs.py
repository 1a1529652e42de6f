"""The docs site: built strictly, its notebooks executed, and opened in a browser that it sends nowhere."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import grokviz

ROOT = Path(__file__).parents[1]
EXECUTED = ("6_",)
"""The notebook that a test executes, from a loop to its report; `make docs` executes all."""
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.py"))


@pytest.fixture(scope="module")
def site(quick_run: grokviz.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it, with a notebook executed: a warning is an error, and so is a cell that fails.

    The notebook finds its run trained and measured, as when it is executed a second time.
    """
    folder = tmp_path_factory.mktemp("docs")
    site = folder / "site"
    shutil.copytree(quick_run.directory, folder / "runs" / "quick")
    command = [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", site]
    own = {"NO_MKDOCS_2_WARNING": "1", "TUTORIAL_RUNS": str(folder / "runs"), "TUTORIAL_ONLY": ",".join(EXECUTED)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **own})
    assert done.returncode == 0, done.stderr[-3000:]
    return site


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    handler.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_every_public_name_is_in_the_api_and_every_notebook_has_a_page_with_its_outputs(site: Path) -> None:
    api = "".join(page.read_text() for page in (site / "api").glob("*.html"))
    for name in grokviz.__all__:
        if name not in (
            "figures",
            "interventions",
            "measures",
            "operators",
            "trackers",
            "__version__",
            "PRESETS",
            "MEASURES",
        ):
            assert f'id="grokviz.{name}"' in api, name
    for figure in grokviz.figures.FIGURES:
        assert f'.{figure.__name__}"' in api, figure.__name__
    for measure in (*grokviz.MEASURES, *grokviz.operators.OPERATORS):
        assert f'.{measure.__name__}"' in api, measure.__name__
    for source in TUTORIAL:
        page = (site / "tutorial" / f"{source.stem}.html").read_text()
        assert page.count("Plotly.newPlot(") >= 2 * source.stem.startswith(EXECUTED)
        assert 'id="output-' not in page
        assert (site / "tutorial" / f"{source.stem}.ipynb").exists()


@pytest.mark.slow
@pytest.mark.browser
def test_the_site_opens_without_an_error_and_asks_nobody_else(site: Path, address: str, browser) -> None:
    errors, elsewhere = [], []

    def note(request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            elsewhere.append(request.url)

    page = browser.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", note)
    for name in ("index", "api/measuring", *(f"tutorial/{source.stem}" for source in TUTORIAL)):
        page.goto(f"{address}/{name}.html")
        figures = page.locator(".output .figure")
        for i in range(figures.count()):
            figures.nth(i).locator(".main-svg").first.wait_for()
    page.close()
    assert errors == []
    assert elsewhere == []
