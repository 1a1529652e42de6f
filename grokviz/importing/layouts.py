"""The layouts in which networks are published, told by their tensors: names, axes and sizes.

Each becomes the parameters of a hooked model, by its names and in its orientation, all biases included. Nothing that a network
computes with is dropped: what is not a parameter of its architecture, nor a buffer that is known to be none, refuses the file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.checks import number
from grokviz.errors import GrokvizError, argument
from grokviz.importing.files import StateDict
from grokviz.models.architecture import Architecture
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import PARAMETERS, TRANSFORMER

Parameters = dict[str, Float[Tensor, "..."]]

BUFFERS = ("mask", "IGNORE")
"""What attention keeps beside its parameters: the causal mask, and the number that it masks with."""
ALIASES = {"x_embed": "embed.W_E", "y_embed": "embed.W_E"}
"""Other names that the code of Chughtai et al. 2023 has for a parameter."""

TRANSPOSED = {
    "embed.W_E": "d_model vocab -> vocab d_model",
    "blocks.0.attn.W_Q": "head d_head d_model -> head d_model d_head",
    "blocks.0.attn.W_K": "head d_head d_model -> head d_model d_head",
    "blocks.0.attn.W_V": "head d_head d_model -> head d_model d_head",
    "blocks.0.attn.W_O": "d_model (head d_head) -> head d_head d_model",
    "blocks.0.mlp.W_in": "neuron d_model -> d_model neuron",
    "blocks.0.mlp.W_out": "d_model neuron -> neuron d_model",
}
"""How the progress-measures code, and the pizza code after it, hold what TransformerLens holds otherwise."""

NATIVE = {
    "embed.W_E": ("embed.weight", "vocab d_model -> vocab d_model"),
    "pos_embed.W_pos": ("pos_embed.weight", "position d_model -> position d_model"),
    **{
        f"blocks.0.attn.W_{name}": (
            f"blocks.0.attn.{name.lower()}.weight",
            "(head d_head) d_model -> head d_model d_head",
        )
        for name in "QKV"
    },
    **{
        f"blocks.0.attn.b_{name}": (f"blocks.0.attn.{name.lower()}.bias", "(head d_head) -> head d_head")
        for name in "QKV"
    },
    "blocks.0.attn.W_O": ("blocks.0.attn.o.weight", "d_model (head d_head) -> head d_head d_model"),
    "blocks.0.attn.b_O": ("blocks.0.attn.o.bias", "d_model -> d_model"),
    "blocks.0.mlp.W_in": ("blocks.0.mlp.in.weight", "neuron d_model -> d_model neuron"),
    "blocks.0.mlp.b_in": ("blocks.0.mlp.in.bias", "neuron -> neuron"),
    "blocks.0.mlp.W_out": ("blocks.0.mlp.out.weight", "d_model neuron -> neuron d_model"),
    "blocks.0.mlp.b_out": ("blocks.0.mlp.out.bias", "d_model -> d_model"),
    "unembed.W_U": ("unembed.weight", "output d_model -> d_model output"),
    "unembed.b_U": ("unembed.bias", "output -> output"),
}
"""The names and axes of the native models of TransformerLens 4."""


@dataclass(frozen=True)
class Choices:
    """What the tensors of some layouts leave open."""

    heads: int | None = None
    """Number of heads, where the tensors of all heads are one."""
    attention_coefficient: float | None = None
    """Share of the softmax in attention, where the rest of it is constant."""

    def __post_init__(self) -> None:
        """Refuse a coefficient that is no share."""
        if (
            self.attention_coefficient is not None
            and not 0 <= number("attention_coefficient", self.attention_coefficient) <= 1
        ):
            raise GrokvizError(f"attention_coefficient is {self.attention_coefficient}, but must lie in [0, 1]")


@dataclass(frozen=True)
class Network:
    """A network as its hooked model holds it."""

    architecture: Architecture
    parameters: Mapping[str, Float[Tensor, "..."]]
    """All parameters in float32, by the hooked model's names, in its order."""
    layout: str
    """The layout that it came in, in words."""
    passed_over: tuple[str, ...]
    """What is no parameter."""
    remark: str = ""
    """What else was made of its tensors, in words; '' for nothing."""


@dataclass(frozen=True)
class Layout:
    """A layout in which networks are published."""

    name: str
    recognises: Callable[[StateDict], bool]
    read: Callable[[StateDict, Choices], tuple[Parameters, set[str]]]
    """The parameters by the hooked model's names, and the names of the tensors that they were made of."""
    architecture: Callable[[StateDict], Architecture] = lambda state: TRANSFORMER
    """Of which architecture the networks are that come in it."""


