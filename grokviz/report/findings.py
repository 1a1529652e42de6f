"""What a run shows, in sentences computed from its measurements."""

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr

from grokviz.figures.theme import key_frequencies, listed
from grokviz.phases import TEST_THRESHOLD, TRAIN_THRESHOLD, Phases, find_phases


def findings(measurements: xr.Dataset) -> list[str]:
    """The findings of a run, in the order in which a reader wants them: what happened, how it computes, how it packs."""
    times = find_phases(measurements)
    if "loss" in measurements and not np.isfinite(measurements["loss"].isel(epoch=-1)).all():
        return [*_divergence(measurements), *_times(times)]
    parts = (
        _divergence(measurements),
        _times(times),
        _circuit(measurements),
        _neurons(measurements, times),
        _superposition(measurements),
        _attention(measurements),
        (f"Not yet: {reason}." for reason in times.not_yet),
    )
    return [sentence for part in parts for sentence in part]


def _divergence(measurements: xr.Dataset) -> Iterator[str]:
    if measurements.attrs.get("status") == "diverged":
        last = measurements.isel(history_epoch=-1)
        yield (
            f"Diverged at epoch {int(last['history_epoch']):,}: the loss is no finite number, and training has stopped. "
            f"What follows is about the checkpoints before, up to epoch {int(measurements['epoch'][-1]):,}."
        )
    elif "loss" in measurements and not np.isfinite(measurements["loss"].isel(epoch=-1)).all():
        yield "Diverged: the loss is no finite number at the last checkpoint."


def _times(times: Phases) -> Iterator[str]:
    if times.memorised:
        yield f"Memorised {times.memorised}: train accuracy reached {TRAIN_THRESHOLD:g} and held it."
    if times.grokked:
        yield f"Grokked {times.grokked}: test accuracy reached {TEST_THRESHOLD:g} and held it."
    if times.memorisation_end is not None:
        yield (
            f"Memorisation ended at checkpoint {times.memorisation_end:,}, "
            "where excluded loss is lowest: from there a circuit forms."
        )
    if times.cleanup_start is not None:
        yield f"Cleanup began {times.cleanup_start}: from there the test loss is below ln p."


def _circuit(measurements: xr.Dataset) -> Iterator[str]:
    keys = key_frequencies(measurements)
    if not keys or "readout_power" not in measurements:
        return
    power = measurements["readout_power"].isel(epoch=-1)
    others = power.drop_sel(frequency=keys)
    weakest = power.sel(frequency=keys).min().item()
    yield (
        f"The answer is read from the frequenc{'y' if len(keys) == 1 else 'ies'} {listed(keys)}: "
        f"{power.sel(frequency=keys).sum().item():.1%} of the readout's power; the weakest has {weakest:.1%}, "
        f"the strongest other frequency {others.max().item() if others.size else 0:.2%}."
    )
    if {"restricted_loss", "excluded_loss", "loss"} <= set(measurements):
        last = measurements.isel(epoch=-1)
        yield (
            "With these frequencies alone the test loss is "
            f"{last['restricted_loss'].sel(split='test').item():.2e} nats (full network: "
            f"{last['loss'].sel(split='test').item():.2e}); without them the train loss is {last['excluded_loss'].item():.2f} "
            f"(ln p = {math.log(measurements.attrs['p']):.2f})."
        )


def _neurons(measurements: xr.Dataset, times: Phases) -> Iterator[str]:
    if "frequencies_per_neuron" not in measurements or "pure_neuron_share" not in measurements:
        return
    median = measurements["frequencies_per_neuron"].median("neuron")
    start = times.memorisation_end if times.memorisation_end is not None else int(median["epoch"][0])
    yield (
        f"{measurements['pure_neuron_share'][-1].item():.0%} of the living "
        "neurons serve a single frequency; the median neuron went "
        f"from {median.sel(epoch=start).item():.1f} frequencies at epoch {start:,} to {median[-1].item():.2f}."
    )


def _superposition(measurements: xr.Dataset) -> Iterator[str]:
    if "token_capacity" in measurements:
        first, last = measurements["token_capacity"][[0, -1]].values
        p = measurements.attrs["p"]
        yield (
            f"{p} tokens share {last:.1f} dimensions in the end, {p / last:.1f} in each; "
            f"at the start {first:.1f}, {p / first:.1f} in each."
        )
    if key_frequencies(measurements) and "fourier_interference" in measurements:
        overlaps = measurements["fourier_interference"].isel(epoch=-1).values
        largest = np.abs(overlaps[~np.eye(len(overlaps), dtype=bool)]).max(initial=0)
        yield (
            "The directions of the Fourier components that the circuit uses overlap by a cosine of "
            f"{largest:.2f} at most (0 is no interference)."
        )


def _attention(measurements: xr.Dataset) -> Iterator[str]:
    if "attention_mean" in measurements:
        to_equals = measurements["attention_mean"].sel(source="=").mean("head")
        yield f"Attention to '=' itself went from {to_equals[0].item():.0%} to {to_equals[-1].item():.1%}."
