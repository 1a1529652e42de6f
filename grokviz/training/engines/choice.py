"""Which engine a configuration gets."""

import warnings
from collections.abc import Mapping
from typing import assert_never

import torch
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.errors import GrokvizWarning
from grokviz.models.architecture import Blueprint
from grokviz.models.transformer import TRANSFORMER
from grokviz.training.engines import fused
from grokviz.training.engines.autograd import exact, reference
from grokviz.training.engines.engine import Batch, Engine
from grokviz.training.engines.folded import FoldedEngine, can_fold


def engine_for(config: RunConfig, parameters: Mapping[str, Tensor], train_batch: Batch, test_batch: Batch) -> Engine:
    """The engine that `config` names, on `parameters` and batches of its device.

    Raises:
        GrokvizError: `fused` is asked for and cannot be had.
    """
    match config.known_training.engine:
        case "fused":
            return fused.FusedEngine(config, parameters, train_batch, test_batch)
        case "auto":
            reason = fused.why_not(config)
            if reason is None:
                return fused.FusedEngine(config, parameters, train_batch, test_batch)
            is_ours = config.blueprint.architecture is TRANSFORMER  # the one that it was written for
            if is_ours and torch.device(config.known_training.device).type == "cpu":
                warnings.warn(
                    f"the fused engine is missing: {reason}; training two to three times slower, with torch",
                    GrokvizWarning,
                    stacklevel=2,
                )
            return _torch(config.blueprint, parameters, train_batch, test_batch)
        case "torch":
            return _torch(config.blueprint, parameters, train_batch, test_batch)
        case "reference":
            return reference(config, parameters, train_batch, test_batch)
        case unknown:
            assert_never(unknown)


def _torch(blueprint: Blueprint, parameters: Mapping[str, Tensor], train_batch: Batch, test_batch: Batch) -> Engine:
    on_cpu = train_batch.pairs.device.type == "cpu"
    make = FoldedEngine.of if on_cpu and can_fold(blueprint) else exact
    return make(blueprint, parameters, train_batch, test_batch)
