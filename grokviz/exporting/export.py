"""Exporting: one network of a run as a file of another layout, or as a folder that a model hub takes."""

import io
import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from grokviz.checks import Epoch, as_path, one_of, refuse_existing
from grokviz.config import RunConfig
from grokviz.durable import write_file
from grokviz.exporting.hub import hub_files
from grokviz.exporting.layouts import LAYOUTS, StateDict, refuse_another_architecture
from grokviz.formats import NETWORK_FORMATS, NetworkFormat
from grokviz.importing.epochs import PROGRESS_MEASURES
from grokviz.store import Run, open_run


def export_run(
    run: Run | str | PathLike[str],
    out: str | Path,
    *,
    format: NetworkFormat = "transformer-lens",
    epoch: Epoch = "last",
) -> Path:
    """Write the network of `epoch` to the new file `out`, and return its path.

    transformer-lens: the parameters of a HookedTransformer (TransformerLens 1 to 3), for `load_state_dict(..., strict=False)`; of
    an MLP its own, as they are published: W_x, W_y, W, b, W_U. The next two are of transformers.
    transformer-lens-4: the state dict of `TransformerBridge.boot_native(config)`. progress-measures: the dictionary that the
    code of Nanda et al. 2023 saves, with 'model', 'config', 'epoch' and the losses. These are files of torch, or of safetensors
    where `out` ends so. hub: a folder with the weights, the configuration, and a model card with the findings and figures of the
    run, which has to be measured; `huggingface_hub.upload_folder` takes it as it is.

    Raises:
        GrokvizError: there is no such epoch; the layout cannot hold the network; or `out` is there already.
    """
    one_of("format", format, NETWORK_FORMATS)
    run, out = open_run(run), as_path("out", out)
    number = run.epoch(epoch)
    refuse_existing(out)
    if format == "hub":
        for name, content in hub_files(run, number):
            write_file(out / name, content, in_new_folder=True)
        return out
    refuse_another_architecture(format, run.config.blueprint.architecture)
    parameters = {name: torch.from_numpy(values) for name, values in run.weights(number).items()}
    state = LAYOUTS[format](parameters)
    content = _safetensors(run, state, number) if out.suffix == ".safetensors" else _torch(run, state, number, format)
    write_file(out, content, in_new_folder=True)
    return out


def _safetensors(run: Run, state: StateDict, epoch: int) -> bytes:
    """The file, with the shape of the network in its metadata: not every layout tells the number of heads."""
    metadata = {"epoch": str(epoch), "format": "pt", "config": json.dumps(run.config.blueprint.settings)}
    return save({name: tensor.contiguous() for name, tensor in state.items()}, metadata=metadata)


def _torch(run: Run, state: StateDict, epoch: int, format: NetworkFormat) -> bytes:
    buffer = io.BytesIO()
    torch.save(_as_progress_measures(run, state, epoch) if format == "progress-measures" else state, buffer)
    return buffer.getvalue()


def _as_progress_measures(run: Run, state: StateDict, epoch: int) -> dict[str, Any]:
    """What that code saves: its losses go up to its epoch."""
    label = PROGRESS_MEASURES.label_of(epoch)
    history = run.history.sel(epoch=slice(0, label))
    losses = {name: history[name].dropna("epoch").values.tolist() for name in ("train_loss", "test_loss")}
    return {
        "model": state,
        "config": _config_of_progress_measures(run.config),
        "epoch": label,
        "train_losses": losses["train_loss"],
        "test_losses": losses["test_loss"],
    }


def _config_of_progress_measures(config: RunConfig) -> dict[str, Any]:
    """The fields of that code's configuration, as far as they are known."""
    functions = {"addition": "add", "subtraction": "subtract", "x2_xy_y2": "x2xyy2"}
    task, model, training = config.task, config.model, config.training
    fields: dict[str, Any] = {
        "p": task.p,
        "d_model": model.d_model,
        "d_mlp": model.d_mlp,
        "num_heads": model.n_heads,
        "act_type": config.blueprint.activation.said,
        "n_ctx": model.positions,
        "d_vocab": config.d_vocab,
        "fn_name": "rand" if task.labels == "permuted" else functions.get(str(task.operation), str(task.operation)),
    }
    if model.operand_tokens == "apart":
        fields["diff_vocab"] = 1  # as the pizza code calls it
    if task.split != "unknown":
        fields["frac_train"] = task.known_fraction
    if task.split == "python_shuffle":
        fields["seed"] = task.split_seed
    if training is not None:
        fields |= {"lr": training.learning_rate, "weight_decay": training.weight_decay, "num_epochs": training.epochs}
    return fields
