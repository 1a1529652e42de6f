"""A figure as the bytes of a file, by its suffix, with the facts of its run in the metadata."""

import html
import json
import struct
import zlib
from collections.abc import Mapping
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from grokviz.errors import GrokvizError
from grokviz.figures.figure import finding_of
from grokviz.formats import FIGURE_FORMATS

PIXELS_A_POINT = 3
"""Of a PNG: a column of a paper is then printed with 300 dots an inch."""


def format_of(path: Path) -> str:
    """The format that the suffix of `path` asks for.

    Raises:
        GrokvizError: a figure cannot be written as that.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FIGURE_FORMATS:
        said = f"ends in {path.suffix}" if path.suffix else "has no suffix"
        raise GrokvizError(f"{path} {said}, but a figure is written as one of: .{', .'.join(FIGURE_FORMATS)}")
    return suffix


def facts_of(figure: go.Figure, name: str, measurements: xr.Dataset, epoch: int | None) -> dict[str, Any]:
    """What tells a figure from others long after it was made: the run, its configuration, the epoch, what it shows."""
    return {
        "figure": name,
        "finding": finding_of(figure),
        "shows": str(figure.layout.title.subtitle.text),
        "run": str(measurements["run"].item()),
        "epoch": epoch,
        "config": json.loads(measurements["config"].item()),
        "grokviz": version("grokviz"),
    }


def file_of(figure: go.Figure, kind: str, facts: Mapping[str, Any]) -> bytes:
    """The figure as a file of this `kind`, one of `FIGURE_FORMATS`. Images are made with kaleido, by a Chrome or Chromium.

    Raises:
        GrokvizError: kaleido or the browser is not installed.
    """
    kept = json.dumps(dict(facts), sort_keys=True)
    figure = go.Figure(figure).update_layout(meta=dict(facts))
    if kind == "html":
        page = figure.to_html(include_plotlyjs=True)
        return page.replace("<head>", f'<head><meta name="grokviz" content="{html.escape(kept)}">', 1).encode()
    if kind == "json":
        return str(figure.to_json()).encode()
    image = _image(figure, kind)
    if kind == "png":
        return _png_with_text(image, "grokviz", kept)
    if kind == "svg":
        begin = image.index(b">", image.index(b"<svg")) + 1
        return image[:begin] + f"<metadata>{html.escape(kept)}</metadata>".encode() + image[begin:]
    return _pdf_with_facts(image, kept)


def _image(figure: go.Figure, kind: str) -> bytes:
    try:
        import kaleido  # noqa: F401 (so that all that is missing is said at once)
        import pypdf  # noqa: F401
    except ImportError:
        raise GrokvizError("images need the extra 'images'; install it with: pip install 'grokviz[images]'") from None
    width, height = figure.layout.width or 1000, figure.layout.height
    try:
        image: bytes = figure.to_image(
            format=kind, width=width, height=height, scale=PIXELS_A_POINT if kind == "png" else 1
        )
    except Exception as error:  # of plotly, of kaleido or of what it stands on, by their versions
        if "Chrome" not in f"{type(error).__name__} {error}":
            raise
        raise GrokvizError(
            "images are made by Chrome or Chromium, and there is none; on Debian: apt install chromium"
        ) from None
    return image


def _png_with_text(image: bytes, keyword: str, text: str) -> bytes:
    """A PNG with a chunk of international text (UTF-8) after its header, which is 8 + 25 bytes long."""
    content = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return image[:33] + chunk + image[33:]


def _pdf_with_facts(image: bytes, facts: str) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(BytesIO(image)))
    writer.add_metadata({"/Creator": "grokviz", "/Subject": facts})
    written = BytesIO()
    writer.write(written)
    return written.getvalue()
