"""Networks whose measures are known on paper: snapshots put together from weights, activations and logits."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.models.forward import last_position
from grokviz.models.hooked import HookedTransformer, model_with_weights
from grokviz.models.weights import Weights
from grokviz.tasks.blocks import waves_on_circle
from grokviz.tasks.split import train_mask
from grokviz.training.learner import initial_weights

CLOCK_FREQUENCIES = (14, 35, 41, 42, 52)
P = 113


def initial_model(config: RunConfig) -> HookedTransformer:
    """The model at epoch 0."""
    return model_with_weights(config.blueprint, initial_weights(config))


def last_position_logits(weights: Weights, pairs: Tensor) -> Tensor:
    """The logits of each pair, by the exact forward."""
    return last_position(weights, pairs).logits


def fourier_basis(n: int) -> Tensor:
    """The real orthonormal Fourier basis of functions on 0..n-1, one component a row."""
    return torch.from_numpy(waves_on_circle(n))


def components_of(n: int, k: int) -> list[int]:
    """The rows of the basis that frequency k owns: cos and sin, or the one row of k = n/2."""
    return [component for component in (2 * k - 1, 2 * k) if component < n]


def waves(p: int, k: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of 2 pi k x / p."""
    angle = 2 * math.pi / p * ((k * x) % p).double()
    return angle.cos(), angle.sin()


def random_snapshot(p: int = 11, *, seed: int = 0, d_model: int = 16, d_mlp: int = 24) -> Snapshot:
    """A network with random weights, really run."""
    config = RunConfig(
        task=TaskConfig(p=p, split_seed=seed),
        model=ModelConfig(d_model=d_model, n_heads=2, d_head=d_model // 2, d_mlp=d_mlp, seed=seed),
    )
    return snapshot_of(initial_model(config), config.task, epoch=0)


def with_embedding(snapshot: Snapshot, W_E: Tensor) -> Snapshot:
    """The snapshot with other token embeddings; the row of '=' stays."""
    whole = torch.cat([W_E.to(snapshot.weights.W_E.dtype), snapshot.weights.W_E[-1:]])
    return replace(snapshot, weights=snapshot.weights.replaced(W_E=whole))


def with_readout(snapshot: Snapshot, W_L: Tensor) -> Snapshot:
    """The snapshot with the readout W_L [neuron, token], put in as W_out = W_L padded to d_model, W_U = identity."""
    p, d_model = snapshot.n, snapshot.W_E.shape[1]
    W_out = torch.nn.functional.pad(W_L, (0, d_model - p))
    W_in = W_out.new_zeros(d_model, len(W_out))
    W_U = torch.eye(d_model, p, dtype=W_L.dtype)
    return replace(snapshot, weights=snapshot.weights.replaced(W_in=W_in, W_out=W_out, W_U=W_U))


def circles(p: int, frequencies: tuple[int, ...], amplitudes: tuple[float, ...], d_model: int) -> Tensor:
    """Tokens on orthogonal circles of the frequencies, rotated randomly into R^d_model."""
    x = torch.arange(p)
    columns = [a * wave for k, a in zip(frequencies, amplitudes, strict=True) for wave in waves(p, k, x)]
    rotation, _ = torch.linalg.qr(
        torch.randn(d_model, d_model, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    return torch.stack(columns, dim=1) @ rotation[: len(columns)]


def perfect(operation: str, p: int, frequencies: tuple[int, ...] = CLOCK_FREQUENCIES) -> Snapshot:
    """A network that has learnt the operation perfectly: logits 10 sum_k cos w_k(s - c), s the place of the answer and c
    that of the class on the task's circle.
    """
    snapshot = blank(p, operation=operation)
    places = torch.from_numpy(snapshot.task.blocks.coordinates)
    apart = (places[snapshot.answers][:, None] - places) % snapshot.n
    by_difference = sum(waves(snapshot.n, k, torch.arange(snapshot.n))[0] for k in frequencies)
    return replace(snapshot, logits=10 * by_difference[apart])


def blank(p: int, *, d_mlp: int = 8, d_model: int = 128, operation: str = "addition") -> Snapshot:
    """A float64 snapshot of zeros, for fixtures to fill in."""
    config = RunConfig(
        task=TaskConfig(p=p, operation=operation),
        model=ModelConfig(d_model=d_model, n_heads=4, d_head=d_model // 4, d_mlp=d_mlp, output_vocabulary="answers"),
    )
    zero = torch.zeros
    heads, d_head = 4, d_model // 4
    task, n = config.task.task, config.task.task.n
    weights = {
        "W_E": zero(n + 1, d_model),
        "W_pos": zero(3, d_model),
        "W_Q": zero(heads, d_model, d_head),
        "W_K": zero(heads, d_model, d_head),
        "W_V": zero(heads, d_model, d_head),
        "W_O": zero(heads, d_head, d_model),
        "W_in": zero(d_model, d_mlp),
        "W_out": zero(d_mlp, d_model),
        "W_U": zero(d_model, n),
    }
    return Snapshot(
        task=task,
        epoch=0,
        weights=Weights({name: values.double() for name, values in weights.items()}),
        sites={
            "scores": zero(n * n, heads, 3),
            "pattern": torch.full((n * n, heads, 3), 1 / 3),
            "neurons": zero(n * n, d_mlp).double(),
        },
        logits=zero(n * n, n).double(),
        answers=torch.from_numpy(task.answers),
        train_mask=train_mask(config.task),
    )


def cube(p: int, frequencies: tuple[int, ...]) -> Tensor:
    """sum_k cos w_k(a+b-c) as [pair, class]."""
    x = torch.arange(p)
    by_difference = sum((waves(p, k, x)[0] for k in frequencies), torch.zeros(p, dtype=torch.float64))
    sums = ((x[:, None] + x) % p).flatten()
    return by_difference[(sums[:, None] - x) % p]


def clock(amplitudes: tuple[float, ...] = (1.0,) * 5) -> Snapshot:
    """CLOCK: tokens on five circles, logits 10 sum_k cos w_k(a+b-c), and a readout of those five frequencies."""
    snapshot = with_embedding(blank(P), circles(P, CLOCK_FREQUENCIES, amplitudes, 128))
    basis = fourier_basis(P)
    rows = torch.stack([basis[2 * k - 1] for k in CLOCK_FREQUENCIES] + [basis[2 * k] for k in CLOCK_FREQUENCIES])
    W_out = torch.zeros(10, 128, dtype=torch.float64)
    W_out[:, :10] = torch.eye(10)
    W_U = torch.zeros(128, P, dtype=torch.float64)
    W_U[:10] = rows
    weights = snapshot.weights.replaced(W_out=W_out, W_U=W_U, W_in=torch.zeros(128, 10, dtype=torch.float64))
    return replace(
        snapshot,
        weights=weights,
        sites={**snapshot.sites, "neurons": torch.zeros(P * P, 10, dtype=torch.float64)},
        logits=10 * cube(P, CLOCK_FREQUENCIES),
    )


def gauss() -> Snapshot:
    """GAUSS: token embeddings N(0, 1/128)."""
    noise = torch.randn(P, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return with_embedding(blank(P), noise / math.sqrt(128))


def with_neurons(snapshot: Snapshot, neurons: Tensor) -> Snapshot:
    """The snapshot with other MLP activations [a, b, neuron]."""
    return snapshot.with_sites(neurons=neurons.flatten(0, 1))
