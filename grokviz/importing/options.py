"""What may be told of networks that are imported, where their files do not say it or it cannot be found. No torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from grokviz.checks import as_path, number, one_of, seed_number, shown, whole
from grokviz.config import MAX_P, SPLITS, Operation
from grokviz.errors import GrokvizError, flag
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import OperandTokens
from grokviz.tasks.train_pairs import WANTED

if TYPE_CHECKING:
    from grokviz.tasks.train_pairs import TrainPairs as GivenPairs
else:  # the command line is made of the annotations, and there it is a file
    GivenPairs = Path


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What is known of the networks. What is not given is read off the files, or found."""

    operation: Operation | None = None
    """Operation that they were trained on; found by their answers if not given. Or a function of your own,
    package.module:function."""
    p: int | None = None
    """Modulus; the number of elements, or what gives so many, if not given."""
    split: str | None = None
    """What drew the train pairs: randperm, python_shuffle, numpy_permutation; found, if not given, by how well they are fitted.
    'unknown' leaves them unknown."""
    split_seed: int | None = None
    """Seed of the split; found if not given."""
    train_fraction: float | None = None
    """Fraction of all pairs that was trained on; found if not given."""
    train_pairs: GivenPairs | None = None
    """File of the pairs that were trained on: indices a * n + b, or pairs a b a line, or a mask of all pairs; as text, JSON or
    .npy. In Python also the indices, the pairs or the mask themselves."""
    config: Path | None = None
    """JSON file of the configuration that they were trained with; what it states goes before what is found."""
    epochs: tuple[int, ...] | None = None
    """Epochs of the files, one for each; read off the files, or off the numbers in their names, if not given."""
    attention_coefficient: float | None = None
    """Share of the softmax in attention, of networks of the pizza paper, in which the rest of it is constant."""
    heads: int | None = None
    """Number of heads, where the tensors do not say it, as those of TransformerLens 4; found if not given."""
    activation: str | None = None
    """Activation of the neurons, relu or gelu, which tensors do not tell; relu, if it is neither given nor stated."""
    operand_tokens: OperandTokens | None = None
    """Whether both operands have the same tokens ('shared'), or those of b come after those of a ('apart'); if not given, told by
    the numbers of tokens and classes, or by how well the network fits its pairs."""

    def __post_init__(self) -> None:
        if self.p is not None:
            whole("p", self.p, least=3, most=MAX_P)
        if self.split is not None:
            one_of("split", self.split, SPLITS)
        if self.split_seed is not None:
            seed_number("split_seed", self.split_seed)
        for name in ("train_fraction", "attention_coefficient"):
            value = getattr(self, name)
            if value is not None and not 0 <= number(name, value) <= 1:
                raise GrokvizError(f"{name} is {value}, but must lie in [0, 1]")
        if self.train_fraction in (0, 1):
            raise GrokvizError(f"train_fraction is {self.train_fraction}, but train and test each need pairs")
        if self.activation is not None:
            one_of("activation", self.activation, ACTIVATIONS)
        if self.operand_tokens is not None:
            one_of("operand_tokens", self.operand_tokens, get_args(OperandTokens))
        if self.heads is not None:
            whole("heads", self.heads, least=1)
        if self.config is not None:
            object.__setattr__(self, "config", as_path("config", self.config))
        if isinstance(self.train_pairs, str | PathLike):
            object.__setattr__(self, "train_pairs", as_path("train_pairs", self.train_pairs))
        elif self.train_pairs is not None and not isinstance(self.train_pairs, Iterable):
            raise GrokvizError(f"train_pairs is {shown(self.train_pairs)}, but must be {WANTED}, or a file of these")
        if self.epochs is not None:
            if not isinstance(self.epochs, Sequence):
                raise GrokvizError(f"epochs is {shown(self.epochs)}, but must be whole numbers, one for each file")
            object.__setattr__(self, "epochs", tuple(whole("epochs", epoch, least=0) for epoch in self.epochs))
        drawn = [name for name in ("split", "split_seed", "train_fraction") if getattr(self, name) is not None]
        if self.train_pairs is not None and drawn:
            raise GrokvizError(f"train_pairs are given, which {drawn[0]} would give otherwise; give one of them")
        if self.split == "unknown" and len(drawn) > 1:
            raise GrokvizError(f"split is unknown, but {drawn[1]} is given; give one of them")

    def flags(self) -> list[str]:
        """The options that are given, as on the command line."""
        words: list[str] = []
        for name, value in vars(self).items():
            if name == "train_pairs" and value is not None and not isinstance(value, Path):
                words += [flag(name), "FILE OF THE PAIRS THAT WERE GIVEN"]
            elif value is not None:
                words += [flag(name), *map(str, value if isinstance(value, tuple) else (value,))]
        return words
