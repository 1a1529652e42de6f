"""What a page is made of besides its data: a template, a stylesheet, scripts."""

from importlib.resources import files

SCRIPTS = (
    "data.js",
    "state.js",
    "draw.js",
    "network.js",
    "band.js",
    "circles.js",
    "attention.js",
    "neurons.js",
    "readouts.js",
    "sum.js",
    "plots.js",
    "views.js",
    "tables.js",
    "live.js",
    "main.js",
)
"""In the order in which they need each other."""


def resource(name: str) -> str:
    """The text of a file of this folder."""
    return files(__name__).joinpath(name).read_text()


def script() -> str:
    """All scripts as one."""
    return "\n".join(resource(name).replace('"use strict";\n', "", 1) for name in SCRIPTS).join(('"use strict";\n', ""))
