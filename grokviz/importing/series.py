"""The networks of one or several files as one series: each with its epoch, all of one architecture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from grokviz.checks import plain_number, shown
from grokviz.config import ModelConfig
from grokviz.errors import GrokvizError, argument
from grokviz.importing.bundles import Bundle, bundle_of
from grokviz.importing.epochs import unlabelled_epoch
from grokviz.importing.files import StateDict, plain, read_content, read_json
from grokviz.importing.layouts import Choices, Network, heads_left_open, is_mixed, read_network
from grokviz.importing.options import ImportOptions
from grokviz.importing.tasks import best_choice
from grokviz.models.activations import ACTIVATIONS, RELU, Activation
from grokviz.models.architecture import OperandTokens, Parameter
from grokviz.models.transformer import TRANSFORMER
from grokviz.models.weights import Weights, biases_that_hold
from grokviz.store import Origin

MOST_EPOCHS = 10**9

ACTIVATION_NAMES = ("act_fn", "act_type")
"""What configurations call the activation."""

STATED = (
    (ACTIVATION_NAMES, tuple(ACTIVATIONS), f"{' or '.join(each.said for each in ACTIVATIONS.values())} neurons"),
    (("n_layers", "num_layers"), (1,), "one layer"),
    (("normalization_type",), ("none",), "no normalisation"),
    (("use_ln", "attn_only", "gated_mlp"), (False, 0), "attention and MLP, and no normalisation"),
    (("use_attn_scale",), (True, 1), "scores scaled by 1 / sqrt(d_head)"),
    (("positional_embedding_type",), ("standard",), "position embeddings that are added"),
)
"""What configurations may state: under which names, what is usual, and what that is in words."""


@dataclass(frozen=True)
class Series:
    """Networks of one run, by epoch."""

    files: tuple[Origin.File, ...]
    states: Mapping[int, tuple[str, StateDict]]
    """By epoch, ascending: the name of the file, and the state dict in it."""
    choices: Choices
    bundle: Bundle
    """What the file that says most says beside its networks."""
    stated: Mapping[str, Any]
    about_epochs: str
    """What is to be said of the epochs; '' where they are what the files say."""
    kind: "Kind"
    """What tensors do not tell of the networks."""

    def network(self, epoch: int) -> Network:
        """The network of `epoch`.

        Raises:
            GrokvizError: it is none of this architecture.
        """
        name, state = self.states[epoch]
        try:
            return read_network(state, self.choices)
        except GrokvizError as error:
            at = f" at epoch {epoch:,}" if len(self.states) > 1 else ""
            raise GrokvizError(f"{name}{at} cannot be imported: {error}") from error

    @cached_property
    def last(self) -> Network:
        """The network of the last epoch."""
        return self.network(max(self.states))

    @property
    def is_mixed(self) -> bool:
        """Whether there are twice the heads, for attention is both softmax and constant."""
        return is_mixed(self.choices)

    def earlier(self, epochs: int) -> "Series":
        """The networks, so many epochs earlier."""
        return replace(self, states={epoch - epochs: state for epoch, state in self.states.items()})

    def weights(self, epoch: int) -> Weights:
        """The weights of `epoch`'s network, zero biases left out."""
        return self.kind.weights_of(self.network(epoch))

    def model(self, networks: Iterator[Network]) -> ModelConfig:
        """The configuration of the `networks`, of which every bias counts as trained that is not zero in all of them.

        Raises:
            GrokvizError: they are not alike.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in self.last.parameters.items()}
        architecture, used = self.last.architecture, set[Parameter]()
        for network in networks:
            for parameter in architecture.parameters:
                tensor = network.parameters[parameter.name]
                if tuple(tensor.shape) != shapes[parameter.name]:
                    raise GrokvizError(
                        f"the networks are not of one run: {parameter.name} has the shape {tuple(tensor.shape)} in one and "
                        f"{shapes[parameter.name]} in the last"
                    )
                if parameter.is_bias and tensor.any():
                    used.add(parameter)
        if architecture is TRANSFORMER:
            _refuse_other_classes(shapes, self.kind.operand_tokens)
        blueprint = self.kind.weights_of(self.last).blueprint
        return ModelConfig.of(replace(blueprint, biases=biases_that_hold(used)))


def series_of(paths: Sequence[Path], options: ImportOptions) -> Series:
    """The networks in the files at `paths`.

    Raises:
        GrokvizError: one cannot be read; or two have one epoch.
    """
    stated = plain(read_json(options.config)) if options.config else {}
    contents = [read_content(path) for path in paths]
    bundles = [bundle_of(path, content) for path, content in zip(paths, contents, strict=True)]
    most = max(bundles, key=lambda bundle: (_length(bundle.train_losses), len(bundle.stated)))
    stated = {**most.stated, **stated}
    _refuse_stated(stated)
    states, about = _by_epoch(paths, bundles, options, stated)
    choices = Choices(options.heads or _heads(stated), _coefficient(options, stated))
    choices, kind = _found_choices(paths[-1], states[max(states)][1], choices, options, stated)
    return Series(tuple(content.source for content in contents), states, choices, most, stated, about, kind)


def _refuse_stated(stated: Mapping[str, Any]) -> None:
    """Refuse what a configuration states and tensors do not tell.

    Raises:
        GrokvizError: the network is of another kind.
    """
    for names, usual, what in STATED:
        for name in names:
            value = stated.get(name)
            if value is not None and (value.lower() if isinstance(value, str) else value) not in usual:
                raise GrokvizError(
                    f"its configuration states {name} = {shown(value)}, but measures are of networks with {what}"
                )


def refuse_contradictions(stated: Mapping[str, Any], model: ModelConfig, p: int | None, *, is_mixed: bool) -> None:
    """Refuse a network whose configuration states another shape.

    Raises:
        GrokvizError: the message names what contradicts.
    """
    heads = model.n_heads // 2 if model.n_heads and is_mixed else model.n_heads
    found = {
        "p": p, "C": p, "d_model": model.d_model, "n_heads": heads, "num_heads": heads, "d_head": model.d_head,
        "d_mlp": model.d_mlp, "n_ctx": model.positions,
    }  # fmt: skip
    for name, value in found.items():
        given = plain_number(stated.get(name))
        if given is not None and value is not None and given != value:
            raise GrokvizError(
                f"its configuration states {name} = {given}, but the network has {value}: it is of another"
            )


def _length(losses: np.ndarray | None) -> int:
    return 0 if losses is None else len(losses)


@dataclass(frozen=True)
class Kind:
    """What tensors do not tell of a network."""

    activation: Activation
    operand_tokens: OperandTokens
    because: str
    """How the activation is known."""

    def weights_of(self, network: Network) -> Weights:
        """The weights of a network of this kind, zero biases left out."""
        found = {p: network.parameters[p.name] for p in network.architecture.parameters}
        kept = {p.short_name: tensor for p, tensor in found.items() if not p.is_bias or tensor.any()}
        return Weights(kept, network.architecture, self.activation, self.operand_tokens)


def _by_epoch(
    paths: Sequence[Path], bundles: Sequence[Bundle], options: ImportOptions, stated: Mapping[str, Any]
) -> tuple[dict[int, tuple[str, StateDict]], str]:
    """The state dicts by epoch, and what is to be said of the epochs."""
    if options.epochs is not None and len(options.epochs) != len(paths):
        raise GrokvizError(f"epochs are {len(options.epochs)}, but the files are {len(paths)}; give one for each")
    about = ""
    states: dict[int, tuple[str, StateDict]] = {}
    for number, (path, bundle) in enumerate(zip(paths, bundles, strict=True)):
        for label, state in bundle.networks:
            if options.epochs is not None and len(bundle.networks) > 1:
                raise GrokvizError(
                    f"epochs are given, but {path} holds {len(bundle.networks)} networks with epochs of their own"
                )
            if options.epochs is not None:
                epoch = options.epochs[number]
            elif label is not None:
                epoch = bundle.labels.epoch_of(label)
            else:
                epoch, about = unlabelled_epoch(path, len(paths), stated)
            if epoch > MOST_EPOCHS:
                raise GrokvizError(
                    f"{path} holds a network of epoch {shown(epoch)}, but at most {MOST_EPOCHS:,} is one"
                )
            if epoch in states:
                raise GrokvizError(
                    f"{path} holds a network of epoch {epoch:,}, and so does {states[epoch][0]}; give {argument('epochs')}, one "
                    "for each file"
                )
            states[epoch] = (path.name, state)
    return dict(sorted(states.items())), about


def _heads(stated: Mapping[str, Any]) -> int | None:
    found = next((stated[name] for name in ("n_heads", "num_heads") if name in stated), None)
    return found if isinstance(found, int) and found > 0 else None


def _coefficient(options: ImportOptions, stated: Mapping[str, Any]) -> float | None:
    if options.attention_coefficient is not None:
        return options.attention_coefficient
    found = plain_number(stated.get("attn_coeff"))
    return None if found is None else float(found)


def _width(path: Path, state: StateDict) -> int | None:
    try:
        return heads_left_open(state)
    except GrokvizError as error:
        raise GrokvizError(f"{path} cannot be imported: {error}") from error


def _found_choices(
    path: Path, state: StateDict, choices: Choices, options: ImportOptions, stated: Mapping[str, Any]
) -> tuple[Choices, Kind]:
    """What a network's tensors leave open: number of heads and tokens of the operands, as given or stated, else those with which
    it fits its pairs best; and the activation.

    Raises:
        GrokvizError: the number of heads cannot be told.
    """
    width = _width(path, state) if choices.heads is None else None
    all_choices = [choices]
    if width is not None:
        all_choices = [replace(choices, heads=heads) for heads in range(1, width + 1) if width % heads == 0]
    activation, because = _activation(options, stated)
    by_choice: dict[tuple[Choices, Kind], Weights] = {}
    for each in all_choices:
        network = _read(path, state, each)
        for tokens in _operand_tokens(network, options, stated):
            kind = Kind(activation, tokens, because)
            by_choice[each, kind] = kind.weights_of(network)
    if len(by_choice) == 1:
        return next(iter(by_choice))
    found = best_choice(by_choice, operation=options.operation, p=options.p)
    if found is None and width is not None:
        raise GrokvizError(
            f"its heads are {width} wide together, and how many they are cannot be told by how well it fits its pairs; "
            f"say so with {argument('heads')}"
        )
    return found or next(iter(by_choice))


def _activation(options: ImportOptions, stated: Mapping[str, Any]) -> tuple[Activation, str]:
    """The activation that is given, stated, or usual, and which of these. How well a network fits its pairs does not tell it:
    published networks of ReLU have lower losses on most pairs with GELU.
    """
    if options.activation is not None:
        return ACTIVATIONS[options.activation], "given"
    named = next((str(stated[name]).lower() for name in ACTIVATION_NAMES if stated.get(name) is not None), None)
    return (RELU, "as is usual; tensors do not tell it") if named is None else (ACTIVATIONS[named], "as is stated")


def _operand_tokens(network: Network, options: ImportOptions, stated: Mapping[str, Any]) -> tuple[OperandTokens, ...]:
    """Whether the operands have tokens of their own: as is given, stated, or told by the numbers of tokens and classes; else what
    it may be, the usual first.
    """
    if network.architecture is not TRANSFORMER:
        return ("shared",)
    if options.operand_tokens is not None:
        return (options.operand_tokens,)
    if stated.get("diff_vocab") is not None:
        return ("apart" if stated["diff_vocab"] else "shared",)
    tokens, classes = len(network.parameters["embed.W_E"]), network.parameters["unembed.W_U"].shape[1]
    of_operands = tokens - (len(network.parameters["pos_embed.W_pos"]) == 3)
    if of_operands == 2 * classes:
        return ("apart",)
    return ("shared",) if of_operands % 2 or classes != tokens else ("shared", "apart")


def _read(path: Path, state: StateDict, choices: Choices) -> Network:
    try:
        return read_network(state, choices)
    except GrokvizError as error:
        raise GrokvizError(f"{path} cannot be imported: {error}") from error


def _refuse_other_classes(shapes: Mapping[str, tuple[int, ...]], operand_tokens: OperandTokens) -> None:
    """Refuse a transformer that reads other positions, or scores other classes, than those of a pair and its answers.

    Raises:
        GrokvizError: the message says what it has.
    """
    positions = shapes["pos_embed.W_pos"][0]
    if positions not in (2, 3):
        raise GrokvizError(
            f"it reads {positions} positions (pos_embed.W_pos), but expected were 3 (a, b and '=') or 2 (a and b)"
        )
    tokens, classes = shapes["embed.W_E"][0], shapes["unembed.W_U"][1]
    of_operands = tokens - (positions == 3)
    n = of_operands // (2 if operand_tokens == "apart" else 1)
    if classes not in (n, tokens) or (operand_tokens == "apart" and of_operands % 2):
        expected = " or ".join(dict.fromkeys((str(n), str(tokens))))
        raise GrokvizError(
            f"it has {tokens} tokens and {classes} classes, but expected were {expected} classes; answers of another kind are "
            "another task"
        )
