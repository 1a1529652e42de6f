"""What an architecture is: a value that says what a network is made of. No torch, but in what computes it.

    TRANSFORMER = Architecture(name="transformer", parameters=(...), sites=(...), ...)

An architecture with its sizes and options is a `Blueprint`: all that decides which parameters there are, and what is computed
with them. To add one, write its value and what computes it, and put it into `ARCHITECTURES` in `models/architectures.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal, get_args

from grokviz.errors import GrokvizError
from grokviz.models.activations import Activation

if TYPE_CHECKING:
    from transformer_lens import HookedRootModule

    from grokviz.models.computation import Computation

Biases = Literal["none", "mlp_in", "mlp", "all"]
OperandTokens = Literal["shared", "apart"]

Role = Literal["embedding", "second_embedding", "readout"]
"""What a part of the weights is to a measure: the embedding of the first operand and of the second, and the map from neurons to
logits.
"""


def no_reason(blueprint: "Blueprint", role: str) -> str:
    """None."""
    return ""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a network."""

    short_name: str
    """Its name in the literature."""
    name: str
    """Its name in the hooked model and in every file."""
    axes: tuple[str, ...]
    """Its axes in TransformerLens' orientation, by the names of the sizes of a `Blueprint`."""
    trained_with: tuple[Biases, ...] = get_args(Biases)
    """The settings of `biases` with which training changes it. What is not trained is zero at the start and stays so."""

    @property
    def is_bias(self) -> bool:
        """Whether it is zero and not trained in some networks."""
        return self.trained_with != get_args(Biases)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape in a network whose axes have these sizes."""
        return tuple(sizes[axis] for axis in self.axes)


How = Literal["passed", "passed on", "made", "read out", "answered", "embedded"]
"""How the hooked model comes to what lies at a site: it passes a hook point; or passes one, and is added as it is to what passes
another; or is made of what passes one, and passes another; or maps what passes one to the logits; or is the logits, which pass
none; or is the embeddings of both operands.
"""


@dataclass(frozen=True)
class Site:
    """A place in a network where activations lie, at the position that is read: interventions act there."""

    name: str
    axes: tuple[str, ...]
    """Besides the pairs."""
    hook: str
    """The hook point of the hooked model that sees them, or what they come from; '' for none."""
    said: str
    """What lies there, in words."""
    position: int | None = None
    """Which dimension of what passes there is that of the positions, of which the last is read; None where there are none."""
    is_kept: bool = True
    """Whether a snapshot holds them."""
    how: How = "passed"
    then: str = ""
    """The hook point where they go on, if it is another."""


@dataclass(frozen=True)
class EmbeddingRows:
    """Rows of a weight that embed the elements as operands, in their order."""

    weight: str
    """Its short name."""
    start: int
    operands: tuple[Literal["first", "second"], ...]


@dataclass(frozen=True, eq=False)
class Architecture:
    """What a network is made of."""

    name: str
    said: str
    """In words, such as 'one layer of attention and MLP'."""
    parameters: tuple[Parameter, ...]
    sites: tuple[Site, ...]
    """Those whose activations a snapshot holds come first."""
    roles: tuple[Role, ...]
    """The roles that some of its weights have."""
    defaults: Mapping[str, Any]
    """The fields of the model's configuration that an architecture may have as its own, with what they are if not given."""
    allowed: Mapping[str, tuple[Any, ...]]
    """Those that may only be some of what there is."""
    told_by_sizes: Callable[[Mapping[str, int], OperandTokens], Mapping[str, Any]]
    """The fields of a blueprint that the sizes of the axes tell, given whether both operands have the same tokens."""
    settings: Callable[["Blueprint"], dict[str, Any]]
    """The settings of the hooked model: of a transformer the arguments of HookedTransformerConfig."""
    hooked: Callable[["Blueprint"], "HookedRootModule"]
    """The hooked model with memory for its weights, not yet filled."""
    pair_bytes: Callable[["Blueprint"], int]
    """About the bytes that the hooked model holds at most for each pair that passes it."""
    embeddings: Callable[["Blueprint"], tuple[EmbeddingRows, ...]]
    """Where the elements are embedded, as the operands that they are."""
    computation: Callable[[], "Computation"]
    """What computes it, imported when it is first asked for: whoever reads a run needs no torch."""
    last_alone: str = ""
    """The hook point from which on the last position alone may be passed, for no other is read any more; '' for none."""
    why_no_role: Callable[["Blueprint", str], str] = no_reason
    """Why a blueprint's options leave it without one of its roles; '' where they do not."""

    def __reduce__(self) -> Any:
        """Pickled by its name where it is one of `ARCHITECTURES`, of which there is one each, in every process."""
        from grokviz.models.architectures import ARCHITECTURES

        return (_named, (self.name,)) if ARCHITECTURES.get(self.name) is self else super().__reduce_ex__(2)

    @cached_property
    def by_short_name(self) -> Mapping[str, Parameter]:
        """Its parameters by their short names."""
        return {parameter.short_name: parameter for parameter in self.parameters}

    @cached_property
    def kept_sites(self) -> tuple[Site, ...]:
        """The sites whose activations a snapshot holds."""
        return tuple(site for site in self.sites if site.is_kept)

    @cached_property
    def matrices(self) -> tuple[Parameter, ...]:
        """The parameters that every network has and trains; the others are biases."""
        return tuple(parameter for parameter in self.parameters if not parameter.is_bias)