def read_network(state: StateDict, choices: Choices) -> Network:
    """The network that a state dict holds.

    Raises:
        GrokvizError: it is in no known layout, or of another architecture, or holds what would be dropped; the message says what
            was found and what was expected.
    """
    layout = layout_of(state)
    if layout is not PROGRESS_MEASURES and choices.attention_coefficient not in (None, 1):
        coefficient = f"an attention coefficient of {choices.attention_coefficient:g} is given or stated"
        raise GrokvizError(f"{coefficient}, but the layout of {layout.name} knows none")
    architecture = layout.architecture(state)
    parameters, used = layout.read(state, choices)
    if architecture is TRANSFORMER:
        found_heads = parameters["blocks.0.attn.W_Q"].shape[0] // (2 if is_mixed(choices) else 1)
        if choices.heads not in (None, found_heads):
            raise GrokvizError(f"{choices.heads} heads are given or stated, but its tensors are of {found_heads}")
    passed_over = tuple(name for name in state if name not in used)
    for name in passed_over:
        _refuse_dropped(name, state, parameters, architecture)
    name = PIZZA if layout is PROGRESS_MEASURES and choices.attention_coefficient is not None else layout.name
    complete = _complete(parameters, architecture)
    return Network(architecture, complete, name, passed_over, _remark(state, parameters, choices))


def layout_of(state: StateDict) -> Layout:
    """The layout of a state dict.

    Raises:
        GrokvizError: it is none that is known.
    """
    _refuse_no_plain_tensors(state)
    _refuse_another_architecture(state)
    layout = next((layout for layout in LAYOUTS if layout.recognises(state)), None)
    if layout is None:
        found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in list(state.items())[:6])
        more = f" and {len(state) - 6} more" if len(state) > 6 else ""
        expected = ", ".join(parameter.name for parameter in TRANSFORMER.matrices)
        raise GrokvizError(
            f"its tensors are {found}{more}; expected were those of a one-layer transformer: {expected}; or of an MLP of two "
            f"embeddings: {', '.join(parameter.name for parameter in MLP.matrices)}"
        )
    return layout


def is_mixed(choices: Choices) -> bool:
    """Whether attention is both softmax and constant, so that there are twice the heads."""
    return choices.attention_coefficient is not None and 0 < choices.attention_coefficient < 1


def _refuse_no_plain_tensors(state: StateDict) -> None:
    """Refuse tensors that are not numbers in a row of memory, and names that cannot be shown.

    Raises:
        GrokvizError: the message says which.
    """
    for name, tensor in state.items():
        if not name.isprintable():
            raise GrokvizError(f"a tensor of it is called {name!r:.60}, which no parameter is")
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_nested or tensor.is_quantized:
            raise GrokvizError(f"its tensor {name} is sparse, quantised or empty of values; save plain tensors")
        if tensor.ndim == 0 and name.rsplit(".", 1)[-1] not in BUFFERS:
            raise GrokvizError(
                f"its tensor {name} is a single number; expected were the matrices and biases of a network"
            )


def _remark(state: StateDict, parameters: Parameters, choices: Choices) -> str:
    """What of a network is not as it was in its file."""
    said = []
    if any(tensor.dtype == torch.float64 for tensor in parameters.values()):
        said.append("weights rounded from float64 to float32")
    if choices.attention_coefficient not in (None, 1):
        coefficient = f"{choices.attention_coefficient:g} times the softmax, and a constant"
        said.append(f"attention of {coefficient}, written as heads of softmax alone, of which the norms are")
    return "; ".join(said)


def heads_left_open(state: StateDict) -> int | None:
    """The width of all heads together, where the tensors leave open how many there are; else None."""
    return state[NATIVE["blocks.0.attn.W_Q"][0]].shape[0] if layout_of(state) is TRANSFORMER_LENS_4 else None


def _matrices_are_there(state: StateDict) -> bool:
    return all(parameter.name in state for parameter in TRANSFORMER.matrices)


def _is_transformer_lens(state: StateDict) -> bool:
    return _matrices_are_there(state) and state["blocks.0.attn.W_O"].ndim == 3


def _is_transposed(state: StateDict) -> bool:
    return _matrices_are_there(state) and state["blocks.0.attn.W_O"].ndim == 2


