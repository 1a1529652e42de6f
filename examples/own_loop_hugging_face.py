"""Hugging Face's Trainer, followed by a Monitor: `pip install 'grokviz[transformers]'`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments

import grokviz
from grokviz.adapters.hugging_face import MonitorCallback


class TwoEmbeddings(nn.Module):
    """An embedding for each operand, and one hidden layer."""

    def __init__(self, p: int, width: int = 64) -> None:
        super().__init__()
        self.first, self.second = nn.Embedding(p, width), nn.Embedding(p, width)
        self.hidden, self.answer = nn.Linear(2 * width, 4 * width), nn.Linear(4 * width, p, bias=False)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """The logits of each pair, and their loss where the answers are given."""
        both = torch.cat([self.first(input_ids[:, 0]), self.second(input_ids[:, 1])], dim=1)
        logits = self.answer(self.hidden(both).relu())
        return {"logits": logits} if labels is None else {"loss": cross_entropy(logits, labels), "logits": logits}


def main(directory: Path, *, p: int = 59, steps: int = 4000) -> grokviz.Run:
    """Train on a + b mod p, all train pairs in one batch, and return the run that the monitor wrote."""
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    train = torch.randperm(p * p)[: p * p // 2]
    examples: Any = [{"input_ids": pair, "labels": pair.sum() % p} for pair in pairs[train]]
    arguments = TrainingArguments(
        output_dir=str(directory.with_name("trainer")), max_steps=steps, per_device_train_batch_size=len(train),
        learning_rate=1e-3, weight_decay=1.0, lr_scheduler_type="constant", max_grad_norm=1e9,
        logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    with grokviz.Monitor(directory, "addition", p=p, train_pairs=train, steps=steps) as monitor:
        Trainer(TwoEmbeddings(p), arguments, train_dataset=examples, callbacks=[MonitorCallback(monitor)]).train()
    return monitor.run


if __name__ == "__main__":
    print(main(Path("runs/own_loop_hugging_face")))
