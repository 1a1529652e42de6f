"""Which frequencies are key, which are harmonics of keys, and why there may be none."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import grokviz
from fixtures import (
    CLOCK_FREQUENCIES,
    P,
    blank,
    circles,
    clock,
    components_of,
    fourier_basis,
    perfect,
    random_snapshot,
    with_embedding,
    with_readout,
)
from grokviz.analysis.reading.derived import KeyHarmonic
from grokviz.analysis.taking.keys import Keys, find_keys
from grokviz.analysis.taking.measures.fourier import embedding_power
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.measures.progress import excluded_loss, restricted_loss
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.errors import GrokvizError


def readout_of(p: int, power: dict[int, float]) -> Snapshot:
    basis = fourier_basis(p)
    rows = [share**0.5 * basis[2 * k - 1] for k, share in power.items()]
    return with_readout(blank(p, d_mlp=len(rows)), torch.stack(rows))


@pytest.mark.parametrize("p", [11, 12, 113])
def test_the_last_frequency_can_be_key(p: int) -> None:
    last = p // 2
    snapshot = readout_of(p, dict.fromkeys((1, last), 0.5))
    assert find_keys(snapshot).frequencies == (1, last)


def test_a_weak_key_counts_and_what_lies_below_a_tenth_of_the_largest_does_not() -> None:
    assert find_keys(readout_of(97, {3: 0.5, 7: 0.44, 9: 0.051, 11: 0.049})).frequencies == (3, 7, 9)


def test_a_flat_readout_has_no_key_frequencies() -> None:
    flat = with_readout(blank(97, d_mlp=97), fourier_basis(97))
    assert find_keys(flat).frequencies == ()
    assert find_keys(random_snapshot(59, d_model=128, d_mlp=512)).frequencies == ()


def test_many_equal_keys_are_not_capped_in_number() -> None:
    twenty = dict.fromkeys(range(2, 22), 0.05)
    assert find_keys(readout_of(97, twenty)).frequencies == tuple(twenty)


def test_a_passenger_with_embedding_power_but_no_readout_is_not_key() -> None:
    snapshot = readout_of(P, dict.fromkeys((3, 7), 0.5))
    passenger = with_embedding(snapshot, circles(P, (3, 7, 20), (1.0, 1.0, 0.5), 128))
    assert embedding_power(passenger)[19] > 0.1
    assert find_keys(passenger).frequencies == (3, 7)


def test_the_keys_of_the_clock_are_its_circles() -> None:
    assert find_keys(clock()).frequencies == CLOCK_FREQUENCIES


def test_the_sign_of_an_even_p_is_compared_by_its_one_component() -> None:
    # at p = 118 a published network holds in the sign 8.3 % of the power of its largest frequency, which has two components
    basis = fourier_basis(118)
    amplitudes = {17: 1.0, 29: 0.8, 59: 0.083}
    rows = [share**0.5 / 2**0.5 * basis[row] for k, share in amplitudes.items() for row in components_of(118, k)]
    rows[-1] = rows[-1] * 2**0.5  # all of its power is in the one component
    snapshot = with_readout(blank(118, d_mlp=len(rows)), torch.stack(rows))
    found = find_keys(snapshot)
    assert found.frequencies == (17, 29, 59)
    assert found.shares_of_largest[58] == pytest.approx(0.166)


@pytest.mark.parametrize(("p", "frequencies"), [(12, (1, 6)), (14, (2, 3, 7)), (14, (1, 7))])
def test_a_perfect_network_of_even_p_with_the_sign_among_its_keys_is_all_in_them(p: int, frequencies) -> None:
    # given logits 10 sum_k cos w_k(a+b-c), the sign among the k, and a readout with every component alike
    basis = fourier_basis(p)
    rows = torch.stack([basis[row] for k in frequencies for row in components_of(p, k)])
    snapshot = with_readout(perfect("addition", p, frequencies), rows)

    # then the keys are found, alone they are the network, and without them it knows nothing
    keys = find_keys(snapshot).frequencies
    assert keys == frequencies
    torch.testing.assert_close(restricted_loss(snapshot, keys), loss(snapshot), rtol=0, atol=1e-10)
    torch.testing.assert_close(
        excluded_loss(snapshot, keys), torch.full((5,), math.log(p), dtype=torch.float64), rtol=0, atol=1e-10
    )


def named(keys: Keys) -> list[tuple[int, int, int]]:
    return [(harmonic.frequency, harmonic.key, harmonic.multiple) for harmonic in keys.harmonics()]


def test_twice_a_key_and_no_stronger_than_a_quarter_of_it_is_a_harmonic_and_no_key() -> None:
    found = find_keys(readout_of(97, {5: 1.0, 10: 0.2, 15: 0.03, 40: 0.9, 17: 0.5, 9: 0.009}))  # 80 = -17 is twice 40
    assert found.frequencies == (5, 17, 40)
    assert named(found) == [(10, 5, 2), (15, 5, 3)]  # 17 is no harmonic: it has over a quarter of key 40


def test_a_harmonic_of_two_keys_belongs_to_the_lower_multiple() -> None:
    found = find_keys(readout_of(97, {4: 0.8, 6: 1.0, 12: 0.05}))  # 12 is 3 times 4 and 2 times 6
    assert named(found) == [(12, 6, 2)]


def test_a_network_that_uses_half_of_all_frequencies_has_no_keys_by_this_rule_and_that_reason() -> None:
    half = tuple(range(1, 12, 2))
    basis = fourier_basis(23)
    rows = torch.stack([basis[row] for k in half for row in components_of(23, k)])
    network = with_readout(perfect("addition", 23, half), rows)
    assert find_keys(network).frequencies == ()
    assert "reads its answer from 6 of 11 frequencies" in find_keys(network).why_none
    ignorant = replace(network, logits=torch.zeros_like(network.logits))
    assert "no circuit has formed" in find_keys(ignorant).why_none


def test_measurements_list_keys_and_harmonics_so_that_both_counts_can_be_read() -> None:
    data = xr.Dataset(
        {
            "is_key_frequency": ("frequency", np.array([1, 0, 0, 1], np.int8)),
            "harmonic_of_key": ("frequency", np.array([0, 1, 1, 0])),
            "harmonic_multiple": ("frequency", np.array([0, 2, 3, 0])),
            "readout_share_of_largest": ("frequency", np.array([1, 0.04, 0.02, 0.5])),
        },
        coords={"frequency": [1, 2, 3, 4]},
    )
    assert grokviz.key_frequencies_of(data) == (1, 4)
    assert grokviz.harmonics_of_keys(data) == (KeyHarmonic(2, 1, 2, 0.04), KeyHarmonic(3, 1, 3, 0.02))
    with pytest.raises(GrokvizError, match="one run"):
        grokviz.harmonics_of_keys(xr.concat([data, data], dim="run", data_vars="all"))
