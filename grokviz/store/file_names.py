"""What lies where in a run's directory.

RUN/config.json                        the configuration, and the versions and machine it was started with
RUN/history.csv                        one row per epoch: losses and accuracies, empty where not evaluated
RUN/checkpoints/epoch_000100.safetensors   the weights before the update of epoch 100, by TransformerLens name
RUN/states/epoch_000100.safetensors    the weights and the optimiser's state there: what training goes on from
RUN/manifest.json                      status, and size and SHA-256 of each of these files
RUN/measurements.nc, RUN/report.html   what `grokviz measure` and `grokviz report` make of them
RUN/interventions.nc                   what was measured of the networks under interventions, and of controls
"""

import re

CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
MANIFEST_FILE = "manifest.json"
MEASUREMENTS_FILE = "measurements.nc"
PREVIOUS_MEASUREMENTS_FILE = "measurements.previous.nc"
INTERVENTIONS_FILE = "interventions.nc"
REPORT_FILE = "report.html"
CHECKPOINT_FOLDER = "checkpoints"
STATE_FOLDER = "states"
DAMAGED_FOLDER = "damaged"

MOST_BYTES = {
    CONFIG_FILE: 1 << 24,
    MANIFEST_FILE: 1 << 26,
    HISTORY_FILE: 1 << 30,
    MEASUREMENTS_FILE: 1 << 32,
    PREVIOUS_MEASUREMENTS_FILE: 1 << 32,
    INTERVENTIONS_FILE: 1 << 32,
    REPORT_FILE: 1 << 28,
}
"""More bytes than such a file ever has."""

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
