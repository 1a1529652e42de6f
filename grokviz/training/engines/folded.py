"""The torch engine: the exact forward folded into tables with one row a token, without a compiler.

Only '=' asks and only it is read, so what a head carries there from a source is linear in that source. With
r2 = W_E[=] + W_pos[2] and one row a token, three more for the positions and '=':

    rows    = (W_E[token]..., W_pos[0] - r2, W_pos[1] - r2, r2)
    tables  = rows W_V W_O (W_in | W_U)        of each head: what its columns, neurons and classes, get from a source
    scores  = rows W_K (W_Q r2) / sqrt(d_head)
    readout = W_out W_U
    base    = r2 (W_in | W_U) + (b_in | b_out W_U) + the tables' row of '=', summed over heads

For pair (a, b) with the pattern (alpha, beta, 1 - alpha - beta), a column is base + sum over heads of
alpha (table[a] + table[W_pos[0] - r2]) + beta (table[b] + table[W_pos[1] - r2]): a weighted sum of rows of one long table, which
is what an embedding bag computes. So the products with W_in and W_O, forward and backward, are those of the tables alone.
Those go through autograd in float64; the pairs are computed here, forward and backward, in float32.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from grokviz.models.activations import RELU
from grokviz.models.architecture import Blueprint
from grokviz.models.loss import correct
from grokviz.models.transformer import TRANSFORMER
from grokviz.models.weights import Weights
from grokviz.training.engines.autograd import trained_weights
from grokviz.training.engines.engine import Batch, Scores


@dataclass(frozen=True)
class Tables:
    """What the pairs are computed from. The columns are the neurons, then the classes."""

    values: Float[Tensor, "row column"]
    """What a pair weighs: the rows of the first operand, head by head and token by token, then those of the second."""
    base: Float[Tensor, "column"]
    """What every pair's columns begin with."""
    scores: Float[Tensor, "operand token head"]
    """The scores of both operands' tokens, counted from that of '='."""
    readout: Float[Tensor, "neuron class"]
    """What an active neuron adds to the logits."""

    @classmethod
    def of(cls, weights: Weights) -> "Tables":
        """The tables of `weights`, in float64; gradients reach the weights through them."""
        w = replace(weights, values={name: values.double() for name, values in weights.values.items()})
        n_heads, _, d_head = w.W_V.shape
        equals = w.W_E[-1] + w.W_pos[2]  # r2
        rows = torch.cat([w.W_E[:-1], torch.stack([w.W_pos[0] - equals, w.W_pos[1] - equals, equals])])
        columns = torch.cat([w.W_in, w.W_U], dim=1)
        values = rearrange(
            rows @ rearrange(w.W_V, "head d_model d_head -> d_model (head d_head)"),
            "row (head d_head) -> head row d_head",
            head=n_heads,
        )
        out = rearrange(w.W_O, "head d_head d_model -> (head d_head) d_model") @ columns
        tables = values @ rearrange(out, "(head d_head) column -> head d_head column", head=n_heads)
        query = einsum(equals, w.W_Q, "d_model, head d_model d_head -> head d_head") * d_head**-0.5
        scores = rows @ einsum(w.W_K, query, "head d_model d_head, head d_head -> d_model head")
        biases = [w.get("b_in"), w.get("b_out")]
        base = equals @ columns + tables[:, -1].sum(dim=0)
        if biases[0] is not None:
            base = base + torch.cat([biases[0], base.new_zeros(w.W_U.shape[1])])
        if biases[1] is not None:
            base = base + torch.cat([base.new_zeros(w.W_in.shape[1]), biases[1] @ w.W_U])
        both = torch.stack([tables[:, :-3] + tables[:, -3:-2], tables[:, :-3] + tables[:, -2:-1]])
        return cls(
            rearrange(both, "operand head token column -> (operand head token) column"),
            base,
            torch.stack([scores[:-3] + scores[-3], scores[:-3] + scores[-2]]),
            w.W_out @ w.W_U,
        )


@dataclass(frozen=True)
class Pairs:
    """A batch, and which rows of the tables its pairs weigh."""

    batch: Batch
    rows: Int[Tensor, "pair source"]
    """The sources of a pair are its first operand for each head, then its second."""
    by_row: Int[Tensor, "entry"]
    """The entries of `rows`, flat, in the order of the rows that they name."""
    begins: Int[Tensor, "row"]
    """Where the entries of each row begin in `by_row`."""
    where: Float[Tensor, "pair row"]
    """A sparse matrix of zeros that stores an entry for each pair and its rows."""

    @classmethod
    def of(cls, batch: Batch, n_tokens: int, n_heads: int) -> "Pairs":
        """The pairs of `batch`."""
        offsets = torch.arange(2 * n_heads, device=batch.pairs.device) * n_tokens
        rows = batch.pairs.repeat_interleave(n_heads, dim=1) + offsets
        counts = torch.bincount(rows.flatten(), minlength=2 * n_heads * n_tokens)
        ends = torch.arange(len(rows) + 1, device=rows.device) * rows.shape[1]
        with warnings.catch_warnings():
            # Sparse rows are in beta, says torch; `sampled_addmm` on them is held to the reference by the tests.
            warnings.filterwarnings("ignore", "Sparse ", UserWarning)
            where = torch.sparse_csr_tensor(
                ends, rows.flatten(), torch.zeros(rows.numel()), (len(rows), len(counts)), check_invariants=True
            )
        return cls(batch, rows, rows.flatten().argsort(stable=True), counts.cumsum(0) - counts, where)

    def pattern(self, tables: Tables) -> Float[Tensor, "pair source"]:
        """How much each pair attends to each source."""
        scores = torch.stack([tables.scores[i][self.batch.pairs[:, i]] for i in (0, 1)])  # [operand, pair, head]
        pattern = torch.cat([scores, torch.zeros_like(scores[:1])]).softmax(dim=0)[:2]
        return rearrange(pattern, "operand pair head -> pair (operand head)")


