import math
from dataclasses import replace

import pytest
import torch

from fixtures import CLOCK_FREQUENCIES, P, blank, clock, components_of, cube, fourier_basis, random_snapshot
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.measures.progress import excluded_loss, excluded_loss_by_frequency, restricted_loss
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.models.loss import cross_entropies


def projection_written_out(snapshot: Snapshot, frequencies: list[int]) -> torch.Tensor:
    """P L by the definition: every direction over the p² pairs, normalised, and the logits projected on it."""
    p = snapshot.n
    x = torch.arange(p)
    sums = ((x[:, None] + x) % p).flatten()
    total = torch.zeros_like(snapshot.logits)
    for k in frequencies:
        for row in components_of(p, k):
            direction = fourier_basis(p)[row][sums]
            direction = direction / direction.norm()
            total += torch.outer(direction, direction @ snapshot.logits)
    return total


def test_the_clock_restricted_to_its_keys_is_itself_and_without_them_knows_nothing() -> None:
    snapshot = clock()
    torch.testing.assert_close(restricted_loss(snapshot, CLOCK_FREQUENCIES), loss(snapshot), rtol=1e-4, atol=0)
    assert excluded_loss(snapshot, CLOCK_FREQUENCIES).tolist() == pytest.approx([math.log(113)] * 5, abs=1e-12)
    assert excluded_loss(snapshot, (14,)).tolist() == pytest.approx([1.2603e-6] * 5, rel=1e-4)
    assert excluded_loss_by_frequency(snapshot)[13].item() == pytest.approx(1.2603e-6, rel=1e-4)


@pytest.mark.parametrize("p", [11, 12])
def test_restricted_and_excluded_loss_follow_the_definition_on_a_random_network(p: int) -> None:
    snapshot = random_snapshot(p)
    snapshot = replace(snapshot, logits=5 * snapshot.logits)
    keys = [1, p // 2]
    projected = projection_written_out(snapshot, keys)
    restricted = cross_entropies(projected + snapshot.logits.mean(dim=0), snapshot.answers)
    torch.testing.assert_close(restricted_loss(snapshot, keys), snapshot.split_means(restricted))
    excluded = cross_entropies(snapshot.logits - projected, snapshot.answers)
    torch.testing.assert_close(excluded_loss(snapshot, keys), snapshot.split_means(excluded))
    by_frequency = excluded_loss_by_frequency(snapshot)
    for k in range(1, p // 2 + 1):
        torch.testing.assert_close(by_frequency[k - 1], excluded_loss(snapshot, [k])[0])


def test_excluded_loss_by_frequency_stays_exact_where_exponentials_would_overflow() -> None:
    snapshot = replace(blank(11), logits=3000 * cube(11, (1, 2)))
    for k in (1, 2, 5):
        assert excluded_loss_by_frequency(snapshot)[k - 1].item() == pytest.approx(
            excluded_loss(snapshot, (k,))[0].item()
        )


def test_without_key_frequencies_there_is_no_restricted_and_no_excluded_loss() -> None:
    snapshot = random_snapshot()
    assert restricted_loss(snapshot, ()).isnan().all()
    assert excluded_loss(snapshot, ()).isnan().all()


def test_a_function_of_the_sum_alone_is_kept_and_of_the_difference_alone_is_not() -> None:
    p = P
    x = torch.arange(p)
    difference = ((x[:, None] - x) % p).flatten()
    other = cube(p, (14,))
    by_sum = replace(blank(p), logits=other)
    by_difference = replace(blank(p), logits=other[difference * p])  # row (d, 0) has the sum d
    assert restricted_loss(by_sum, (14,))[2] < restricted_loss(by_difference, (14,))[2]
    assert restricted_loss(by_difference, (14,))[2].item() == pytest.approx(math.log(p))