def _named(name: str) -> Architecture:
    from grokviz.models.architectures import ARCHITECTURES  # which has the values of this module's class

    return ARCHITECTURES[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class Blueprint:
    """An architecture with its sizes and options."""

    architecture: Architecture
    n: int
    """Number of elements: of each operand, and of possible answers."""
    positions: int
    """What it reads: 3 for a, b and '='; 2 for a and b alone."""
    operand_tokens: OperandTokens
    """Whether a and b have the same tokens, or those of b come after those of a."""
    answers_alone: bool
    """Whether the classes are the n answers, or all tokens."""
    activation: Activation
    biases: Biases
    widths: Mapping[str, int]
    """The sizes of the axes that are free: d_model, neuron; of a transformer head and d_head, too."""

    @property
    def reads_equals(self) -> bool:
        """Whether it reads '=' after the operands."""
        return self.positions == 3

    @property
    def n_operand_tokens(self) -> int:
        """Number of tokens that operands have."""
        return self.n if self.operand_tokens == "shared" else 2 * self.n

    @property
    def equals_token(self) -> int | None:
        """The token '=', which comes after those of the operands; None where none is read."""
        return self.n_operand_tokens if self.reads_equals else None

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The size of every axis of a parameter or a site."""
        vocab = self.n_operand_tokens + self.reads_equals
        classes = self.n if self.answers_alone else vocab
        of_tokens = {"vocab": vocab, "position": self.positions, "source": self.positions, "class": classes}
        return {**self.widths, **of_tokens, "element": self.n, "both": 2 * self.widths["d_model"]}

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every parameter, by its name."""
        return {parameter.name: parameter.shape(self.sizes) for parameter in self.architecture.parameters}

    @cached_property
    def trained(self) -> tuple[Parameter, ...]:
        """The parameters that training changes."""
        return tuple(parameter for parameter in self.architecture.parameters if self.biases in parameter.trained_with)

    @property
    def computation(self) -> "Computation":
        """What computes it."""
        return self.architecture.computation()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the hooked model."""
        return self.architecture.settings(self)

    @property
    def embeddings(self) -> tuple[EmbeddingRows, ...]:
        """Where the elements are embedded, as the operands that they are."""
        return self.architecture.embeddings(self)

    @property
    def site_size(self) -> int:
        """How many numbers lie at all sites that a snapshot holds, for each pair."""
        return sum(prod(self.sizes[axis] for axis in site.axes) for site in self.architecture.kept_sites)

    def site(self, name: str) -> Site | None:
        """The site called `name`; None where the architecture has none."""
        return next((site for site in self.architecture.sites if site.name == name), None)

    def why_lacking(self, name: str) -> str:
        """Why there is no site or role called `name`; '' where there is one."""
        if why := self.architecture.why_no_role(self, name):
            return why
        if name in self.architecture.roles or self.site(name):
            return ""
        words = name.replace("_", " ")
        return f"the network has no {words}: it is {self.architecture.said}"

    def refuse_other_shapes(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Refuse weights that do not belong to it.

        Raises:
            GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
        """
        for problem, names in (
            ("lack", self.shapes.keys() - shapes.keys()),
            ("hold the unknown", shapes.keys() - self.shapes.keys()),
        ):
            if names:
                raise GrokvizError(
                    f"the weights {problem} {', '.join(sorted(names))}; they do not belong to this configuration"
                )
        for name, shape in shapes.items():
            if tuple(shape) != self.shapes[name]:
                raise GrokvizError(
                    f"{name} has the shape {tuple(shape)}, but the configuration asks for {self.shapes[name]}"
                )
