"""The configuration of a run: frozen dataclasses that refuse nonsense, the presets, and their JSON form.

The docstring under a field is its documentation and its help on the command line.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, wraps
from typing import Any, Literal, TypeVar, cast, get_args

from grokviz.checks import choose, number, one_of, plain_number, same_names, seed_number, shown, whole
from grokviz.config.optimizers import OPTIMIZERS
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import Biases, Blueprint, OperandTokens
from grokviz.models.architectures import ARCHITECTURES
from grokviz.tasks.given_split import GIVEN, SPLIT_UNKNOWN, GivenSplit
from grokviz.tasks.operations import operation_named
from grokviz.tasks.own_operation import OwnOperation, recorded
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.task import Task, task_of
from grokviz.tasks.train_pairs import TrainPairs, train_indices

S = TypeVar("S")

Initialisation = Literal["notebook", "nanda2023", "transformer_lens", "unknown"]
OutputVocabulary = Literal["tokens", "answers"]
EngineName = Literal["auto", "fused", "torch", "reference"]

WHERE = ("device", "engine", "threads")
"""Where a run is trained: it may go on elsewhere than before, which may change the last bits. Those of an engine with threads of
its own are the same on any number.
"""

HELD_EVALUATIONS = 3
"""An accuracy counts as reached when it holds in this many evaluations in a row."""

PURE_NEURON = 0.85
"""A neuron is pure if more than this share of its variance is at one frequency; an ideal ReLU neuron has 0.962."""

MAX_P = 2**15

SPLITS = (*RECIPES, "unknown")
"""The names of splits: the recipes that draw one, and that of an imported network of which it is not known."""

Split = str | GivenSplit
"""How a split is given: by the recipe that draws it, or pair by pair."""

Operation = str | Callable[[int, int, int], int]
"""How an operation is given: by its name, as 'package.module:function', or as a function (a, b, p) -> residue mod p. The last
two become an `OwnOperation`, which holds the answers.
"""


def _refusing_unknown_fields(section: type[S]) -> type[S]:
    """Make a section refuse a field that it does not have with the nearest, and with the section where it belongs."""
    made = section.__init__

    @wraps(made)
    def init(self: Any, **values: Any) -> None:
        names = [part.name for part in fields(cast(Any, section))]
        for name in values:
            if name not in names:
                raise GrokvizError(f"{section.__name__} has no field {name!r}; {_place_of(name, names)}")
        made(self, **values)

    section.__init__ = init  # type: ignore[method-assign]
    return section


def _place_of(name: str, names: list[str]) -> str:
    for section in SECTIONS.values():
        if name in (part.name for part in fields(section)):
            return f"{section.__name__} has it"
    return choose(name, names, most=len(names))


@_refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """The task: an operation on pairs of integers mod p, and which pairs are trained on."""

    operation: Operation = "addition"
    """Operation on the pair (a, b): addition, subtraction, multiplication (of the residues that have an inverse),
    x2_xy_y2 (a² + ab + b²); all mod p. Or a function of your own, package.module:function, called as function(a, b, p)."""
    p: int = 97
    """Modulus: operands and answers are residues mod p."""
    train_fraction: float | None = 0.3
    """Fraction of all pairs used for training; the rest form the test set. None where the split is given or unknown."""
    split_seed: int | None = 1412388651
    """Seed of the train/test split; this one is the notebook's. None where the split is given or unknown."""
    split: Split = "randperm"
    """What draws the split: 'randperm' (torch, as the notebook and Chughtai et al. 2023), 'python_shuffle' (random.shuffle, as
    Nanda et al. 2023), 'numpy_permutation', or 'unknown', which an imported network may have, and nothing trains on. Or pair by
    pair, in the word that a report prints."""

    def __post_init__(self) -> None:
        why, limit = "a frequency needs at least three elements", "every step handles all p² pairs"
        p = whole("p", self.p, least=3, most=MAX_P, why=why, limit=limit)
        _set(self, p=p, operation=_operation(self.operation, p))
        if self.task.n < 3:
            raise GrokvizError(
                f"p is {self.p}, which leaves {self.operation} {self.task.n} elements; choose a larger p: "
                "a frequency needs at least three"
            )
        if isinstance(self.split, str) and self.split.startswith(GIVEN):
            _set(self, split=GivenSplit.from_word(self.split))
        if isinstance(self.split, GivenSplit) or self.split == "unknown":
            self._refuse_drawn_split()
            return
        one_of("split", self.split, SPLITS)
        _set(self, train_fraction=number("train_fraction", self.train_fraction))
        if not 0 < self.known_fraction < 1:
            raise GrokvizError(
                f"train_fraction is {self.train_fraction}, but must lie between 0 and 1, both excluded: "
                "train and test each need pairs"
            )
        if not 0 < self.n_train < self.n_pairs:
            raise GrokvizError(
                f"train_fraction is {self.train_fraction}, which at p = {self.p} leaves {self.n_train} of {self.n_pairs} "
                "pairs to train on; choose one that leaves pairs on both sides"
            )
        _set(self, split_seed=seed_number("split_seed", self.split_seed))

    def _refuse_drawn_split(self) -> None:
        """Refuse what would draw a split, of one that is not drawn."""
        for name in ("train_fraction", "split_seed"):
            if getattr(self, name) is not None:
                raise GrokvizError(f"{name} is {getattr(self, name)}, but the split is {self.split}: let it be None")
        if not isinstance(self.split, GivenSplit):
            return
        if self.split.n_pairs != self.n_pairs:
            raise GrokvizError(f"the given split is of {self.split.n_pairs} pairs, but the task has {self.n_pairs}")
        if not 0 < self.split.n_train < self.n_pairs:
            raise GrokvizError(
                f"the given split trains on {self.split.n_train} of {self.n_pairs} pairs; train and test each need at least one"
            )

    def trained_on(self, train_pairs: TrainPairs) -> "TaskConfig":
        """The task with the split that trains on these pairs: indices a * n + b, pairs (a, b) of tokens, a mask of all pairs, or
        a file of one of these.

        >>> TaskConfig(p=5).trained_on([(0, 1), (4, 4)]).n_train
        2

        Raises:
            GrokvizError: they are none, or leave no pair on one side.
        """
        split = GivenSplit.of(train_indices(train_pairs, self.task.n).tolist(), self.n_pairs)
        return replace(self, split=split, train_fraction=None, split_seed=None)

    @property
    def task(self) -> Task:
        """What is learned, with its pairs, answers and harmonics."""
        assert isinstance(self.operation, str | OwnOperation)
        return task_of(self.operation, self.p)

    def to_dict(self) -> dict[str, Any]:
        """The section as a dictionary of plain values, for JSON."""
        own = {
            name: value.to_dict() for name, value in vars(self).items() if isinstance(value, OwnOperation | GivenSplit)
        }
        return {**vars(self), **own}

    @property
    def n_pairs(self) -> int:
        """Number of pairs: n² for n elements."""
        return self.task.n**2

    @property
    def n_train(self) -> int:
        """Number of train pairs: floor(train_fraction * n²), or as many as are given.

        Raises:
            LackingError: the split is unknown.
        """
        if isinstance(self.split, GivenSplit):
            return self.split.n_train
        return int(self.known_fraction * self.n_pairs)

    @property
    def known_fraction(self) -> float:
        """Fraction of all pairs that are trained on.

        Raises:
            LackingError: the split is unknown.
        """
        if self.split == "unknown":
            raise LackingError(SPLIT_UNKNOWN)
        return self.n_train / self.n_pairs if self.train_fraction is None else self.train_fraction

    @property
    def split_in_words(self) -> str:
        """How many pairs are trained on, as far as that is known."""
        if self.split == "unknown":
            return f"{self.n_pairs:,} pairs, of which it is not known which were trained on"
        return f"{self.n_train:,} of {self.n_pairs:,} pairs trained on"


