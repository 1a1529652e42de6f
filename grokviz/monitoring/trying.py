"""A copy of a module, tried as one network after another.

A copy of the module is filled with random numbers, part after part, and run; a reading holds if our exact forward gives the same
logits with the same numbers read so. So names need not mean anything, what is zero at the start is told apart all the same, and a
module that computes anything else than its tensors say is found out. First come the parts that act where attention writes
nothing, then values and outputs under equal attention, then queries, keys and the number of heads, then each bias by itself; in
the end all at once, and the module as it is.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.models.architecture import Architecture, OperandTokens
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import TRANSFORMER
from grokviz.models.weights import Weights
from grokviz.monitoring.candidates import ATTENTION, Candidates, Part
from grokviz.monitoring.found import Found, sizes_in
from grokviz.monitoring.modules import Copy, Tensors, relative
from grokviz.monitoring.readings import Readings

EQUAL = 1e-5
"""Difference of logits, as a share of the largest, up to which two forwards are one."""
PAIRS = 32
"""Pairs that a copy is asked for."""


class Problem:
    """How far the search came, and what was wrong there. A class, because each attempt adds to it."""

    def __init__(self) -> None:
        self.stage = -1.0
        self.said = ""

    def at(self, stage: float, said: str) -> None:
        """Keep what is wrong at the furthest stage."""
        if stage > self.stage:
            self.stage, self.said = stage, said


@dataclass(frozen=True)
class Trial:
    """A copy of a module, tried as a network of one shape, asked in one way."""

    copy: Copy
    candidates: Candidates
    """What its tensors may be: the copy's own memory."""
    problem: Problem
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def found(self) -> Found | None:
        """How the copy is read; None where it cannot be."""
        own = {name: tensor.detach().clone() for name, tensor in self.candidates.sources.items()}
        try:
            for architecture in (TRANSFORMER,) if self.candidates.shape.positions else (MLP, MLP_TIED):
                for part in self._matrices(architecture):
                    found = self._finished(architecture, part, own)
                    if found is not None:
                        return found
            return None
        finally:
            self._put(own)

    def _matrices(self, architecture: Architecture) -> Iterator[Part]:
        if architecture is not TRANSFORMER:
            yield from self._agreeing(
                architecture, self.candidates.mlps(architecture), 1, "embeddings and hidden layer"
            )
            return
        for ends in self._agreeing(architecture, self.candidates.ends(), 1, "embedding and unembedding"):
            for outer in self._agreeing(architecture, self.candidates.hidden(ends), 2, "MLP"):
                if len(outer.attention) < 4:
                    yield from self._agreeing(architecture, self.candidates.fused(outer), 3, "attention")
                    continue
                for inner in self._agreeing(
                    architecture, self.candidates.values(outer), 3, "values and output of attention"
                ):
                    yield from self._agreeing(
                        architecture, self.candidates.queries(inner), 4, "queries and keys of attention"
                    )

    def _agreeing(self, architecture: Architecture, parts: Iterable[Part], stage: int, what: str) -> Iterator[Part]:
        """Those of `parts` with which our forward gives the copy's logits where all that is not read is zero."""
        nearest, tried = float("inf"), 0
        theirs: dict[frozenset[str], Tensor] = {}
        numbers: dict[frozenset[str], dict[str, Tensor]] = {}
        for part in parts:
            live = frozenset(reading.source for reading in part.readings.values())
            if live not in theirs:
                self._fill(live)
                theirs[live] = self._asked()
                numbers[live] = {name: self.candidates.sources[name].detach().clone() for name in live}
            difference = relative(self._ours(architecture, part, numbers[live]), theirs[live])
            tried += 1
            if difference < EQUAL:
                yield part
            nearest = min(nearest, difference)
        if not tried:
            self.problem.at(stage - 0.5, f"its tensors do not have the shapes of {what}")
        elif nearest >= EQUAL:
            said = f"the nearest of {tried:,} readings differs by {nearest:.1e} of the largest logit"
            self.problem.at(stage, f"no reading of its tensors as {what} gives its logits: {said}")

    def _finished(self, architecture: Architecture, part: Part, own: Tensors) -> Found | None:
        """The network of which all matrices are read, with its biases, held against the copy as it is."""
        rest = [name for name in self.candidates.sources if name not in {r.source for r in part.readings.values()}]
        for name in rest:
            bias = self._bias(architecture, part, name)
            if bias is None:
                said = f"{name} {tuple(self.candidates.sources[name].shape)}"
                self.problem.at(
                    5, f"its matrices are read, but {said} has no place: it is no bias of this architecture"
                )
                return None
            part = replace(part, readings={**part.readings, **bias})
        kinds: OperandTokens = "apart" if self.candidates.shape.apart else "shared"
        ordered = {
            p.short_name: part.readings[p.short_name] for p in architecture.parameters if p.short_name in part.readings
        }
        differences = []
        for numbers in (None, own):
            self._fill(self.candidates.sources) if numbers is None else self._put(numbers)
            differences.append(relative(self._ours(architecture, part, self.candidates.sources), self._asked()))
        if max(differences) >= EQUAL:
            self.problem.at(
                6, f"its own logits differ from those of its weights by {max(differences):.1e} of the largest"
            )
            return None
        return Found(
            architecture=architecture,
            activation=part.activation,
            operand_tokens=kinds,
            readings=ordered,
            asked=self.copy.asked,
            difference=max(differences),
            pairs=len(sample_of(self.candidates.shape.n)),
            by_names=bool(self.candidates.allowed),
        )

    def _bias(self, architecture: Architecture, part: Part, name: str) -> Readings | None:
        """What bias a tensor is: the one, or the several as its parts, with which our forward gives the copy's logits best."""
        live = {name, *(reading.source for reading in part.readings.values())}
        self._fill(live)
        theirs = self._asked()
        best: Readings | None = None
        least = EQUAL
        for candidate in self.candidates.biases(architecture, part, name):
            whole = replace(part, readings={**part.readings, **candidate})
            difference = relative(self._ours(architecture, whole, self.candidates.sources), theirs)
            if difference < least:
                best, least = candidate, difference
        return best

    def _ours(self, architecture: Architecture, part: Part, tensors: Tensors) -> Float[Tensor, "pair class"]:
        """The logits by our exact forward, with these numbers; attention that is not read yet is nothing."""
        found = {name: reading.of(tensors).detach() for name, reading in part.readings.items()}
        if architecture is TRANSFORMER:
            sizes = {"head": 1, "d_head": 1, "neuron": 1, **sizes_in(architecture, found)}
            found |= {
                name: torch.zeros([sizes[axis] for axis in TRANSFORMER.by_short_name[name].axes])
                for name in (*ATTENTION, "W_O", "W_in", "W_out")
                if name not in found
            }
            found = {name: values.to(found["W_E"].dtype) for name, values in found.items()}
        kind: OperandTokens = "apart" if self.candidates.shape.apart else "shared"
        weights = Weights(found, architecture, part.activation, kind)
        with torch.no_grad():
            return weights.blueprint.computation.forward(weights, sample_of(self.candidates.shape.n)).logits

    def _asked(self) -> Float[Tensor, "pair class"]:
        return self.copy.logits(sample_of(self.candidates.shape.n))

    def _fill(self, live: Collection[str]) -> None:
        """Put random numbers into the tensors `live`, and zero into all others."""
        self._put(
            {
                name: torch.randn(tensor.shape, generator=self.generator, dtype=tensor.dtype) * self._spread(tensor)
                if name in live
                else torch.zeros_like(tensor)
                for name, tensor in self.candidates.sources.items()
            }
        )

    def _spread(self, tensor: Tensor) -> float:
        """How large random numbers are: so that residual stream and scores are about 1, and patterns neither equal nor all at one
        source.
        """
        ends = {self.candidates.shape.vocab, self.candidates.shape.positions} & set(tensor.shape)
        return 1.0 if ends or tensor.squeeze().ndim < 2 else tensor.numel() ** -0.25

    @torch.no_grad()
    def _put(self, values: Tensors) -> None:
        for name, tensor in self.candidates.sources.items():
            tensor.copy_(values[name])


def sample_of(n: int) -> Int[Tensor, "pair operand"]:
    """Some pairs of elements, the last among them."""
    places = torch.linspace(0, n * n - 1, min(PAIRS, n * n)).long()
    return torch.stack([places // n, (places * 7 + places // n) % n], dim=1)
