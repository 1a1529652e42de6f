"""The section of the model: what the network is made of, and how it begins."""

from dataclasses import dataclass
from typing import Literal, get_args

from grokviz.checks import one_of, seed_number, whole
from grokviz.config.section import Section, put, refusing_unknown_fields
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import Biases, OperandTokens
from grokviz.models.architectures import ARCHITECTURES

Initialisation = Literal["notebook", "nanda2023", "transformer_lens", "unknown"]
OutputVocabulary = Literal["tokens", "answers"]

PURE_NEURON = 0.85
"""A neuron is pure if more than this share of its variance is at one frequency; an ideal ReLU neuron has 0.962."""


@refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The network: an architecture, its sizes and options. The one-layer transformer has no LayerNorm, and is read at its last
    position.
    """

    architecture: str = "transformer"
    """What the network is made of: 'transformer', one layer of attention and MLP."""
    activation: str = "relu"
    """What neurons make of their input: 'relu', or 'gelu', which the engines torch and reference train."""
    operand_tokens: OperandTokens = "shared"
    """Whether a and b have the same n tokens ('shared'), or those of b come after those of a ('apart'), which the engines torch
    and reference train."""
    d_model: int = 128
    """Width of the residual stream."""
    n_heads: int = 4
    """Attention heads."""
    d_head: int = 32
    """Width of a head."""
    d_mlp: int = 512
    """Neurons of the MLP."""
    output_vocabulary: OutputVocabulary = "tokens"
    """What the unembedding scores: 'tokens' (the n answers and '=') or 'answers' (those alone)."""
    positions: int = 3
    """What it reads: 3 for a, b and '='; 2 for a and b alone, as an imported network may."""
    biases: Biases = "mlp_in"
    """Biases that are trained, from zero: 'mlp_in' (b_in, before the activation), 'mlp' (b_in and b_out) or 'none'; 'all' for an
    imported network with others."""
    initialisation: Initialisation = "notebook"
    """Initial weights: 'notebook' draws every matrix from N(0, 1/d_model) and W_U from N(0, 1/d_vocab), in the order and
    orientation of the notebook and of Nanda et al.'s code; 'nanda2023' draws from the same distributions in
    TransformerLens' orientation, so other numbers; 'transformer_lens' draws every matrix from N(0, 0.64/d_model). 'unknown'
    for an imported network."""
    seed: int | None = None
    """Seed of the initial weights; if not given, they are drawn from the generator of the split, which goes on after it."""

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("operand_tokens", self.operand_tokens, get_args(OperandTokens))
        for name in ("d_model", "n_heads", "d_head", "d_mlp"):
            put(self, **{name: whole(name, getattr(self, name), least=1, most=10**6, limit="no machine holds more")})
        put(self, positions=whole("positions", self.positions, least=2, most=3, limit="a, b and '='"))
        one_of("output_vocabulary", self.output_vocabulary, get_args(OutputVocabulary))
        one_of("biases", self.biases, get_args(Biases))
        one_of("initialisation", self.initialisation, get_args(Initialisation))
        if self.seed is not None:
            put(self, seed=seed_number("seed", self.seed))
