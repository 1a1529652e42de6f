"""A training loop of your own, followed by a Monitor: the network is plain PyTorch, and grokviz knows nothing of it."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu, scaled_dot_product_attention

import grokviz


class Transformer(nn.Module):
    """One layer of attention and MLP, as a tutorial writes it."""

    def __init__(self, p: int, d_model: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(p + 1, d_model), nn.Embedding(3, d_model)
        self.qkv, self.project = nn.Linear(d_model, 3 * d_model, bias=False), nn.Linear(d_model, d_model, bias=False)
        self.up, self.down = nn.Linear(d_model, 4 * d_model), nn.Linear(4 * d_model, d_model, bias=False)
        self.unembed, self.heads = nn.Linear(d_model, p, bias=False), heads
        for embedding in (
            self.token,
            self.position,
        ):  # torch begins with numbers of 1, under which it memorises for long
            nn.init.normal_(embedding.weight, std=d_model**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of the answer to each row of tokens a, b, =."""
        x = self.token(tokens) + self.position(torch.arange(3))
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=2))
        x = x + self.project(scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return self.unembed(x + self.down(relu(self.up(x))))[:, -1]


def main(directory: Path, *, p: int = 59, steps: int = 4000) -> grokviz.Run:
    """Train on a + b mod p, on half of all pairs, and return the run that the monitor wrote."""
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    train = torch.randperm(p * p)[: p * p // 2]  # the indices a * p + b of the pairs that are trained on
    tokens = torch.cat([pairs, torch.full((p * p, 1), p)], dim=1)
    answers = pairs.sum(dim=1) % p

    model = Transformer(p)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    with grokviz.Monitor(directory, "addition", p=p, train_pairs=train, steps=steps) as monitor:
        for step in range(steps):
            monitor.see(step, model)
            loss = cross_entropy(model(tokens[train]), answers[train])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            monitor.loss(step, train=loss.item())
        monitor.see(steps, model)
    return monitor.run


if __name__ == "__main__":
    run = main(Path("runs/own_loop"))
    grokviz.measure(run)
    print(grokviz.write_report(run))
