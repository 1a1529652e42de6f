"""Networks whose measures are known on paper: snapshots put together from weights, activations and logits."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.forward import Weights
from grokviz.harmonics import fourier_basis
from grokviz.model import initial_model
from grokviz.snapshot import Snapshot, snapshot_of

CLOCK_FREQUENCIES = (14, 35, 41, 42, 52)
P = 113


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
    return snapshot_of(initial_model(config), config, epoch=0)


def with_embedding(snapshot: Snapshot, W_E: Tensor) -> Snapshot:
    """The snapshot with other token embeddings; the row of '=' stays."""
    whole = torch.cat([W_E.to(snapshot.weights.W_E.dtype), snapshot.weights.W_E[-1:]])
    return replace(snapshot, weights=replace(snapshot.weights, W_E=whole))


def with_readout(snapshot: Snapshot, W_L: Tensor) -> Snapshot:
    """The snapshot with the readout W_L [neuron, token], put in as W_out = W_L padded to d_model, W_U = identity."""
    p, d_model = snapshot.p, snapshot.config.model.d_model
    W_out = torch.nn.functional.pad(W_L, (0, d_model - p))
    return replace(snapshot, weights=replace(snapshot.weights, W_out=W_out, W_U=torch.eye(d_model, p, dtype=W_L.dtype)))


def circles(p: int, frequencies: tuple[int, ...], amplitudes: tuple[float, ...], d_model: int) -> Tensor:
    """Tokens on orthogonal circles of the frequencies, rotated randomly into R^d_model."""
    x = torch.arange(p)
    columns = [a * wave for k, a in zip(frequencies, amplitudes, strict=True) for wave in waves(p, k, x)]
    rotation, _ = torch.linalg.qr(
        torch.randn(d_model, d_model, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    return torch.stack(columns, dim=1) @ rotation[: len(columns)]


def blank(p: int, *, d_mlp: int = 8, d_model: int = 128) -> Snapshot:
    """A float64 snapshot of zeros, for fixtures to fill in."""
    config = RunConfig(
        task=TaskConfig(p=p),
        model=ModelConfig(d_model=d_model, n_heads=4, d_head=d_model // 4, d_mlp=d_mlp, output_vocabulary="answers"),
    )
    zero = torch.zeros
    heads, d_head = 4, d_model // 4
    weights = Weights(
        W_E=zero(p + 1, d_model).double(), W_pos=zero(3, d_model).double(),
        W_Q=zero(heads, d_model, d_head).double(), W_K=zero(heads, d_model, d_head).double(),
        W_V=zero(heads, d_model, d_head).double(), W_O=zero(heads, d_head, d_model).double(),
        W_in=zero(d_model, d_mlp).double(), W_out=zero(d_mlp, d_model).double(), W_U=zero(d_model, p).double(),
    )  # fmt: skip
    x = torch.arange(p)
    train = torch.zeros(p * p, dtype=torch.bool)
    train[torch.randperm(p * p, generator=torch.Generator().manual_seed(0))[: config.task.n_train]] = True
    return Snapshot(
        config=config,
        epoch=0,
        weights=weights,
        scores=zero(p * p, heads, 3),
        pattern=torch.full((p * p, heads, 3), 1 / 3),
        neurons=zero(p * p, d_mlp).double(),
        logits=zero(p * p, p).double(),
        answers=((x[:, None] + x) % p).flatten(),
        train_mask=train,
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
    config = replace(snapshot.config, model=replace(snapshot.config.model, d_mlp=10))
    weights = replace(snapshot.weights, W_out=W_out, W_U=W_U, W_in=torch.zeros(128, 10, dtype=torch.float64))
    return replace(
        snapshot,
        config=config,
        weights=weights,
        neurons=torch.zeros(P * P, 10, dtype=torch.float64),
        logits=10 * cube(P, CLOCK_FREQUENCIES),
    )


def gauss() -> Snapshot:
    """GAUSS: token embeddings N(0, 1/128)."""
    noise = torch.randn(P, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return with_embedding(blank(P), noise / math.sqrt(128))


def with_neurons(snapshot: Snapshot, neurons: Tensor) -> Snapshot:
    """The snapshot with other MLP activations [a, b, neuron]."""
    return replace(snapshot, neurons=neurons.flatten(0, 1))
