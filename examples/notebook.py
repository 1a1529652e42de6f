"""The notebook's run: the losses of a `default` run beside those that the notebook printed.

First: grokviz train default --epochs 2001 --test-every 1 --out runs/notebook
"""

import csv
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import xarray as xr

import grokviz
from grokviz.figures.theme import TEST, TRAIN

PRINTED = Path(__file__).with_name("notebook_losses.csv")


def printed_losses() -> xr.Dataset:
    """The 20 train and test losses that the notebook printed, by epoch."""
    with PRINTED.open() as file:
        rows = list(csv.DictReader(file))
    values = {name: ("epoch", np.array([float(row[name]) for row in rows])) for name in ("train_loss", "test_loss")}
    return xr.Dataset(values, {"epoch": [int(row["epoch"]) for row in rows]})


def main(directory: Path) -> xr.Dataset:
    """Print the table of docs/notebook.md, write the figure beside the run's files, and return the relative differences."""
    run = grokviz.open_run(directory)
    printed = printed_losses()
    ours = run.history[["train_loss", "test_loss"]].reindex(epoch=printed["epoch"])
    difference = ours / printed - 1

    print("| epoch | train: printed | ours | difference | test: printed | ours | difference |")
    print("|---|---|---|---|---|---|---|")
    for epoch in printed["epoch"].values:
        row = [str(epoch)]
        for name, digits in (("train_loss", ".4e"), ("test_loss", ".3f")):
            theirs, our, apart = (data[name].sel(epoch=epoch).item() for data in (printed, ours, difference))
            row += [f"{theirs:{digits}}", f"{our:{digits}}", f"{apart:+.2%}"]
        print("| " + " | ".join(row) + " |")

    figure = go.Figure()
    for name, colour in (("train_loss", TRAIN), ("test_loss", TEST)):
        what = name.replace("_", " ")
        curve = run.history[name].dropna("epoch").sel(epoch=slice(0, 2001))
        figure.add_scatter(x=curve["epoch"], y=curve, name=f"{what}, ours", line_color=colour)
        marker = {"color": colour, "symbol": "circle-open", "size": 10}
        figure.add_scatter(x=printed["epoch"], y=printed[name], name=f"{what}, printed", mode="markers", marker=marker)
    largest = max(abs(difference[name]).max().item() for name in difference)
    figure.update_layout(
        title=f"The notebook's 20 printed losses are met within {largest:.1%}",
        xaxis_title="epoch",
        yaxis={"title": "loss (nats)", "type": "log", "exponentformat": "power"},
        template="plotly_white",
    )
    path = run.directory / "notebook.html"
    figure.write_html(path)
    print(f"figure: {path}")
    return difference


if __name__ == "__main__":
    main(Path("runs/notebook"))
