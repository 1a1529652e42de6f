"""A figure for a paper: one column wide, small type, no title (a caption says it), panels below each other."""

from copy import deepcopy
from typing import Any

from grokviz.figures.drawing import Drawing

WIDTH = 340
"""Points: a column of most two-column papers."""
TYPE = 8
"""Size of the type, in points."""
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 34
ROW, SQUARE_GAP, GAP = 132, 26, 46
COLOURBAR = 44


def in_paper_style(drawing: Drawing) -> Drawing:
    """`drawing` for a column of a paper. Square panels (maps, circles) stand two abreast, others below each other."""
    paper = deepcopy(drawing)
    layout = paper.layout
    layout.pop("title", None)
    axes = [axis for name, axis in layout.items() if str(name).startswith(("xaxis", "yaxis"))]
    square = any("scaleanchor" in axis for axis in axes)
    count = len(_used(paper))
    columns = min(count, 2) if square and count > 1 else 1
    rows = -(-count // columns)
    has_bar = "coloraxis" in layout or any("colorbar" in trace for trace in paper.data)
    right = RIGHT + COLOURBAR * has_bar
    titled = len(layout.get("annotations", [])) > 0
    top = TOP + 12 * titled
    inner = WIDTH - LEFT - right
    gap = (SQUARE_GAP if any("title" in axis for axis in axes) else SQUARE_GAP // 2) if square else GAP
    gap += 14 * titled
    height = (inner - gap * (columns - 1)) / columns if square else (ROW if count > 1 else 180)
    legend = _legend_height(paper)
    inner_height = rows * height + (rows - 1) * gap
    _place(paper, columns, rows, gap / inner, gap / inner_height)
    layout |= {
        "width": WIDTH,
        "height": round(top + inner_height + BOTTOM + legend),
        "margin": {"l": LEFT, "r": right, "t": top, "b": BOTTOM + legend},
        "font": {**layout["template"]["layout"]["font"], "size": TYPE},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "font": {"size": TYPE},
        },
    }
    for name, axis in layout.items():
        if str(name).startswith(("xaxis", "yaxis")):
            axis |= {"nticks": 5, "tickangle": 0, "ticklen": 3, "title": {**axis.get("title", {}), "standoff": 4}}
    for annotation in layout.get("annotations", []):
        annotation["font"] = {"size": TYPE}
    for trace in paper.data:
        if "line" in trace:
            trace["line"] = {**trace["line"], "width": min(1.2, trace["line"].get("width", 1.2))}
        if "marker" in trace and trace["type"] == "scatter":
            trace["marker"] = {**trace["marker"], "size": min(3, trace["marker"].get("size", 3))}
        if "colorbar" in trace:
            trace["colorbar"] = {**trace["colorbar"], **_BAR}
    if "coloraxis" in layout:
        layout["coloraxis"] = {**layout["coloraxis"], "colorbar": {**layout["coloraxis"]["colorbar"], **_BAR}}
    return paper


_BAR = {"thickness": 7, "tickfont": {"size": TYPE}, "xpad": 4, "nticks": 4}


def _place(paper: Drawing, columns: int, rows: int, gap_x: float, gap_y: float) -> None:
    """Give every panel its place in the new grid, and its title the place above it."""
    layout = paper.layout
    width, height = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * (rows - 1)) / rows
    titles = layout.get("annotations", [])
    for i, number in enumerate(_used(paper)):
        left = (i % columns) * (width + gap_x)
        upper = 1 - (i // columns) * (height + gap_y)
        x: dict[str, Any] = layout.setdefault(f"xaxis{number}", {})
        y: dict[str, Any] = layout.setdefault(f"yaxis{number}", {})
        x |= {"domain": [left, min(1.0, left + width)], "showticklabels": x.get("showticklabels", True)}
        y |= {"domain": [max(0.0, upper - height), upper], "showticklabels": y.get("showticklabels", True)}
        if i < len(titles):
            titles[i] |= {"x": left + width / 2, "y": upper, "yanchor": "bottom", "xanchor": "center"}


def _used(paper: Drawing) -> list[str]:
    """The numbers of the panels in which something is drawn: a grid may have more."""
    return sorted({str(trace.get("xaxis", "x")).removeprefix("x") for trace in paper.data}, key=lambda n: int(n or 1))


def _legend_height(paper: Drawing) -> int:
    """Room for the legend: as many lines as its entries fill, at 5 points a letter."""
    names = [str(trace["name"]) for trace in paper.data if trace.get("showlegend", True) and trace.get("name")]
    if not names:
        return 0
    widest = 34 + 4.6 * max(map(len, names))
    a_line = max(1, int((WIDTH - 10) // widest))
    return 13 * -(-len(names) // a_line) + 6
