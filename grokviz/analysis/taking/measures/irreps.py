"""What a network of another group than a cyclic one makes of its answer: the table of answers, its logits by answer and class."""

from jaxtyping import Float, Int
from torch import Tensor

from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot


@needs("harmonics", "classes")
def logit_by_answer(snapshot: Snapshot) -> Float[Tensor, "token other_token"]:
    """Mean logit of each class c over the pairs of each answer s, centred over c: how near each element seems to the right one.

    Formula: mean over the n pairs with a b = s of L[a, b, c], L centred over c.
    Unit: logit
    Range: any; noise at initialisation. Of a network that computes sums of characters it is a function of the conjugacy class of
        s c^-1 alone.
    Source: Chughtai, Chan & Nanda 2023, arXiv 2302.03025, section 4: logits are chi(a b c^-1)
    """
    return snapshot.centred_means.float()


@needs("classes")
def answer(snapshot: Snapshot) -> Int[Tensor, "token other_token"]:
    """The token that the network answers to each pair, a by row and b by column: the table that a group is read off.

    Formula: argmax_c L[a, b, c] over the n answers; -1 where a logit is no number.
    Unit: token
    Range: 0 to n - 1. The composition table of the group once all pairs are answered rightly; at initialisation mostly a few
        tokens.
    Source: grokviz
    """
    logits = snapshot.logits[:, : snapshot.n]
    answers = logits.argmax(dim=1).masked_fill(logits.isnan().any(dim=1), -1)
    return answers.reshape(snapshot.n, snapshot.n).short()


MEASURES = (logit_by_answer, answer)