def _is_native(state: StateDict) -> bool:
    return all(NATIVE[parameter.name][0] in state for parameter in TRANSFORMER.matrices)


def _read_transformer_lens(state: StateDict, choices: Choices) -> tuple[Parameters, set[str]]:
    found = {p.name: state[p.name] for p in PARAMETERS if p.name in state}
    return found, set(found)


def _read_transposed(state: StateDict, choices: Choices) -> tuple[Parameters, set[str]]:
    head = state["blocks.0.attn.W_Q"].shape[0]
    found = {p.name: state[p.name] for p in PARAMETERS if p.name in state}
    turned = {name: _turned(name, tensor, TRANSPOSED.get(name), head=head) for name, tensor in found.items()}
    n_positions = len(turned["pos_embed.W_pos"])
    coefficient = choices.attention_coefficient
    if coefficient is None and n_positions == 2:
        raise GrokvizError(
            "it reads two positions, as networks of the pizza paper do, in which attention is mixed with a constant: say how "
            f"much of it is softmax, with {argument('attention_coefficient')} or a {argument('config')} that states attn_coeff"
        )
    return (turned if coefficient in (None, 1) else _with_constant_heads(turned, coefficient, n_positions)), set(found)


def _read_native(state: StateDict, choices: Choices) -> tuple[Parameters, set[str]]:
    if choices.heads is None:
        raise GrokvizError(f"its tensors do not say how many heads it has; say so with {argument('heads')}")
    width = state[NATIVE["blocks.0.attn.W_Q"][0]].shape[0]
    if width % choices.heads:
        raise GrokvizError(
            f"heads is {choices.heads}, but its heads are {width} wide together, which that does not divide"
        )
    found = {
        name: _turned(native, state[native], axes, head=choices.heads)
        for name, (native, axes) in NATIVE.items()
        if native in state
    }
    return found, {NATIVE[name][0] for name in found}


def _is_mlp(state: StateDict) -> bool:
    return all(parameter.name in state for parameter in MLP_TIED.matrices)


def _mlp_of(state: StateDict) -> Architecture:
    return MLP if MLP.by_short_name["W_y"].name in state else MLP_TIED


def _read_mlp(state: StateDict, choices: Choices) -> tuple[Parameters, set[str]]:
    found = {p.name: state[p.name] for p in _mlp_of(state).parameters if p.name in state}
    return found, set(found)


def _turned(name: str, tensor: Tensor, axes: str | None, *, head: int) -> Tensor:
    """`tensor` with its axes as the HookedTransformer has them."""
    if axes is None:
        return tensor
    split_heads = "(head d_head)" in axes.split("->")[0]
    try:
        return rearrange(tensor, axes, head=head) if split_heads else rearrange(tensor, axes)
    except Exception as error:  # einops raises its own kind
        raise GrokvizError(
            f"{name} has the shape {tuple(tensor.shape)}, but expected was {axes.split('->')[0].strip()}"
        ) from error


def _with_constant_heads(parameters: Parameters, coefficient: float, n_positions: int) -> Parameters:
    """A network whose pattern is `coefficient` softmax(scores) + (1 - `coefficient`), as one of softmax alone.

    A head with that pattern is the sum of two of softmax: its own, with W_O times the coefficient; and one that looks at all
    n positions alike, for its scores are zero, with W_O times n (1 - coefficient). Where one of them is nothing it is left out.
    """
    attention = "blocks.0.attn."
    kept = {name: tensor for name, tensor in parameters.items() if not name.startswith(attention)}
    own = {name.removeprefix(attention): tensor for name, tensor in parameters.items() if name.startswith(attention)}
    biases = [name for name in own if name.startswith("b_") and bool(own[name].any())]
    if biases:
        raise GrokvizError(
            f"it has {', '.join(biases)} beside an attention coefficient, and no network is known that has both"
        )
    parts: list[dict[str, Tensor]] = []
    if coefficient > 0:
        parts.append({**{name: own[name] for name in ("W_Q", "W_K", "W_V")}, "W_O": own["W_O"] * coefficient})
    if coefficient < 1:
        nothing = {name: torch.zeros_like(own[name]) for name in ("W_Q", "W_K")}
        parts.append({**nothing, "W_V": own["W_V"], "W_O": own["W_O"] * (n_positions * (1 - coefficient))})
    joined = {f"{attention}{name}": torch.cat([part[name] for part in parts]) for name in ("W_Q", "W_K", "W_V", "W_O")}
    return {**kept, **joined}


