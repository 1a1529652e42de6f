"""Python calls with wrong arguments, and calls whose arguments only look wrong: run in a process of its own, as a user would,
without the checks of types that the tests put on every signature.

    python calls.py    prints, as JSON, what came of each; here lie a measured run `copy` and a folder `folder`
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import grokviz
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError

WRONG = """
grokviz.preset("quik") | did you mean quick?
grokviz.preset("fast") | choose one of: default, nanda2023, quick, s5
grokviz.preset(3) | preset 3 is unknown
grokviz.preset(["quick"]) | preset ['quick'] is unknown
TaskConfig(p="97") | p is '97', but must be a whole number
TaskConfig(p=7.5) | p is 7.5, but must be a whole number
TaskConfig(p="7") | p is '7', but must be a whole number
TaskConfig(operation="S3", p=6) | S3
TaskConfig(p=True) | p is True, but must be a whole number
TaskConfig(p=np.True_) | but must be a whole number
TaskConfig(p=np.array([97, 113])) | p is array([ 97, 113]), but must be a whole number
TaskConfig(p=torch.tensor([97])) | p is tensor([97]), but must be a whole number
TaskConfig(p=10**6) | at most 32768: every step handles all p² pairs
TaskConfig(operation="adition") | did you mean addition?
TaskConfig(operation=3) | operation is 3, which is unknown; choose one of: addition
TaskConfig(operation=["addition"]) | operation is ['addition'], which is unknown
TaskConfig(operation="nosuch.module:f") | the module 'nosuch.module' cannot be imported (No module named 'nosuch')
TaskConfig(operation="math:nosuch") | 'math' has no function 'nosuch'
TaskConfig(operation="math:pi") | 'math' has no function 'pi'
TaskConfig(operation=lambda a, b: a + b) | it is called as function(a, b, p)
TaskConfig(operation=lambda a, b, p: a + b, p=7) | gives 7 at a = 1, b = 6, but must give a whole number from 0 to 6
TaskConfig(operation=lambda a, b, p: a / (b + 1), p=7) | gives 0.5 at a = 1, b = 1
TaskConfig(operation=lambda a, b, p: a, p=5000) | at most 2048 for an operation of one's own
TaskConfig(train_fraction="much") | train_fraction is 'much', but must be a finite number
TaskConfig(train_fraction=np.float32("nan")) | but must be a finite number
TaskConfig(train_fraction=2) | between 0 and 1
TaskConfig(split_seed=-1) | split_seed is -1, but must be at least 0
ModelConfig(d_model=0) | d_model is 0, but must be at least 1
ModelConfig(n_heads=[4]) | n_heads is [4], but must be a whole number
ModelConfig(biases=["mlp"]) | biases is ['mlp'], which is unknown; choose one of: none, mlp_in, mlp
ModelConfig(seed="0") | seed is '0', but must be a whole number
TrainingConfig(epochs="many") | epochs is 'many', but must be a whole number
TrainingConfig(betas=0.9) | betas is 0.9, but must be two numbers
TrainingConfig(betas=("a", "b")) | betas is ('a', 'b'), but must be two numbers
TrainingConfig(learning_rate=None) | learning_rate is None, but must be a finite number
TrainingConfig(weight_decay=-1) | weight_decay is -1.0, but must not be negative
TrainingConfig(optimizer="adan") | did you mean adam
TrainingConfig(device=3) | device is 3, but must be a device of torch
TrainingConfig(engine=np.array([1, 2])) | engine is array([1, 2]), which is unknown
RunConfig(task={"p": 97}) | task is {'p': 97}, but must be a TaskConfig(...)
RunConfig(task=ModelConfig()) | but must be a TaskConfig(...)
RunConfig.from_dict({"task": 3}) | config lacks model, training
RunConfig.from_dict(3) | config is 3, but must be an object
grokviz.train("quick", "new") | config is 'quick', but must be a RunConfig, such as grokviz.preset('quick')
grokviz.train(config.task, "new") | but must be a RunConfig
grokviz.train(config, 3) | directory is 3, but must be a path, such as 'runs/mine'
grokviz.train(config, None) | directory is None, but must be a path
grokviz.train(config, "") | directory is '', but must be a path
grokviz.train(config, "copy") | already holds a run, and a run is never overwritten
grokviz.train(config, "folder") | is not empty, and nothing in it is overwritten
grokviz.train(config, "copy", resume=True) | holds a run whose p is 7, and not 11, as is asked for
grokviz.train(config, "new", on_evaluation=3) | but must be a function, called as on_evaluation(epoch, row, model)
grokviz.run(3, "new") | config is 3, but must be a RunConfig
grokviz.run(config, "copy") | never overwritten
grokviz.resume(None) | directory is None, but must be a path
grokviz.resume("nowhere") | nowhere is not there
grokviz.resume(run) | is finished: its 40 epochs are trained
grokviz.resume("copy", epochs="more") | epochs is 'more', but must be a whole number
grokviz.resume("copy", epochs=10) | has already trained 40
grokviz.resume("copy", epochs=50, device=3) | device is 3, but must be a device of torch
grokviz.resume("copy", epochs=50, engine="fast") | engine is 'fast', which is unknown
grokviz.open_run(3) | directory is 3, but must be a path
grokviz.open_run("nowhere") | nowhere is not there
grokviz.open_run("folder") | is not a grokviz run
grokviz.check_run(3) | directory is 3, but must be a path
grokviz.check_run("folder") | is not a grokviz run
grokviz.repair_run(3) | directory is 3, but must be a path
run.model(17) | has no checkpoint of epoch 17; the nearest are
run.model("lst") | epoch is 'lst', but must be a number, 'first' or 'last'
run.model(None) | epoch is None, but must be a number, 'first' or 'last'
run.model([40]) | epoch is [40], but must be a number
run.model(40.5) | has no checkpoint of epoch 40.5
run.weights(float("nan")) | no checkpoint of epoch nan
run.measurements_in("folder/thesis.txt") | folder/thesis.txt cannot be used
grokviz.measure(3) | measure needs a run, but got 3
grokviz.measure(measurements) | measure needs a run, but got a Dataset
grokviz.measure(config) | measure needs a run, but got
grokviz.measure(run, measures=3) | measures holds 3, but a measure is a function of a snapshot
grokviz.measure(run, measures="los") | measure 'los' is unknown; did you mean loss?
grokviz.measure(run, measures=["loss", "loss"]) | two measures are called 'loss'
grokviz.measure(run, measures=[len]) | but a measure is a function of a snapshot
grokviz.measure(run, measures=unannotated) | measure 'unannotated' does not state its axes
grokviz.measure(run, hooks=3) | hooks holds 3, but must be pairs (name, function) or a dict of them
grokviz.measure(run, hooks=[("blocks.0.attn.hook_patern", leave)]) | did you mean blocks.0.attn.hook_pattern
grokviz.measure(run, hooks={"blocks.0.attn.hook_pattern": 3}) | must be a function, called as hook(activation, hook=point)
grokviz.measure(run, hooks=[("blocks.0.attn.hook_pattern",)]) | hooks holds [('blocks.0.attn.hook_pattern',)]
grokviz.measure(run, hooks=[(lambda name: False, leave)]) | lets no hook through
grokviz.measure(run, hooks={"hook_post": leave}) | did you mean blocks.0.mlp.hook_post?
grokviz.measure(run, hooks={"blocks.0.hook_mlp_in": leave}) | nothing passes it in this network
grokviz.measure(run, hooks={"blocks.0.hook_mlp_out": lambda x, h: x}) | it is called as hook(activation, hook=point)
grokviz.measure(run, hooks={"blocks.0.hook_mlp_out": lambda x, hook: x[:1]}) | it must return one of the same shape, or None
grokviz.measure(run, hooks={"blocks.0.hook_mlp_out": lambda x, hook: 3}) | returned a int; it must return
grokviz.measure(run, measures=asks_for_more) | measure 'asks_for_more' asks for 'frequencies', but is given a snapshot
grokviz.measure(run, measures=gives_float) | a tensor of one number (without .item())
TaskConfig(fraction=0.5) | TaskConfig has no field 'fraction'; did you mean train_fraction
run.config.with_training(epoch=100) | TrainingConfig has no field 'epoch'; did you mean epochs
run.config.with_training(p=31) | TrainingConfig has no field 'p'; TaskConfig has it
grokviz.figures.compare([run, grokviz.measure_model(run.model(40), run.config, "loss")], "accuracy") | 'model' has not been
grokviz.measure(run, label=3) | label is 3, but must be a text
grokviz.measure(run, out="folder/thesis.txt") | folder/thesis.txt exists and is not overwritten
grokviz.measure_model(3, config.task) | measure_model needs a hooked model and a TaskConfig, but got 3
grokviz.measure_model(run.model(40), "addition") | but got 'addition'
grokviz.measure_model(run.model(40), config.task) | asks for 12 tokens
grokviz.measure_model(run.model(40), run.config.task, epoch="x") | epoch is 'x', but must be a whole number
grokviz.measure_model(run.model(40), run.config.task, hooks={"hook_embd": leave}) | did you mean hook_embed
grokviz.take_snapshot(run, 17) | has no checkpoint of epoch 17
grokviz.take_snapshot(measurements, 40) | directory is a Dataset, but must be a path
grokviz.compare(run) | compare needs several runs, but got
grokviz.compare([run]) | compare needs two runs or more, but got 1
grokviz.compare([run, 3]) | compare needs measurements, but got 3
grokviz.compare([run, run], at="gorkked") | at is 'gorkked', but must be 'last', 'first', an epoch, 'grokked' or
grokviz.compare([run, run], at=("grokked", "x")) | the factor of at is 'x', but must be a finite number
grokviz.compare([run, run], at=1.5) | at is 1.5, but must be 'last'
grokviz.compare([run, run], at=float("nan")) | at is nan, but must be 'last'
grokviz.compare([run, run], at=np.array([1, 2])) | at is array([1, 2]), but must be 'last'
grokviz.scalars(run, at=("grokked", 1, 2)) | at is ('grokked', 1, 2), but must be 'last'
grokviz.compare([run, run], at=run) | but must be 'last'
grokviz.scalars(run, at=["last"]) | at is ['last'], but must be 'last'
grokviz.select_run(run, "copy") | select_run needs what grokviz.concat returns, but got Run
grokviz.select_run(grokviz.concat([run]), 3) | run is 3, which is not in the dataset; choose one of: copy
grokviz.measure(run, hooks={"blocks.0.hook_mlp_out": leave}, pairs_at_once="all") | pairs_at_once is 'all', but must be a whole
grokviz.measure(run, pairs_at_once=3) | but cuts up what hooks see, and there are no hooks
grokviz.measure_model(run.model(40), run.config, train_pairs=3) | train_pairs is 3, but must be indices a * n + b
grokviz.measure_model(run.model(40), run.config, train_pairs="no.txt") | no.txt is not a file
grokviz.measure_model(run.model(40), run.config, label=3) | label is 3, but must be a text
grokviz.Source(name="x", task=run.config.task, identities=3, model=run.weights) | identities is 3, but must map epochs to texts
grokviz.write_report(run, grokviz.concat([run, measurements.assign_coords(run="b")])) | takes the measurements of one run, but got
grokviz.find_phases(run, test_threshold=0) | test_threshold is 0, but an accuracy must lie in (0, 1]
grokviz.write_comparison([run], "c.html") | compare needs two runs or more, but got 1
grokviz.write_comparison([run, run], 3) | out is 3
grokviz.watch(run, port="x") | port is 'x'
grokviz.watch("nowhere") | nowhere is not there
grokviz.find_phases(run, norm_fall=0) | norm_fall is 0, but a share of the fall must lie in (0, 1]
grokviz.find_phases(run, test_loss_factor=0.1) | test_loss_factor is 0.1, but must be at least 1
grokviz.find_phases(3) | find_phases needs measurements, a history or a run, but got 3
grokviz.find_phases(measurements, test_threshold=2) | test_threshold is 2, but an accuracy must lie in (0, 1]
grokviz.find_phases(measurements, train_threshold="high") | train_threshold is 'high', but must be a finite number
grokviz.key_frequencies_of(3) | key_frequencies_of needs measurements, but got 3
grokviz.harmonics_of_keys(config) | harmonics_of_keys needs measurements, but got
grokviz.import_run([], "new") | files is empty
grokviz.import_run(3, "new") | files is 3, but must be a path
grokviz.import_run([3], "new") | files is 3, but must be a path
grokviz.import_run("nowhere.pt", "new") | nowhere.pt is not there
grokviz.import_run("copy", "new") | copy is not a file
grokviz.import_run("copy/history.csv", "new") | neither a file of torch nor of safetensors
grokviz.import_run("copy/checkpoints/epoch_000040.safetensors", "copy") | is not empty, and nothing in it is overwritten
grokviz.import_run("copy/checkpoints/epoch_000040.safetensors", "new", 3) | options is 3, but must be grokviz.ImportOptions
grokviz.import_run("copy/checkpoints/epoch_000040.safetensors", 3) | directory is 3, but must be a path
grokviz.ImportOptions(split_seed=-1) | split_seed is -1
grokviz.ImportOptions(split="alphabet") | split is 'alphabet', which is unknown
grokviz.ImportOptions(train_fraction=1) | train_fraction is 1, but train and test each need pairs
grokviz.ImportOptions(attention_coefficient=2) | attention_coefficient is 2, but must lie in [0, 1]
grokviz.ImportOptions(heads=0) | heads is 0
grokviz.ImportOptions(train_pairs=3) | train_pairs is 3, but must be indices a * n + b, pairs (a, b)
grokviz.ImportOptions(train_pairs="x", split_seed=3) | train_pairs are given, which split_seed would give otherwise
grokviz.ImportOptions(split="unknown", split_seed=3) | split is unknown, but split_seed is given
grokviz.ImportOptions(p=2) | p is 2
grokviz.ImportOptions(epochs=3) | epochs is 3, but must be whole numbers, one for each file
grokviz.scalars(3) | scalars needs measurements, but got 3
grokviz.concat(measurements) | concat needs several measurements
grokviz.concat([measurements, measurements]) | two of the measurements are called 'copy'
grokviz.concat([]) | the list is empty
grokviz.figures.losses(3) | figure losses needs measurements, but got 3
grokviz.figures.losses(run.history) | cannot be drawn: these measurements hold no history
grokviz.figures.spectrum(measurements, epoch=17) | no checkpoint of epoch 17; the nearest are
grokviz.figures.spectrum(measurements, epoch="lst") | epoch is 'lst', but must be a number
grokviz.figures.figure_named("loses") | figure 'loses' is unknown; did you mean losses
grokviz.figures.figure_named(3) | figure 3 is unknown
grokviz.figures.compare(3) | concat needs several measurements, but got 3
grokviz.figures.compare([run], "acuracy") | measure is 'acuracy', which is unknown; did you mean accuracy
grokviz.figures.compare([run], "accuracy", split="tset") | split is 'tset', which is unknown; did you mean test
grokviz.figures.compare([run], "token_cosine") | compare draws one number per epoch
grokviz.write_report(measurements) | write_report needs a run, but got a Dataset
grokviz.write_report(run, 3) | write_report needs measurements, but got 3
grokviz.write_report(run, out="folder/thesis.txt") | exists and is not overwritten
grokviz.needs("harmonic") | a measure cannot need harmonic; it can need harmonics, components, classes, key_frequencies
grokviz.trackers.wandb(3).__enter__() | config is 3, but must be a RunConfig
grokviz.trackers.tensorboard(config, 3).__enter__() | directory is 3, but must be a path
"""

RIGHT = """
run.model("last").cfg.d_vocab == 8
run.model("first").cfg.d_vocab == 8
(run.model(40.0).W_E == run.model(np.int64(40)).W_E).all()
(run.model(torch.tensor(40)).W_E == run.model(np.array(40)).W_E).all()
set(run.weights("last")) == set(run.weights(np.float32(40)))
TaskConfig(p=np.int64(97), train_fraction=np.float32(0.5)) == TaskConfig(train_fraction=0.5)
TaskConfig(split_seed=torch.tensor(3)) == TaskConfig(split_seed=3)
TaskConfig(p=97.0) == TaskConfig()
json.dumps(TaskConfig(p=np.int32(97)).to_dict()) == json.dumps(TaskConfig().to_dict())
ModelConfig(d_model=np.array(64), seed=np.uint8(3)) == ModelConfig(d_model=64, seed=3)
TrainingConfig(betas=[np.float64(0.9), 0.98], epochs=1e4) == TrainingConfig(epochs=10_000)
TrainingConfig(learning_rate=torch.tensor(0.5)) == TrainingConfig(learning_rate=0.5)
TrainingConfig(device=torch.device("cpu")) == TrainingConfig()
grokviz.open_run(run) is run
grokviz.open_run(Path("copy")).epochs == run.epochs
grokviz.measure("copy").equals(measurements)
grokviz.measure(run, measures="loss").equals(measurements)
grokviz.measure(run, measures=["loss", "accuracy"]).equals(measurements)
grokviz.measure(run, measures=grokviz.measures.performance.loss).equals(measurements)
grokviz.measure(run, hooks={"blocks.0.attn.hook_pattern": leave}, label="left")["run"].item() == "left"
grokviz.measure(run, "loss", hooks=[(lambda name: "pattern" in name, leave)]).sizes["epoch"] == len(run.epochs)
grokviz.measure_model(run.model(40), run.config, "loss", epoch=np.int64(40))["epoch"].item() == 40
grokviz.take_snapshot("copy", "last").epoch == 40
grokviz.key_frequencies_of(run) == grokviz.key_frequencies_of(measurements)
grokviz.find_phases(run) == grokviz.find_phases(measurements)
grokviz.find_phases(run.history).grokked == grokviz.find_phases(measurements).grokked
grokviz.find_phases(run, test_threshold=np.float32(0.5)).last_epoch == 40
grokviz.scalars(run).equals(grokviz.scalars(measurements))
grokviz.figures.losses(run) == grokviz.figures.losses(measurements)
grokviz.figures.spectrum(run, "first") == grokviz.figures.spectrum(measurements, epoch=np.int64(0))
len(grokviz.figures.compare([run, measurements.assign_coords(run="other")]).data) == 2
grokviz.train(run.config, "copy", resume=True).epochs == run.epochs
grokviz.__version__ == "0.1.0"
"""


def table(text: str) -> list[tuple[str, str]]:
    """The calls of a table, each with what its message must say."""
    return [tuple(part.strip() for part in line.rpartition(" | ")[::2]) for line in text.strip().splitlines()]


def unannotated(snapshot):
    """A measure that does not state its axes."""


def asks_for_more(snapshot, frequencies) -> Float[Tensor, ""]:
    """A measure that asks for what measures are not given."""


def gives_float(snapshot) -> Float[Tensor, ""]:
    """A measure that gives a number that is no tensor."""
    return 3.0


def leave(activation, hook):
    """A hook that changes nothing."""


def outcome(call: str, names: dict[str, object]) -> dict[str, object]:
    """What came of a call: the kind of its error and the message; or its value."""
    try:
        return {"value": bool(eval(call, names))}
    except Exception as error:
        return {"kind": type(error).__name__, "is_ours": isinstance(error, GrokvizError), "message": str(error)}


def main() -> None:
    warnings.simplefilter("ignore")
    run = grokviz.open_run("copy")
    names: dict[str, object] = {
        "grokviz": grokviz,
        "json": json,
        "np": np,
        "torch": torch,
        "Path": Path,
        "ModelConfig": ModelConfig,
        "RunConfig": RunConfig,
        "TaskConfig": TaskConfig,
        "TrainingConfig": TrainingConfig,
        "run": run,
        "measurements": run.measurements,
        "config": RunConfig(task=TaskConfig(p=11), training=TrainingConfig(epochs=10, threads=1)),
        "unannotated": unannotated,
        "leave": leave,
        "asks_for_more": asks_for_more,
        "gives_float": gives_float,
    }
    wrong = {call: outcome(call, names) for call, _ in table(WRONG)}
    right = {call: outcome(call, names) for call in RIGHT.strip().splitlines()}
    print(json.dumps({"wrong": wrong, "right": right}))


if __name__ == "__main__":
    main()
