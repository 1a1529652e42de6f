import math

import pytest
import torch

from fixtures import clock, random_snapshot
from grokviz.analysis.taking.measures.performance import accuracy, logit_margin, loss
from grokviz.models.loss import cross_entropies, margins


@pytest.mark.parametrize(("classes", "nats"), [(113, 4.727387819), (97, 4.574710979)])
def test_zero_logits_cost_the_logarithm_of_the_number_of_classes(classes: int, nats: float) -> None:
    found = cross_entropies(torch.zeros(5, classes), torch.arange(5))
    torch.testing.assert_close(found, torch.full((5,), nats, dtype=torch.float64), atol=5e-10, rtol=0)


def test_the_clock_has_the_loss_known_on_paper_to_its_digits() -> None:
    assert loss(clock()).tolist() == pytest.approx([8.259e-11] * 5, rel=1e-4)
    assert accuracy(clock()).tolist() == [1, 1, 1, 1, 1]


def test_losses_are_float64_where_float32_could_only_return_multiples_of_its_step() -> None:
    logits = torch.tensor([[20.0, 0.0, 0.0]])
    expected = math.log1p(2 * math.exp(-20))
    assert cross_entropies(logits, torch.tensor([0])).item() == pytest.approx(expected, rel=1e-6)


def test_the_margin_is_the_lead_over_the_best_wrong_answer() -> None:
    logits = torch.tensor([[1.0, 4.0, 3.0], [2.0, 2.5, 0.0]])
    assert margins(logits, torch.tensor([1, 0])).tolist() == pytest.approx([1.0, -0.5])


def test_each_split_is_the_mean_over_its_own_pairs() -> None:
    snapshot = random_snapshot()
    train, test, everything, mirrored, unmirrored = loss(snapshot).tolist()
    share = snapshot.train_mask.double().mean().item()
    assert everything == pytest.approx(share * train + (1 - share) * test)
    mirrored_share = (snapshot.splits["test_mirrored"].sum() / snapshot.splits["test"].sum()).item()
    assert test == pytest.approx(mirrored_share * mirrored + (1 - mirrored_share) * unmirrored)
    by_hand = -snapshot.logits.log_softmax(dim=1)[torch.arange(121), snapshot.answers]
    assert train == pytest.approx(by_hand[snapshot.train_mask].mean().item())
    assert logit_margin(snapshot).shape == (5,)
