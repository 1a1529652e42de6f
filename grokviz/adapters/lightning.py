"""A Monitor in Lightning's `Trainer`: the extra `lightning`.

with grokviz.Monitor("runs/mine", "addition", p=59, train_pairs=train, steps=steps) as monitor:
    Trainer(max_steps=steps, callbacks=[MonitorCallback(monitor)]).fit(module, loader)
"""

from typing import Any

from grokviz.errors import GrokvizError
from grokviz.monitoring.monitor import Monitor

try:
    from lightning.pytorch.callbacks import Callback
except ImportError as error:
    raise GrokvizError(
        f"Lightning's Trainer needs the package lightning ({error}); install it with: pip install 'grokviz[lightning]'"
    ) from error


class MonitorCallback(Callback):  # type: ignore[misc]
    """Shows the module to a monitor before each optimiser step, and at the end of the training.

    What `training_step` returns as its loss is kept as the train loss of that step, unless gradients are accumulated over several
    batches: it is the mean over the step's own batch. With several processes, the first shows.

    A class, because `Trainer` calls its methods.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._step = -1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Before a batch, which may be one of several for one step."""
        self._step = trainer.global_step
        if trainer.is_global_zero:
            self.monitor.see(self._step, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After a batch."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None and trainer.accumulate_grad_batches == 1 and trainer.is_global_zero:
            self.monitor.loss(self._step, train=loss)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """After the last step."""
        if trainer.is_global_zero:
            self.monitor.see(trainer.global_step, pl_module)
            self.monitor.close()
