"""A page put together: template, stylesheet, scripts and data in one file that needs no network.

The templates escape all that they are given, but for what is `Markup`: our own stylesheet and scripts, and packed data.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from grokviz.report.buffer import Buffer
from grokviz.report.data import PageData, as_json
from grokviz.report.page import SCRIPTS, resource, script


def page_of(
    template: str,
    page: object,
    data: PageData,
    buffer: Buffer,
    *,
    scripts: Sequence[str] = SCRIPTS,
    worker: Sequence[str] = (),
    version: int | None = None,
) -> str:
    """The page: `page` is what the template lays out, `data` what the scripts read. Scripts of a `worker` work beside it. With a
    `version` it asks its server for newer ones, and for nothing else in the world.
    """
    plotly_js, page_script = get_plotlyjs(), script(scripts)
    return rendered(
        template,
        page=page,
        version=version,
        policy=_content_security_policy(plotly_js, page_script, live=version is not None, works=bool(worker)),
        style=Markup(resource("style.css")),
        data=_packed(json.dumps(as_json(data), allow_nan=False).encode()),
        arrays=_packed(buffer.content()),
        plotly=_packed(plotly_js.encode()),
        worker=Markup(script(worker)) if worker else "",
        script=Markup(page_script),
    )


def rendered(template: str, **values: Any) -> str:
    """A template of `page/` with these values, every text in them escaped. What it lacks is an error, not nothing."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("grokviz.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _packed(content: bytes) -> Markup:
    """In letters, digits and '+/=' alone."""
    return Markup(base64.b64encode(gzip.compress(content, compresslevel=5, mtime=0)).decode())


def _content_security_policy(*scripts: str, live: bool, works: bool) -> str:
    """No network (but for the server of a live page), and no script but ours: each is named by its hash, and a worker is made of
    what lies in the page.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    server = "; connect-src 'self'" if live else ""
    worker = "; worker-src blob:" if works else ""
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:{worker}{server}"
