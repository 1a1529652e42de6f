"""The section of the task: what is learned, and from which pairs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from grokviz.checks import number, one_of, seed_number, shown, whole
from grokviz.config.section import Section, put, refusing_unknown_fields
from grokviz.errors import GrokvizError, LackingError
from grokviz.tasks.given_split import GIVEN, SPLIT_UNKNOWN, GivenSplit
from grokviz.tasks.group_operation import GroupOperation
from grokviz.tasks.groups import group_named, is_name_of_group
from grokviz.tasks.operations import operation_named
from grokviz.tasks.own_operation import OwnOperation, recorded
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.task import Task, task_of
from grokviz.tasks.train_pairs import TrainPairs, train_indices

MAX_P = 2**15
DEFAULT_P = 97

Labels = Literal["own", "permuted"]

MAX_LABELS_SEED = 2**32 - 1

SPLITS = (*RECIPES, "unknown")
"""The names of splits: the recipes that draw one, and that of an imported network of which it is not known."""

Split = str | GivenSplit
"""How a split is given: by the recipe that draws it, or pair by pair."""

Operation = str | GroupOperation | Callable[[int, int, int], int]
"""How an operation is given: by its name, or that of a group; as the group that was read off a network; as
'package.module:function', or as a function (a, b, p) -> residue mod p. The last two become an `OwnOperation`, which holds the
answers.
"""


@refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class TaskConfig(Section):
    """The task: an operation on pairs of elements, and which pairs are trained on."""

    operation: Operation = "addition"
    """Operation on the pair (a, b): addition, subtraction, multiplication (of the residues that have an inverse),
    multiplication_with_zero (of all), x2_xy_y2 (a² + ab + b²); all mod p. Or the product of a group: C12, D59, S5, A5, Q8, C4xC6.
    Or a function of your own, package.module:function, called as function(a, b, p)."""
    p: int | None = None
    """Modulus: operands and answers are residues mod p; 97 if not given. A group has none."""
    train_fraction: float | None = 0.3
    """Fraction of all pairs used for training; the rest form the test set. None where the split is given or unknown."""
    split_seed: int | None = 1412388651
    """Seed of the train/test split; this one is the notebook's. None where the split is given or unknown."""
    split: Split = "randperm"
    """What draws the split: 'randperm' (torch, as the notebook and Chughtai et al. 2023), 'python_shuffle' (random.shuffle, as
    Nanda et al. 2023), 'numpy_permutation', or 'unknown', which an imported network may have, and nothing trains on. Or pair by
    pair, in the word that a report prints."""

    labels: Labels = "own"
    """Which answers count as right: those of the operation ('own'), or these shuffled over the pairs ('permuted'), each as often
    as before: then the train pairs say nothing of the others, and measures are of a network that can only memorise."""
    labels_seed: int | None = None
    """Seed of the shuffling of permuted labels; 0 if not given."""

    def __post_init__(self) -> None:
        if has_modulus(self.operation):
            why, limit = "a frequency needs at least three elements", "every step handles all p² pairs"
            p = whole("p", DEFAULT_P if self.p is None else self.p, least=3, most=MAX_P, why=why, limit=limit)
            put(self, p=p, operation=_operation(self.operation, p))
        elif self.p is not None:
            raise GrokvizError(
                f"p is {shown(self.p)}, but a group, as operation {self.operation} is, has no modulus; leave it out"
            )
        elif isinstance(self.operation, str):
            put(self, operation=group_named(self.operation).name)
        one_of("labels", self.labels, get_args(Labels))
        if self.labels == "permuted":
            seed = (
                0 if self.labels_seed is None else whole("labels_seed", self.labels_seed, least=0, most=MAX_LABELS_SEED)
            )
            put(self, labels_seed=seed)
        elif self.labels_seed is not None:
            raise GrokvizError(
                f"labels_seed is {shown(self.labels_seed)}, but labels are own; leave it out, or choose permuted labels"
            )
        if self.task.n < 3:
            n, needs = self.task.n, "a frequency needs at least three"
            if self.p is None:
                raise GrokvizError(f"group {self.operation} has {n} elements; choose a larger one: {needs}")
            raise GrokvizError(f"p is {self.p}, which leaves {self.operation} {n} elements; choose a larger p: {needs}")
        if isinstance(self.split, str) and self.split.startswith(GIVEN):
            put(self, split=GivenSplit.from_word(self.split))
        if isinstance(self.split, GivenSplit) or self.split == "unknown":
            self._refuse_drawn_split()
            return
        one_of("split", self.split, SPLITS)
        put(self, train_fraction=number("train_fraction", self.train_fraction))
        if not 0 < self.known_fraction < 1:
            raise GrokvizError(
                f"train_fraction is {self.train_fraction}, but must lie between 0 and 1, both excluded: "
                "train and test each need pairs"
            )
        if not 0 < self.n_train < self.n_pairs:
            raise GrokvizError(
                f"train_fraction is {self.train_fraction}, which of {self.task.law.said} leaves {self.n_train} of {self.n_pairs} "
                "pairs to train on; choose one that leaves pairs on both sides"
            )
        put(self, split_seed=seed_number("split_seed", self.split_seed))

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
        assert isinstance(self.operation, str | OwnOperation | GroupOperation)
        return task_of(self.operation, self.p, self.labels_seed)

    def to_dict(self) -> dict[str, Any]:
        """The section as a dictionary of plain values, for JSON."""
        own = {
            name: value.to_dict()
            for name, value in vars(self).items()
            if isinstance(value, OwnOperation | GroupOperation | GivenSplit)
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


def has_modulus(operation: Operation) -> bool:
    """Whether an operation is one on residues, and no group."""
    return not isinstance(operation, GroupOperation) and not (
        isinstance(operation, str) and is_name_of_group(operation)
    )


def _operation(operation: Any, p: int) -> str | OwnOperation:
    if isinstance(operation, OwnOperation):
        return operation.at(p)
    if callable(operation) or (isinstance(operation, str) and ":" in operation):
        return recorded(operation, p)
    return operation_named(operation).name
