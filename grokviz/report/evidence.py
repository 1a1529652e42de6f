"""The evidence for key frequencies as a table that is sorted by a click on a column's head."""

import html
from collections.abc import Sequence

import xarray as xr

from grokviz.analysis.reading.derived import blocks_in
from grokviz.analysis.reading.evidence import WITNESSES, as_texts, key_evidence, labels_in
from grokviz.errors import LackingError


def evidence_table(measurements: xr.Dataset) -> str:
    """The table of all frequencies at the last epoch; '' where there is no evidence to be had."""
    try:
        evidence = key_evidence(measurements)
    except LackingError:
        return ""
    names = [name for name in WITNESSES if name in evidence]
    blocks = blocks_in(measurements)
    heads = [blocks.axis, *(WITNESSES[name] for name in names), "witnesses", "what it is"]
    texts = [as_texts(evidence, name) for name in names]
    numbers = [evidence[name].values.tolist() for name in names]
    counts = evidence["witnesses"].values.tolist()
    rows = [
        [
            (str(label), i + 1),
            *((text[i], number[i]) for text, number in zip(texts, numbers, strict=True)),
            (f"{counts[i]} of {len(names)}", counts[i]),
            (str(evidence["what"].values[i]), 0.0 if evidence["what"].values[i] else 1.0),
        ]
        for i, label in enumerate(labels_in(evidence))
    ]
    order = sorted(range(len(rows)), key=lambda i: -numbers[names.index("readout")][i])
    body = "".join(_row(rows[i], key=bool(evidence["is_key"][i])) for i in order)
    head = "".join(f"<th scope='col'><button type='button'>{html.escape(text)}</button></th>" for text in heads)
    epoch = f"{int(evidence['epoch']):,}"
    return (
        f"<h2>Evidence for key {blocks.plural}, at epoch {epoch}</h2><p>A click on a head sorts. Powers are shares "
        f"of the largest, per component; the readout decides.</p><div class='wide'><table id='evidence' class='sortable'>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[tuple[str, float | int]], *, key: bool) -> str:
    inside = "".join(f"<td data-value='{number!r}'>{html.escape(text)}</td>" for text, number in cells)
    return f"<tr{' class=key' if key else ''}>{inside}</tr>"
