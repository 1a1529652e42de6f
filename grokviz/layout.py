"""What lies where in a run's directory, and which tensors its files hold.

RUN/config.json                        the configuration, and the versions and machine it was started with
RUN/history.csv                        one row an epoch: losses and accuracies, empty where not evaluated
RUN/checkpoints/epoch_000100.safetensors   the weights before the update of epoch 100, by TransformerLens name
RUN/states/epoch_000100.safetensors    the weights and AdamW's moments there: what training goes on from
RUN/manifest.json                      status, and size and SHA-256 of each of these files
RUN/measurements.nc, RUN/report.html   what `grokviz measure` and `grokviz report` make of them
"""

import re

from grokviz.config import RunConfig

SCHEMA_VERSION = 2
READABLE_SCHEMAS = (1, 2)

CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
MANIFEST_FILE = "manifest.json"
MEASUREMENTS_FILE = "measurements.nc"
PREVIOUS_MEASUREMENTS_FILE = "measurements.previous.nc"
REPORT_FILE = "report.html"
CHECKPOINT_FOLDER = "checkpoints"
STATE_FOLDER = "states"
DAMAGED_FOLDER = "damaged"
HISTORY_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

MOST_BYTES = {
    CONFIG_FILE: 1 << 20,
    MANIFEST_FILE: 1 << 26,
    HISTORY_FILE: 1 << 30,
    MEASUREMENTS_FILE: 1 << 32,
    PREVIOUS_MEASUREMENTS_FILE: 1 << 32,
    REPORT_FILE: 1 << 28,
}
"""More bytes than such a file ever has."""

HEADER_BYTES = 1 << 14
"""More bytes than the names and shapes in a checkpoint or state take."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's two moments, by torch's names."""

_BY_EPOCH = re.compile(rf"({CHECKPOINT_FOLDER}|{STATE_FOLDER})/epoch_(\d{{6,12}})\.safetensors")


def checkpoint_name(epoch: int) -> str:
    """The path of epoch's checkpoint inside its run."""
    return f"{CHECKPOINT_FOLDER}/epoch_{epoch:06d}.safetensors"


def state_name(epoch: int) -> str:
    """The path of epoch's training state inside its run."""
    return f"{STATE_FOLDER}/epoch_{epoch:06d}.safetensors"


def is_name_in_run(name: str) -> bool:
    """Whether a file of a run may be called so. Nothing else is ever read, so that no name leads out of the run."""
    match = _BY_EPOCH.fullmatch(name)
    return name in MOST_BYTES if match is None else name == f"{match[1]}/epoch_{int(match[2]):06d}.safetensors"


def epoch_in(name: str, folder: str) -> int | None:
    """The epoch of a file in `folder`; None for a file elsewhere."""
    match = _BY_EPOCH.fullmatch(name)
    return int(match[2]) if match and match[1] == folder else None


def weight_shapes(config: RunConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of the HookedTransformer, by its TransformerLens name."""
    heads, d_head, d_model, d_mlp = (getattr(config.model, n) for n in ("n_heads", "d_head", "d_model", "d_mlp"))
    return {
        "embed.W_E": (config.d_vocab, d_model),
        "pos_embed.W_pos": (3, d_model),
        **{f"blocks.0.attn.W_{name}": (heads, d_model, d_head) for name in "QKV"},
        "blocks.0.attn.W_O": (heads, d_head, d_model),
        **{f"blocks.0.attn.b_{name}": (heads, d_head) for name in "QKV"},
        "blocks.0.attn.b_O": (d_model,),
        "blocks.0.mlp.W_in": (d_model, d_mlp),
        "blocks.0.mlp.b_in": (d_mlp,),
        "blocks.0.mlp.W_out": (d_mlp, d_model),
        "blocks.0.mlp.b_out": (d_model,),
        "unembed.W_U": (d_model, config.d_vocab_out),
        "unembed.b_U": (config.d_vocab_out,),
    }


def state_shapes(config: RunConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a training state: weights, the moments of the trained ones, and the step."""
    weights = weight_shapes(config)
    trained = {name: shape for name, shape in weights.items() if ".W_" in name}
    return {
        **{f"weights.{name}": shape for name, shape in weights.items()},
        **{f"{moment}.{name}": shape for moment in MOMENTS for name, shape in trained.items()},
        "step": (),
    }
