"""Hooks of mkdocs: the tutorial's notebooks are executed while the site is built, and become pages with their outputs.

Each `tutorial/*.py` is a notebook as jupytext writes them. They are executed in their order in one folder, so that a run which
one has trained is there for the next; whatever fails ends the build. Where $TUTORIAL_RUNS names a folder of runs, these are
there from the beginning: the tests have `quick` trained already; $TUTORIAL_ONLY names those that are executed, all if it is not
given. Figures are drawn by plotly.js, of which the site has one
copy of its own: nothing is fetched from anywhere.
"""

import html
import inspect
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient
from plotly.offline import get_plotlyjs

from grokviz.analysis.taking.measures import FAMILIES, interventions
from grokviz.analysis.taking.operators import OPERATORS
from grokviz.analysis.taking.specs import specs_of

PLOTLY = "assets/plotly.min.js"
FIGURE_HEIGHT = 420

outputs: dict[str, list[str]] = {}
"""The HTML of the outputs of each page, which takes the place of its marks once the Markdown has been read."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page and a notebook to download for each notebook of the tutorial, and plotly.js."""
    sources = sorted((Path(config.docs_dir) / "tutorial").glob("*.py"))
    only = tuple(os.environ.get("TUTORIAL_ONLY", "").split(","))  # '' begins every name
    with tempfile.TemporaryDirectory() as folder:
        if trained := os.environ.get("TUTORIAL_RUNS"):
            shutil.copytree(trained, Path(folder) / "runs")
        for source in sources:
            notebook = jupytext.read(source)
            files.append(
                File.generated(config, f"tutorial/{source.stem}.ipynb", content=jupytext.writes(notebook, "ipynb"))
            )
            if source.stem.startswith(only):
                execute(notebook, folder)
            page = f"tutorial/{source.stem}.md"
            outputs[page] = []
            files.append(File.generated(config, page, content=markdown(notebook, page)))
    files.append(File.generated(config, PLOTLY, content=get_plotlyjs()))
    files.append(File.generated(config, "api/measures.md", content=measures()))
    return files


def measures() -> str:
    """The page of all measures: what each means, and its formula, unit, range and source as a table."""
    parts = [
        "# Measures",
        "Each is a function of a snapshot, in `grokviz.measures`. All of them together are `grokviz.MEASURES`. What is said here "
        "of each is also in `measurements[name].attrs`.",
    ]
    named = [(family.__name__.rpartition(".")[2], family.MEASURES) for family in FAMILIES]
    for name, functions in (*named, ("interventions", interventions.UNDER), ("operators", OPERATORS)):
        parts.append(f"## {name.capitalize()}")
        if name == "operators":
            parts.append(
                "The forms in which restricted and excluded loss stand in print, in `grokviz.operators`. They are measured where "
                "they are asked for: `grokviz.measure(run, (*grokviz.MEASURES, grokviz.operators.restricted_loss_of_cube))`."
            )
        for spec in specs_of(functions):
            axes = " by ".join(f"`{axis}`" for axis in ("epoch", *spec.axes))
            text = inspect.getdoc(spec.function) or ""
            prose = re.split(r"^(?:Formula|Unit|Range|Source):", text, maxsplit=1, flags=re.MULTILINE)[0].strip()
            parts += [f"### {spec.name} {{ #grokviz.measures.{name}.{spec.name} }}", f"*{axes}*", prose]
            rows = [
                f"| {part} | {told(spec.attributes[part])} |"
                for part in ("formula", "unit", "range", "source")
                if part in spec.attributes
            ]
            if spec.needs:
                rows.append(f"| needs | {', '.join(need.replace('_', ' ') for need in spec.needs)} |")
            parts.append("\n".join(["| | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def told(text: str) -> str:
    """A cell of a table, in which a stroke would end it."""
    return html.escape(text, quote=False).replace("|", "&#124;").replace("*", "&#42;").replace("_", "&#95;")


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the outputs in the place of their marks."""
    for i, output in enumerate(outputs.get(page.file.src_uri, [])):
        content = content.replace(f'<div class="output" id="output-{i}"></div>', f'<div class="output">{output}</div>')
    if "Plotly.newPlot" in content:
        content = f'<script src="../{PLOTLY}"></script>\n{content}'
    return content


def on_post_build(config: MkDocsConfig) -> None:
    """Take out the one address that the theme would fetch from, to search in a site that is opened as a file."""
    for script in (Path(config.site_dir) / "assets" / "javascripts").glob("bundle.*.js"):
        script.write_text(script.read_text().replace("https://unpkg.com/iframe-worker/shim", "data:text/javascript,"))


def execute(notebook: nbformat.NotebookNode, folder: str) -> None:
    """Execute `notebook` in `folder`; what fails there fails here."""
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": folder}}).execute()


def markdown(notebook: nbformat.NotebookNode, page: str) -> str:
    """The notebook as Markdown, with a mark for each output."""
    name = f"{Path(page).stem}.ipynb"
    cells = [cell for cell in notebook.cells if cell.source.strip()]
    title, rest = cells[0].source.split("\n", 1)
    parts = [title, f"*This page is a notebook: [download it]({name}). All outputs are of its last execution.*", rest]
    for cell in cells[1:]:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for shown in shown_of(cell):
            parts.append(f'<div class="output" id="output-{len(outputs[page])}"></div>')
            outputs[page].append(shown)
    return "\n\n".join(parts)


def shown_of(cell: nbformat.NotebookNode) -> Iterator[str]:
    """The HTML of each output of a cell; progress bars are left out."""
    for output in cell.outputs:
        data: dict[str, Any] = output.get("data", {})
        if output.output_type == "stream" and output.name == "stdout":
            yield f"<pre>{html.escape(output.text)}</pre>"
        elif figure := data.get("application/vnd.plotly.v1+json"):
            yield drawn(figure)
        elif "application/vnd.jupyter.widget-view+json" in data:
            continue
        elif "text/html" in data and "xr-wrap" not in data["text/html"]:  # xarray's text is the calmer one
            yield data["text/html"]
        elif "text/plain" in data:
            yield f"<pre>{html.escape(data['text/plain'])}</pre>"


def drawn(figure: dict[str, Any]) -> str:
    """A figure of plotly as HTML that draws itself."""
    text = json.dumps({"data": figure["data"], "layout": figure["layout"]}).replace("<", "\\u003c")
    name = f"figure-{abs(hash(text))}"
    height = figure["layout"].get("height", FIGURE_HEIGHT)
    return (
        f'<div id="{name}" class="figure" style="height:{height}px"></div>'
        f'<script>Plotly.newPlot("{name}", ...(figure => [figure.data, figure.layout, {{responsive: true}}])({text}))</script>'
    )