@dataclass(frozen=True)
class FoldedEngine:
    """Tables and pairs, on the CPU."""

    blueprint: Blueprint
    parameters: Mapping[str, Tensor]
    train: Pairs
    test: Pairs
    name: str = "torch"
    own_threads: bool = False
    adamw: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW

    @classmethod
    def of(
        cls, blueprint: Blueprint, parameters: Mapping[str, Tensor], train_batch: Batch, test_batch: Batch
    ) -> "FoldedEngine":
        """The engine on `parameters`, which lie where the batches do."""
        n_heads = blueprint.sizes["head"]
        train, test = (Pairs.of(batch, blueprint.n, n_heads) for batch in (train_batch, test_batch))
        return cls(blueprint, parameters, train, test)

    def gradients(self) -> Scores:
        """As `Engine` says."""
        for values in self.parameters.values():
            values.grad = None
        tables = Tables.of(self._weights())
        pattern = self.train.pattern(tables)
        with torch.no_grad():
            scores, gradients = _scores_and_gradients(tables, pattern, self.train)
        torch.autograd.backward([tables.values, tables.base, tables.readout, pattern], gradients)
        return scores

    @torch.no_grad()
    def test_scores(self) -> Scores:
        """As `Engine` says."""
        tables = Tables.of(self._weights())
        logits, _ = _logits(tables, self.test.pattern(tables), self.test)
        return Scores.of(logits, self.test.batch)

    def _weights(self) -> Weights:
        return trained_weights(self.blueprint, self.parameters)


def can_fold(blueprint: Blueprint) -> bool:
    """Whether a network can be folded: a transformer of ReLU neurons, whose operands have the same tokens, and which '=' ends."""
    is_usual = blueprint.activation is RELU and blueprint.operand_tokens == "shared" and blueprint.reads_equals
    return blueprint.architecture is TRANSFORMER and is_usual


def _logits(
    tables: Tables, pattern: Float[Tensor, "pair source"], pairs: Pairs
) -> tuple[Float[Tensor, "pair class"], Float[Tensor, "pair neuron"]]:
    """The logits and the neurons of the pairs, in float32."""
    columns = embedding_bag(pairs.rows, tables.values.float(), per_sample_weights=pattern.float(), mode="sum")
    columns += tables.base.float()
    neurons = columns[:, : len(tables.readout)].relu_()
    return columns[:, len(tables.readout) :].addmm_(neurons, tables.readout.float()), neurons


def _scores_and_gradients(
    tables: Tables, pattern: Float[Tensor, "pair source"], pairs: Pairs
) -> tuple[Scores, list[Float[Tensor, "..."]]]:
    """The scores of the pairs, and the gradients of their loss by the tables' values, base, readout and by the pattern."""
    n_neurons, answers = len(tables.readout), pairs.batch.answers
    logits, neurons = _logits(tables, pattern, pairs)
    log_shares = logits.double().log_softmax(dim=1)
    loss = -log_shares.gather(1, answers[:, None]).mean()
    right = correct(logits, answers).double().mean()
    d_logits = log_shares.exp_()
    d_logits.scatter_add_(1, answers[:, None], d_logits.new_full((len(answers), 1), -1.0))
    d_logits /= len(answers)

    d_columns = torch.empty(len(answers), tables.values.shape[1], device=logits.device)
    d_columns[:, n_neurons:] = d_logits
    torch.mm(d_columns[:, n_neurons:], tables.readout.float().T, out=d_columns[:, :n_neurons])
    active = d_columns[:, :n_neurons]
    torch.ops.aten.threshold_backward.grad_input(active, neurons, 0, grad_input=active)
    weights = pattern.float().flatten()[pairs.by_row]
    d_values = embedding_bag(
        pairs.by_row // pairs.rows.shape[1], d_columns, pairs.begins, per_sample_weights=weights, mode="sum"
    )
    d_pattern = torch.sparse.sampled_addmm(pairs.where, d_columns, tables.values.float().T, beta=0.0).values()
    gradients = [d_values, d_columns.sum(dim=0), neurons.T @ d_columns[:, n_neurons:], d_pattern.view_as(pattern)]
    return Scores(loss.item(), right.item()), [values.double() for values in gradients]
