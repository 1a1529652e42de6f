"""The notebook's training loop, written plainly: a HookedTransformer, full batch, train and test loss at every epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor

import grokviz
from fixtures import initial_model
from grokviz.tasks.split import train_mask


def epochs(config: grokviz.RunConfig) -> Iterator[tuple[float, float]]:
    """Train on without end; each step is an epoch, and gives its train and test loss."""
    model = initial_model(config)
    pairs, answers = torch.from_numpy(config.task.task.pairs), torch.from_numpy(config.task.task.answers)
    tokens = torch.cat([pairs, torch.full((len(pairs), 1), config.equals_token)], dim=1)
    in_train = train_mask(config.task)
    train, test = (tokens[in_train], answers[in_train]), (tokens[~in_train], answers[~in_train])
    training = config.training
    optimizer = torch.optim.AdamW(
        [values for values in model.parameters() if values.requires_grad],
        lr=training.learning_rate,
        betas=training.betas,
        weight_decay=training.weight_decay,
    )
    while True:
        train_loss = loss(model(train[0]), train[1])
        train_loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.inference_mode():
            test_loss = loss(model(test[0]), test[1])
        yield train_loss.item(), test_loss.item()


def loss(logits: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy at the last position, in float64."""
    log_probabilities = logits[:, -1].double().log_softmax(dim=-1)
    return -log_probabilities.gather(-1, answers[:, None]).mean()
