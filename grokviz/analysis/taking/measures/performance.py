"""How well the network answers: loss, accuracy, margin."""

from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.models.loss import correct, cross_entropies, margins


def loss(snapshot: Snapshot) -> Float[Tensor, "split"]:
    """Cross-entropy of the right answer, mean over the pairs of each split.

    The splits are train, test and all; and for a commutative task the test pairs whose mirror (b, a) is trained on
    (test_mirrored), and those whose mirror is not (test_unmirrored).

    Formula: mean over pairs of -log softmax(L[a, b])[answer], over all d_vocab_out classes, in float64.
    Unit: nats
    Range: 0 upwards; ln d_vocab_out is chance. A memorised network reaches 20 on test, a grokked one 1e-7 on both.
    Source: Power et al. 2022, arXiv 2201.02177
    """
    return snapshot.split_means(cross_entropies(snapshot.logits, snapshot.answers))


def accuracy(snapshot: Snapshot) -> Float[Tensor, "split"]:
    """Share of the pairs of each split whose largest logit is the right answer's.

    At half of the data, half of the test pairs of a commutative task are mirrored (test_mirrored): they are answered long before
    the others (test_unmirrored), and most of an early test accuracy is theirs.

    Formula: mean over pairs of [argmax_c L[a, b, c] = answer].
    Unit: share
    Range: 0 to 1; 1/n is chance for n answers.
    Source: Power et al. 2022, arXiv 2201.02177
    """
    return snapshot.split_means(correct(snapshot.logits, snapshot.answers).double())


def logit_margin(snapshot: Snapshot) -> Float[Tensor, "split"]:
    """Lead of the right answer's logit over the best wrong one, mean over the pairs of each split.

    Formula: mean over pairs of L[answer] - max over c != answer of L[c].
    Unit: logits
    Range: any; positive where answers are right. About -1 at initialisation, 10 to 30 after grokking.
    Source: Morwani et al. 2023, arXiv 2311.07568
    """
    return snapshot.split_means(margins(snapshot.logits, snapshot.answers))


MEASURES = (loss, accuracy, logit_margin)
