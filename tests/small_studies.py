"""Small studies for tests, and what it is for two to be the same."""

import xarray as xr

import grokviz
from grokviz.studies.directory import read_cell, read_scalars, run_directory
from grokviz.studies.ends import read_up_to
from grokviz.studies.plan import Plan

TINY = {
    "task.p": 7,
    "task.train_fraction": 0.6,
    "model.d_model": 16,
    "model.n_heads": 2,
    "model.d_head": 8,
    "model.d_mlp": 32,
    "training.epochs": 40,
    "training.checkpoint_every": 20,
    "training.geometric_checkpoints": 4,
}
TINY_FILE = """
base = "quick"
set.task = {p = 7, train_fraction = 0.6}
set.model = {d_model = 16, n_heads = 2, d_head = 8, d_mlp = 32}
set.training = {epochs = 40, checkpoint_every = 20, geometric_checkpoints = 4}
axes."training.weight_decay" = [0.3, 1]
axes."task.split_seed" = "0..1"
"""
EIGHT = """
base = "quick"
set.task = {p = 7, train_fraction = 0.6}
set.model = {d_model = 16, n_heads = 2, d_head = 8, d_mlp = 32}
set.training = {epochs = 20000, checkpoint_every = 5000, geometric_checkpoints = 4}
axes."training.weight_decay" = [0.3, 1]
axes."task.split_seed" = "0..3"
"""


def same_study(first: Plan, second: Plan) -> None:
    """Two studies have the same histories, checkpoints, measurements, tables: bit for bit."""
    assert first.study == second.study
    assert first.computed == second.computed
    for cell in first.cells:
        ours, theirs = (grokviz.open_run(run_directory(plan.directory, cell.id)) for plan in (first, second))
        xr.testing.assert_identical(ours.history, theirs.history)
        assert ours.checkpoints == theirs.checkpoints
        end = cell.config.known_training.epochs
        mine, yours = (read_up_to(run.measurements, cell.config, end).drop_attrs() for run in (ours, theirs))
        xr.testing.assert_identical(mine, yours)
        assert read_scalars(first.directory, cell.id).equals(read_scalars(second.directory, cell.id))
        here, there = (read_cell(plan.directory, cell.id) for plan in (first, second))
        assert str(here.times) == str(there.times)
        assert (here.keys, here.end, here.status) == (there.keys, there.end, there.status)
