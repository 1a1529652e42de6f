"""Lightning's Trainer, followed by a Monitor: `pip install 'grokviz[lightning]'`."""

from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import grokviz
from grokviz.adapters.lightning import MonitorCallback


class TwoEmbeddings(nn.Module):
    """An embedding for each operand, and one hidden layer."""

    def __init__(self, p: int, width: int = 64) -> None:
        super().__init__()
        self.first, self.second = nn.Embedding(p, width), nn.Embedding(p, width)
        self.hidden, self.answer = nn.Linear(2 * width, 4 * width), nn.Linear(4 * width, p, bias=False)

    def forward(self, pairs: Tensor) -> Tensor:
        """The logits of each pair."""
        return self.answer(self.hidden(torch.cat([self.first(pairs[:, 0]), self.second(pairs[:, 1])], dim=1)).relu())


class Adding(LightningModule):
    """What Lightning trains."""

    def __init__(self, p: int) -> None:
        super().__init__()
        self.model = TwoEmbeddings(p)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch of pairs and answers."""
        pairs, answers = batch
        return cross_entropy(self.model(pairs), answers)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, with the weight decay that grokking needs."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)


def main(directory: Path, *, p: int = 59, steps: int = 4000) -> grokviz.Run:
    """Train on a + b mod p, all train pairs in one batch, and return the run that the monitor wrote."""
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    train = torch.randperm(p * p)[: p * p // 2]
    loader = DataLoader(TensorDataset(pairs[train], pairs[train].sum(dim=1) % p), batch_size=len(train))
    with grokviz.Monitor(directory, "addition", p=p, train_pairs=train, steps=steps) as monitor:
        trainer = Trainer(
            max_steps=steps, callbacks=[MonitorCallback(monitor)], accelerator="cpu", logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Adding(p), loader)
    return monitor.run


if __name__ == "__main__":
    print(main(Path("runs/own_loop_lightning")))
