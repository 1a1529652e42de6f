"""What an intervention did to a network: how much it changed where it acts; and of a patch, how far the answer went over to that
of the pair from which it was taken. Measured under interventions alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.interventions.patching import Patch, sources_of
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.errors import LackingError
from grokviz.models.loss import correct


def changed_share(snapshot: Snapshot) -> Float[Tensor, ""]:
    """How much the intervention changed where it acts, as a share of what varies there.

    Formula: |x' - x|² / |x - mean x|², x what lay there: the rows of the embedding, or the activations of all pairs; where the
        activation is swapped, what the neurons made of their inputs.
    Unit: share
    Range: 0 upwards; of a removal at most 1. 0 where nothing was changed.
    Source: grokviz
    """
    return torch.tensor(snapshot.changed_share, dtype=torch.float64)


def patch_recovery(snapshot: Snapshot) -> Float[Tensor, ""]:
    """How far a patch moved the logits from a pair's own answer to that of the pair it was taken from.

    Formula: (d' - d) / (d_source - d), d the mean over pairs of L[answer of the source] - L[own answer]: of the network as it is,
        under the patch (d'), and of the network as it is on the sources.
    Unit: share
    Range: any; 0 where the patch changes nothing, 1 where it makes the network answer as on the source.
    Source: the normalised logit difference of Wang et al. 2023, arXiv 2211.00593, section 3
    """
    sources, own, plain = _sources(snapshot), snapshot.answers, _plain_logits(snapshot)
    of_source = own[sources]

    def difference(logits: Tensor) -> Tensor:
        return (logits.gather(1, of_source[:, None]) - logits.gather(1, own[:, None])).mean()

    before = difference(plain)
    return (difference(snapshot.logits) - before) / (difference(plain[sources]) - before)


def moved_share(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Share of the pairs that are answered as the pair they were patched from should be.

    Formula: mean over all pairs of [argmax_c L[a, b, c] = the right answer of (a', b')].
    Unit: share
    Range: 0 to 1
    Source: grokviz
    """
    return correct(snapshot.logits, snapshot.answers[_sources(snapshot)]).double().mean()


def _sources(snapshot: Snapshot) -> Tensor:
    function = None if snapshot.intervention is None else snapshot.intervention.function
    if not isinstance(function, Patch):
        raise LackingError("nothing was patched from another pair")
    return sources_of(snapshot.task, function.seed)


@torch.no_grad()
def _plain_logits(snapshot: Snapshot) -> Float[Tensor, "pair class"]:
    """The logits of the network as it is: a patch leaves the weights alone."""
    pairs = torch.from_numpy(snapshot.task.pairs)
    return snapshot.blueprint.computation.forward(snapshot.weights, pairs).logits.double()


UNDER = (changed_share, patch_recovery, moved_share)