def _refuse_another_architecture(state: StateDict) -> None:
    """Refuse what is known to be another architecture, by what makes it one.

    Raises:
        GrokvizError: the message says which.
    """
    wanted = "expected was one layer of attention and neurons, without normalisation"
    layers = {name.split(".")[1] for name in state if name.startswith(("blocks.", "layers.")) and name.count(".") > 1}
    if len(layers) > 1:
        raise GrokvizError(f"it has {len(layers)} layers; {wanted}")
    for part, marks in (("LayerNorm", (".ln", "ln_", "ln1", "ln2", "norm")), ("a gated MLP", ("gate",))):
        if normalised := next((name for name in state if any(mark in name for mark in marks)), None):
            raise GrokvizError(f"it has {part} ({normalised}); {wanted}")
    for part in ("attn", "mlp"):
        other = "mlp" if part == "attn" else "attn"
        if any(f".{other}." in name for name in state) and not any(f".{part}." in name for name in state):
            raise GrokvizError(f"it has no {'attention' if part == 'attn' else 'MLP'}; {wanted}")


def _refuse_dropped(name: str, state: StateDict, parameters: Parameters, architecture: Architecture) -> None:
    """Refuse a tensor that is no parameter, but for what is known to be none.

    Raises:
        GrokvizError: it would be dropped.
    """
    if name.rsplit(".", 1)[-1] in BUFFERS:
        return
    alias = ALIASES.get(name) if architecture is TRANSFORMER else None
    if alias and torch.equal(state[name], parameters[alias]):
        return
    reason = f"is not {alias}, as which it was expected" if alias else "is no parameter of this architecture"
    raise GrokvizError(
        f"its tensor {name} {tuple(state[name].shape)} {reason}, and is not dropped silently; expected were only "
        f"{', '.join(p.short_name for p in architecture.parameters)}"
    )


def _complete(parameters: Parameters, architecture: Architecture) -> Parameters:
    """All parameters in float32 and in order; biases that are not there are zero.

    Raises:
        GrokvizError: one has another shape than the others ask for, or holds what is not a finite number.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for parameter in architecture.parameters:  # shapes first: a tensor may claim many numbers with few behind them
        tensor = parameters.get(parameter.name)
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise GrokvizError(f"{parameter.name} is of {tensor.dtype}, but weights are floating-point numbers")
        if tensor.ndim != len(parameter.axes):
            expected = " x ".join(parameter.axes)
            raise GrokvizError(f"{parameter.name} has the shape {tuple(tensor.shape)}, but expected was {expected}")
        for axis, length in zip(parameter.axes, tensor.shape, strict=True):
            known, where = sizes.setdefault(axis, (length, parameter.name))
            if known != length:
                raise GrokvizError(f"{parameter.name} has {axis} = {length}, but {where} has {known}")
            if not length:
                raise GrokvizError(f"{parameter.name} has {axis} = 0: it is empty")
    if "both" in sizes and sizes["both"][0] != 2 * sizes["d_model"][0]:
        (both, where), (d_model, _) = sizes["both"], sizes["d_model"]
        raise GrokvizError(f"{where} reads {both} numbers, but both embeddings together are {2 * d_model} wide")
    complete: Parameters = {}
    for parameter in architecture.parameters:
        tensor = parameters.get(parameter.name)
        if tensor is None:
            tensor = torch.zeros([sizes[axis][0] for axis in parameter.axes])
        plain = tensor.detach().to(torch.float32).contiguous()
        if not bool(plain.isfinite().all()):
            raise GrokvizError(f"{parameter.name} holds numbers that are not finite: NaN or infinity")
        complete[parameter.name] = plain
    return complete


TRANSFORMER_LENS = Layout("TransformerLens 1 to 3 (state dict)", _is_transformer_lens, _read_transformer_lens)
PROGRESS_MEASURES = Layout("progress measures (Nanda et al. 2023)", _is_transposed, _read_transposed)
TRANSFORMER_LENS_4 = Layout("TransformerLens 4 (native state dict)", _is_native, _read_native)

PIZZA = "pizza (Zhong et al. 2023), transposed as progress measures"
"""The name of that layout where attention has a coefficient."""

UNIVERSALITY_MLP = Layout("universality (Chughtai et al. 2023), MLP of two embeddings", _is_mlp, _read_mlp, _mlp_of)

LAYOUTS = (TRANSFORMER_LENS, PROGRESS_MEASURES, TRANSFORMER_LENS_4, UNIVERSALITY_MLP)