@_refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
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
            _set(self, **{name: whole(name, getattr(self, name), least=1, most=10**6, limit="no machine holds more")})
        _set(self, positions=whole("positions", self.positions, least=2, most=3, limit="a, b and '='"))
        one_of("output_vocabulary", self.output_vocabulary, get_args(OutputVocabulary))
        one_of("biases", self.biases, get_args(Biases))
        one_of("initialisation", self.initialisation, get_args(Initialisation))
        if self.seed is not None:
            _set(self, seed=seed_number("seed", self.seed))


@_refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Full-batch training on the cross-entropy of the last position, and what is kept of it."""

    epochs: int = 30_000
    """Epochs; one epoch is one full-batch optimiser step."""
    optimizer: str = "adamw"
    """Optimiser: adamw, adam (weight decay as an L2 penalty), sgd (likewise), or muon (for the matrices of attention and
    MLP, each head's by itself; adamw for the embeddings and the unembedding)."""
    learning_rate: float = 1e-3
    """Learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay rates of the two moments of adamw and adam; the first is the momentum of sgd and muon."""
    weight_decay: float = 1.0
    """Weight decay; grokking needs it."""
    warmup_epochs: int = 0
    """Epochs over which the learning rate rises linearly from 0."""
    test_every: int = 10
    """Epochs between evaluations of the test loss."""
    checkpoint_every: int = 200
    """Epochs between regular checkpoints."""
    geometric_checkpoints: int = 60
    """Number of additional checkpoints, at geometrically spaced epochs. The first and the last epoch are always kept."""
    stop_after: int | None = None
    """Stop this many epochs after the test accuracy first reaches stop_accuracy and holds it."""
    stop_accuracy: float = 0.99
    """Test accuracy that stop_after waits for, in 3 evaluations in a row."""
    engine: EngineName = "auto"
    """What computes the loss and its gradients: fused (a kernel in C++, on the CPU), torch (the same function without a
    compiler, and on a GPU), reference (autograd through the HookedTransformer itself) or auto (fused where it can be had,
    else torch)."""
    device: str = "cpu"
    """Device to train on, as torch names it: cpu, cuda, cuda:1, ..."""
    threads: int | None = None
    """Number of CPU threads while training; torch decides if not given."""

    def __post_init__(self) -> None:
        _set(self, epochs=whole("epochs", self.epochs, least=1, most=10**9, limit="that would take weeks"))
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("engine", self.engine, get_args(EngineName))
        for name in ("learning_rate", "weight_decay", "stop_accuracy"):
            _set(self, **{name: number(name, getattr(self, name))})
        if self.learning_rate <= 0:
            raise GrokvizError(f"learning_rate is {self.learning_rate}, but must be above 0; 0.001 is usual")
        _set(self, betas=_betas(self.betas))
        if self.weight_decay < 0:
            raise GrokvizError(f"weight_decay is {self.weight_decay}, but must not be negative; 1.0 is usual")
        _set(self, warmup_epochs=whole("warmup_epochs", self.warmup_epochs, least=0))
        for name in ("test_every", "checkpoint_every"):
            _set(self, **{name: whole(name, getattr(self, name), least=1)})
        checkpoints, limit = self.geometric_checkpoints, "each checkpoint is a file"
        checkpoints = whole("geometric_checkpoints", checkpoints, least=0, most=10_000, limit=limit)
        _set(self, geometric_checkpoints=checkpoints)
        if self.stop_after is not None:
            _set(self, stop_after=whole("stop_after", self.stop_after, least=0))
        if not 0 < self.stop_accuracy <= 1:
            raise GrokvizError(f"stop_accuracy is {self.stop_accuracy}, but must lie in (0, 1]; 0.99 is usual")
        if type(self.device).__module__ == "torch":
            _set(self, device=str(self.device))
        if not isinstance(self.device, str) or not self.device:
            raise GrokvizError(f"device is {shown(self.device)}, but must be a device of torch, such as cpu or cuda")
        if self.threads is not None:
            _set(self, threads=whole("threads", self.threads, least=1, most=1024, limit="no machine has more"))


def _set(section: Any, **values: Any) -> None:
    """Put the plain values in the place of those that were given, while a frozen section is made."""
    for name, value in values.items():
        object.__setattr__(section, name, value)


def _operation(operation: Any, p: int) -> str | OwnOperation:
    if isinstance(operation, OwnOperation):
        return operation.at(p)
    if callable(operation) or (isinstance(operation, str) and ":" in operation):
        return recorded(operation, p)
    return operation_named(operation).name


def _betas(given: Any) -> tuple[float, float]:
    try:
        betas = [plain_number(beta) for beta in given]
    except TypeError:
        betas = []
    if len(betas) != 2 or None in betas:
        raise GrokvizError(f"betas is {shown(given)}, but must be two numbers; 0.9 0.98 is usual")
    first, second = (number("betas", beta) for beta in betas)
    if not (0 <= first < 1 and 0 <= second < 1):
        raise GrokvizError(f"betas is {(first, second)}, but both must lie in [0, 1); 0.9 0.98 is usual")
    return first, second


SECTIONS = {"task": TaskConfig, "model": ModelConfig, "training": TrainingConfig}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run.

    >>> config = RunConfig(task=TaskConfig(p=31, operation="subtraction"))
    >>> config.d_vocab, config.task.n_train
    (32, 288)
    """

    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig | None = field(default_factory=TrainingConfig)
    """None for an imported network, of which it is not known how it was trained."""

    def __post_init__(self) -> None:
        for name, section in SECTIONS.items():
            if not isinstance(getattr(self, name), section) and not (name == "training" and self.training is None):
                raise GrokvizError(f"{name} is {shown(getattr(self, name))}, but must be a {section.__name__}(...)")

    @cached_property
    def blueprint(self) -> Blueprint:
        """What the network is made of, with all sizes."""
        model = self.model
        return Blueprint(
            architecture=ARCHITECTURES[model.architecture],
            n=self.task.task.n,
            positions=model.positions,
            operand_tokens=model.operand_tokens,
            answers_alone=model.output_vocabulary == "answers",
            activation=ACTIVATIONS[model.activation],
            biases=model.biases,
            widths={"d_model": model.d_model, "head": model.n_heads, "d_head": model.d_head, "neuron": model.d_mlp},
        )

    @property
    def equals_token(self) -> int | None:
        """The token '=', which stands after the two operands: the one after theirs; None where none does."""
        return self.blueprint.equals_token

    @property
    def d_vocab(self) -> int:
        """Number of input tokens: those of the operands, and '=' if it is read."""
        return self.blueprint.sizes["vocab"]

    @property
    def d_vocab_out(self) -> int:
        """Number of classes that the unembedding scores."""
        return self.blueprint.sizes["class"]

    def with_training(self, **changes: Any) -> "RunConfig":
        """The configuration with other values in its training section."""
        return replace(self, training=replace(self.known_training, **changes))

    @property
    def known_training(self) -> TrainingConfig:
        """The training section.

        Raises:
            LackingError: it is not known how the network was trained.
        """
        if self.training is None:
            raise LackingError("it is not known how the network was trained: it was imported")
        return self.training

    def to_dict(self) -> dict[str, Any]:
        """The configuration as nested dictionaries of plain values, for JSON."""
        training = None if self.training is None else asdict(self.training)
        return {"task": self.task.to_dict(), "model": asdict(self.model), "training": training}

    def outline(self) -> dict[str, Any]:
        """The configuration for people: as `to_dict`, but an operation of one's own by its name, and a given split in words."""
        values = self.to_dict()
        return {
            **values,
            "task": {**values["task"], "operation": str(self.task.operation), "split": str(self.task.split)},
        }

    @classmethod
    def from_dict(cls, values: Any) -> "RunConfig":
        """The configuration that `to_dict` wrote.

        Raises:
            GrokvizError: a section or field is unknown, missing or senseless; the message names it.
        """
        same_names("config", values, set(SECTIONS))
        parts: dict[str, Any] = {}
        for name, section in SECTIONS.items():
            if name == "training" and values[name] is None:
                parts[name] = None
                continue
            same_names(f"config section '{name}'", values[name], {f.name for f in fields(section)})
            parts[name] = section(**{field: _read(field, value) for field, value in values[name].items()})
        return cls(**parts)


def _read(name: str, value: Any) -> Any:
    """The value of a field as a file has it. An operation there is a name, or one's own with its answers: nothing that a
    file names is imported. A split is a recipe, or given pair by pair.
    """
    if name == "operation":
        return operation_named(value).name if isinstance(value, str) else OwnOperation.from_dict(value)
    if name == "split" and not isinstance(value, str):
        return GivenSplit.from_dict(value)
    return value
