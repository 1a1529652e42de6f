"""The section of the model: what the network is made of, and how it begins."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from grokviz.checks import one_of, seed_number, shown, whole
from grokviz.config.section import Section, put, refusing_unknown_fields
from grokviz.errors import GrokvizError
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import Biases, Blueprint, OperandTokens
from grokviz.models.architectures import ARCHITECTURES

Initialisation = Literal["notebook", "nanda2023", "transformer_lens", "fan_in", "unknown"]
OutputVocabulary = Literal["tokens", "answers"]

PURE_NEURON = 0.85
"""A neuron is pure if more than this share of its variance is at one frequency; an ideal ReLU neuron has 0.962."""

AS_THE_ARCHITECTURE: Any = None
"""The default of a field that each architecture has a value of its own for, which it then gets."""


@refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The network: an architecture, its sizes and options. The one-layer transformer has no LayerNorm, and is read at its last
    position.
    """

    architecture: str = "transformer"
    """What the network is made of: 'transformer', one layer of attention and MLP; 'mlp', an embedding for each operand and one
    hidden layer; 'mlp_tied', the same with one embedding for both."""
    activation: str = "relu"
    """What neurons make of their input: 'relu', or 'gelu', which the engines torch and reference train; of an mlp also
    'square'."""
    operand_tokens: OperandTokens = "shared"
    """Whether a and b have the same n tokens ('shared'), or those of b come after those of a ('apart'), which the engines torch
    and reference train."""
    d_model: int = 128
    """Width of the residual stream; of an mlp, of an embedding."""
    n_heads: int | None = None
    """Attention heads; 4 if not given. An mlp has none."""
    d_head: int | None = None
    """Width of a head; 32 if not given. An mlp has none."""
    d_mlp: int = 512
    """Neurons of the MLP."""
    output_vocabulary: OutputVocabulary = AS_THE_ARCHITECTURE
    """What the unembedding scores: 'tokens' (the n answers and '=') or 'answers' (those alone, as of an mlp); tokens if not
    given."""
    positions: int = AS_THE_ARCHITECTURE
    """What it reads: 3 for a, b and '='; 2 for a and b alone, as an mlp does and an imported network may; 3 if not given."""
    biases: Biases = AS_THE_ARCHITECTURE
    """Biases that are trained, from zero: 'mlp_in' (before the activation), 'mlp' (b_in and b_out) or 'none'; 'all' for an
    imported network with others. If not given, mlp_in of a transformer and none of an mlp."""
    initialisation: Initialisation = AS_THE_ARCHITECTURE
    """Initial weights: 'notebook' draws every matrix from N(0, 1/d_model) and W_U from N(0, 1/d_vocab), in the order and
    orientation of the notebook and of Nanda et al.'s code; 'nanda2023' draws from the same distributions in
    TransformerLens' orientation, so other numbers; 'transformer_lens' draws every matrix from N(0, 0.64/d_model); 'fan_in', of an
    mlp, every matrix from N(0, 1/the width of what it reads). If not given, notebook, and of an mlp fan_in. 'unknown' for an
    imported network."""
    seed: int | None = None
    """Seed of the initial weights; if not given, they are drawn from the generator of the split, which goes on after it."""

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        architecture = ARCHITECTURES[self.architecture]
        for name, value in architecture.defaults.items():
            if getattr(self, name) is None:
                put(self, **{name: value})
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("operand_tokens", self.operand_tokens, get_args(OperandTokens))
        one_of("output_vocabulary", self.output_vocabulary, get_args(OutputVocabulary))
        one_of("biases", self.biases, get_args(Biases))
        one_of("initialisation", self.initialisation, get_args(Initialisation))
        for name, allowed in architecture.allowed.items():
            self._refuse_other(name, allowed)
        for name in ("d_model", "n_heads", "d_head", "d_mlp"):
            if getattr(self, name) is not None:
                put(
                    self, **{name: whole(name, getattr(self, name), least=1, most=10**6, limit="no machine holds more")}
                )
        put(self, positions=whole("positions", self.positions, least=2, most=3, limit="a, b and '='"))
        if self.seed is not None:
            put(self, seed=seed_number("seed", self.seed))

    @classmethod
    def of(cls, blueprint: Blueprint) -> "ModelConfig":
        """The section of a network that grokviz did not initialise."""
        widths = blueprint.widths
        return cls(
            architecture=blueprint.architecture.name,
            activation=blueprint.activation.name,
            operand_tokens=blueprint.operand_tokens,
            d_model=widths["d_model"],
            n_heads=widths.get("head"),
            d_head=widths.get("d_head"),
            d_mlp=widths["neuron"],
            output_vocabulary="answers" if blueprint.sizes["class"] == blueprint.n else "tokens",
            positions=blueprint.positions,
            biases=blueprint.biases,
            initialisation="unknown",
        )

    def _refuse_other(self, name: str, allowed: tuple[Any, ...]) -> None:
        """Refuse what an architecture cannot be.

        Raises:
            GrokvizError: the message says what it can.
        """
        value = getattr(self, name)
        if value in allowed:
            return
        if allowed == (None,):
            raise GrokvizError(f"{name} is {shown(value)}, but architecture {self.architecture} has none; leave it out")
        ways = " or ".join(map(str, allowed))
        raise GrokvizError(f"{name} is {shown(value)}, but of architecture {self.architecture} it is {ways}")
