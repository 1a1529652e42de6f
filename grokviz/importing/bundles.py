"""What a file holds: the networks in it with their epochs, and what it says beside them. What a network is is not known here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from grokviz.checks import plain_number, shown
from grokviz.errors import GrokvizError, argument
from grokviz.importing.epochs import AS_OURS, Labels, labels_of
from grokviz.importing.files import Content, Fields, StateDict, plain

SERIES = {"checkpoints": "checkpoint_epochs", "state_dicts": "epochs"}
"""The networks of a whole run and their epochs, as TransformerLens' grokking demo calls them, and as Nanda et al. do."""
SINGLE = ("model", "state_dict", "model_state_dict", "weights")
CONFIGS = ("config", "cfg", "args", "hparams")
PREFIXES = ("module.", "_orig_mod.", "model.", "_original_component.")
"""What wrappers of a model put before all of its names."""


@dataclass(frozen=True)
class Bundle:
    """The networks of a file, and what it says beside them."""

    networks: tuple[tuple[int | None, StateDict], ...]
    """Each with its epoch as the file calls it; None where it does not."""
    labels: Labels = AS_OURS
    """What its epochs mean."""
    train_losses: Float[np.ndarray, "evaluation"] | None = None
    test_losses: Float[np.ndarray, "evaluation"] | None = None
    train_indices: Sequence[int] | None = None
    """The pairs that were trained on, where the file says so."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """The configuration in it, as plain values."""


def bundle_of(path: Path, content: Content) -> Bundle:
    """The networks in the file at `path`.

    Raises:
        GrokvizError: there are none; the message says what was found.
    """
    values = content.values
    if not isinstance(values, Mapping):
        raise GrokvizError(
            f"{path} holds a {type(values).__name__}, but the weights of a network were expected: a state dict"
        )
    if _is_state_dict(values):
        return Bundle(((None, _without_prefix(values)),))
    stated = _stated(values)
    train_losses, test_losses = (_losses(path, values, name) for name in ("train_losses", "test_losses"))
    networks = _networks(path, values, train_losses)
    if not networks:
        found = ", ".join(map(str, islice(values, 12)))
        raise GrokvizError(
            f"{path} holds {found}, but no network: neither a state dict, nor one as 'model' or 'checkpoints'"
        )
    return Bundle(
        networks,
        labels=labels_of(keeps_losses=train_losses is not None, is_demo="checkpoints" in values),
        train_losses=train_losses,
        test_losses=test_losses,
        train_indices=_indices(path, values.get("train_indices")),
        stated=stated,
    )


def _networks(
    path: Path, values: Mapping[str, Any], train_losses: np.ndarray | None
) -> tuple[tuple[int | None, StateDict], ...]:
    networks: list[tuple[int | None, StateDict]] = []
    for many, epochs_name in SERIES.items():
        states, epochs = values.get(many), values.get(epochs_name)
        if states is None or (isinstance(states, list | tuple) and not states):
            continue
        if not isinstance(states, list | tuple) or not all(_is_state_dict(state) for state in states):
            raise GrokvizError(
                f"{path} holds {many!r}, but it is not a list of state dicts, one for each of {epochs_name!r}"
            )
        epochs = _epochs(path, epochs, len(states), epochs_name)
        networks += zip(epochs, map(_without_prefix, states), strict=True)
    single = next((values[name] for name in SINGLE if _is_state_dict(values.get(name))), None)
    if single is not None:
        epoch = _whole(values.get("epoch"))
        if epoch is None and values.get("epoch") is not None:
            raise GrokvizError(
                f"{path} holds a network of epoch {shown(values['epoch'])}, but an epoch is a whole number from 0"
            )
        if networks and epoch is None and train_losses is not None:
            epoch = len(train_losses) - 1  # the network at the end of a whole run
        known = {epoch for epoch, _ in networks}
        if not networks or (epoch is not None and epoch not in known):
            networks.append((epoch, _without_prefix(single)))
    return tuple(networks)


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
        and any(tensor.ndim > 1 for tensor in value.values())
    )


def _without_prefix(state: StateDict) -> StateDict:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    return state


def _epochs(path: Path, epochs: Any, count: int, name: str) -> list[int]:
    whole = [number for number in map(_whole, _listed(epochs) or []) if number is not None]
    if len(whole) != count or sorted(set(whole)) != whole:
        raise GrokvizError(f"{path} holds {count} networks, but its {name!r} is not {count} ascending epochs")
    return whole


def _losses(path: Path, values: Mapping[str, Any], name: str) -> Float[np.ndarray, "evaluation"] | None:
    given = _listed(values.get(name))
    if given is None and values.get(name) is not None and values.get(name) != []:
        raise GrokvizError(f"{path} holds {name!r} that is no list of numbers")
    try:
        return np.array([float(loss) for loss in given], dtype=np.float64) if given else None
    except (TypeError, ValueError, OverflowError) as error:
        raise GrokvizError(f"{path} holds {name!r} that are no numbers ({error})") from error


def _indices(path: Path, given: Any) -> Sequence[int] | None:
    """The indices of the pairs that were trained on; a mask of all pairs is understood, too."""
    if isinstance(given, Tensor | np.ndarray) and str(given.dtype).removeprefix("torch.") == "bool":
        return [i for i, is_trained in enumerate(given.flatten().tolist()) if is_trained]
    listed = _listed(given)
    if listed is None and given is not None:
        raise GrokvizError(
            f"{path} holds 'train_indices' that are no list of indices; give them with {argument('train_pairs')}"
        )
    return listed


def _listed(given: Any) -> list[Any] | None:
    """The plain values in a list, a tensor or an array of one axis; None where it is neither, or empty."""
    if isinstance(given, Tensor | np.ndarray):
        given = given.tolist() if given.ndim == 1 else None
    return list(given) if isinstance(given, list | tuple) and len(given) else None


def _whole(value: Any) -> int | None:
    """The whole number from 0 that `value` is, or None."""
    number = plain_number(value)
    return (
        int(number) if number is not None and number >= 0 and (isinstance(number, int) or number.is_integer()) else None
    )


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of its training: the configuration, or what of it lies beside the weights."""
    for name in CONFIGS:
        if isinstance(values.get(name), Mapping | Fields):
            stated: dict[str, Any] = plain(values[name])
            return {field: value for field, value in stated.items() if _is_short(value)}
    return {}


def _is_short(value: Any) -> bool:
    return value is not None and not isinstance(value, dict) and len(str(value)) <= 80
