"""A page put together: template, stylesheet, scripts and data in one file that needs no network."""

import base64
import gzip
import hashlib
import html
import json
import math
from string import Template
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from grokviz.report.buffer import Buffer
from grokviz.report.page import resource, script


def page_of(
    *,
    title: str,
    header: str,
    main: str,
    notes: str,
    data: dict[str, Any],
    buffer: Buffer,
    version: int | None = None,
) -> str:
    """The page; `header` and `main` are HTML, `title` and `notes` text. With a `version` it asks its server for newer ones, and
    for nothing else in the world.
    """
    plotly_js, page_script = get_plotlyjs(), script()
    return Template(resource("template.html")).substitute(
        policy=html.escape(_content_security_policy(plotly_js, page_script, live=version is not None)),
        live="" if version is None else f' data-live="yes" data-version="{version}"',
        title=html.escape(title),
        header=header,
        main=main,
        notes=html.escape(notes),
        style=resource("style.css"),
        data=_packed(json.dumps(_plain(data), allow_nan=False).encode()),
        arrays=_packed(buffer.content()),
        plotly=_packed(plotly_js.encode()),
        script=page_script,
    )


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()


def _plain(node: Any) -> Any:
    """`node` as JSON has it: arrays as lists, and null for what is not finite."""
    if isinstance(node, dict):
        return {name: _plain(child) for name, child in node.items()}
    if isinstance(node, np.ndarray | np.generic):
        return _plain(node.tolist())
    if isinstance(node, list | tuple):
        return [_plain(child) for child in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def _content_security_policy(*scripts: str, live: bool) -> str:
    """No network (but for the server of a live page), and no script but ours: each is named by its hash."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    server = "; connect-src 'self'" if live else ""
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:{server}"
