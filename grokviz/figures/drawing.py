"""A drawing: a figure as the dictionaries of plotly's JSON, which take a fiftieth of the time of plotly's objects.

Those validate every attribute that they are given, some 30 ms a figure; a report has two thousand. Here nothing is
validated: a test holds every drawing to plotly's validation.
"""

import base64
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

Trace = dict[str, Any]


class Title(NamedTuple):
    """What a figure says in words."""

    finding: str
    """One sentence with the number that a reader should take away."""
    shows: str
    """What is drawn, on which pairs, when, and how to read it."""


class Drawing:
    """Traces and layout, in one panel or a grid of them. A class, because it grows trace by trace."""

    def __init__(
        self,
        *,
        rows: int = 1,
        cols: int = 1,
        titles: Sequence[str] = (),
        shared_x: bool = False,
        shared_y: bool = False,
        horizontal_spacing: float | None = None,
        vertical_spacing: float | None = None,
    ) -> None:
        """An empty grid of panels, with the `titles` of the panels above them."""
        self._rows, self._cols = rows, cols
        self.data: list[Trace] = []
        self.layout: dict[str, Any] = deepcopy(
            _grid(rows, cols, tuple(titles), shared_x, shared_y, horizontal_spacing, vertical_spacing)
        )

    @property
    def title(self) -> Title:
        """What it says."""
        title = self.layout["title"]
        return Title(str(title["text"]), str(title["subtitle"]["text"]))

    @property
    def finding(self) -> str:
        """The finding that it states."""
        return self.title.finding

    def add(
        self,
        kind: Literal["scatter", "bar", "heatmap", "contour"],
        style: Trace | None = None,
        *,
        row: int = 1,
        col: int = 1,
        **trace: Any,
    ) -> None:
        """Draw a trace of this `kind` in the panel of `row` and `col`; some of its attributes may come as `style`."""
        number = self._number(row, col)
        axes = {} if self._rows == self._cols == 1 else {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        self.data.append({"type": kind, **(style or {}), **trace, **axes})

    def as_square_map(self, **of_both: Any) -> None:
        """Lay it out as a map whose rows run downwards and whose cells are square, with these attributes of both axes."""
        self.axis("y", scaleanchor="x", constrain="domain", autorange="reversed", **of_both)
        self.axis("x", constrain="domain", **of_both)
        self.layout["height"] = 560

    def axis(
        self,
        which: Literal["x", "y"],
        *,
        row: int | None = None,
        col: int | None = None,
        title: str = "",
        of: Literal["epoch", "block", ""] = "",
        **attributes: Any,
    ) -> None:
        """Set `attributes` of the x or y axes of `row` and `col`: of all, where these are not given. What an axis is `of` stands
        in the metadata of the figure, for whoever links it to others.
        """
        given = {"title": {"text": title}, **attributes} if title else attributes
        for r in range(1, self._rows + 1) if row is None else (row,):
            for c in range(1, self._cols + 1) if col is None else (col,):
                name = f"{which}axis{self._number(r, c)}"
                axis = self.layout.setdefault(name, {})
                axis |= given
                if of:
                    self.layout.setdefault("meta", {"axes": {}})["axes"][name] = of

    def horizontal_line(self, y: float, dash: str, *, row: int = 1, col: int = 1) -> None:
        """A thin grey line across a panel at height `y`."""
        number = self._number(row, col)
        where = {"x0": 0, "x1": 1, "xref": f"x{number} domain", "y0": y, "y1": y, "yref": f"y{number}"}
        self._shape({"type": "line", **where, "line": {"color": "#666666", "dash": dash, "width": 1}})

    def vertical_line(self, x: float | int, dash: str) -> None:
        """A thin grey line up a drawing of one panel at `x`."""
        where = {"x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
        self._shape({"type": "line", **where, "line": {"color": "#666666", "dash": dash, "width": 1}})

    def lines(self, path: str, colour: str) -> None:
        """Thin lines of a drawing of one panel, over the traces: a path as SVG has it, in the units of the axes."""
        line = {"color": colour, "width": 1}
        self._shape({"type": "path", "path": path, "xref": "x", "yref": "y", "line": line, "layer": "above"})

    def shade(self, start: int, end: int, colour: str) -> None:
        """A stretch of the x axis, of a drawing of one panel, shaded behind the traces."""
        where = {"x0": start, "x1": end, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
        self._shape({"type": "rect", **where, "fillcolor": colour, "line": {"width": 0}, "layer": "below"})

    def to_json(self) -> dict[str, Any]:
        """The figure as plotly's JSON has it, arrays encoded as plotly encodes them."""
        return {"data": _encoded(self.data), "layout": _encoded(self.layout)}

    def figure(self) -> go.Figure:
        """The figure as a plotly object, validated."""
        return go.Figure(data=self.data, layout=self.layout)

    def _shape(self, shape: Mapping[str, Any]) -> None:
        self.layout.setdefault("shapes", []).append(dict(shape))

    def _number(self, row: int, col: int) -> str:
        """What follows the name of a panel's axes."""
        number = (row - 1) * self._cols + col
        return "" if number == 1 else str(number)


@cache
def _grid(
    rows: int,
    cols: int,
    titles: tuple[str, ...],
    shared_x: bool,
    shared_y: bool,
    horizontal_spacing: float | None,
    vertical_spacing: float | None,
) -> dict[str, Any]:
    """The layout that plotly gives a grid of panels; of one panel alone, none."""
    if rows == cols == 1 and not titles:
        return {}
    grid = make_subplots(
        rows=rows,
        cols=cols,
        subplot_titles=titles or None,
        shared_xaxes=shared_x,
        shared_yaxes=shared_y,
        horizontal_spacing=horizontal_spacing,
        vertical_spacing=vertical_spacing,
    )
    layout: dict[str, Any] = grid.to_plotly_json()["layout"]
    return {name: value for name, value in layout.items() if name != "template"}


def _encoded(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: _encoded(child) for name, child in node.items()}
    if isinstance(node, np.ndarray):
        return _encoded_array(node)
    return [_encoded(child) for child in node] if isinstance(node, list | tuple) else node


def _encoded_array(array: np.ndarray) -> Any:
    """An array as the typed array that plotly.js reads; one of anything but numbers as a list."""
    if array.dtype.kind not in "fiu" or not array.size:
        return array.tolist()
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        array = array.astype(np.int32)
    encoded = {
        "dtype": array.dtype.str.lstrip("<|"),
        "bdata": base64.b64encode(array.tobytes()).decode("ascii"),
    }
    return encoded | ({"shape": ", ".join(map(str, array.shape))} if array.ndim > 1 else {})
