"""A Monitor in Hugging Face's `Trainer`: the extra `transformers`.

with grokviz.Monitor("runs/mine", "addition", p=59, train_pairs=train, steps=arguments.max_steps) as monitor:
    Trainer(model, arguments, ..., callbacks=[MonitorCallback(monitor)]).train()
"""

from typing import Any

from grokviz.errors import GrokvizError
from grokviz.monitoring.monitor import Monitor

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise GrokvizError(
        f"Hugging Face's Trainer needs the package transformers ({error}); install it with: pip install 'grokviz[transformers]'"
    ) from error


class MonitorCallback(TrainerCallback):  # type: ignore[misc]
    """Shows the model to a monitor before each optimiser step, and at the end of the training.

    Where the loss of every step is logged (`logging_steps=1`), it is kept as the train loss of that step: it is the mean over the
    step's own batches. Else losses are measured at checkpoints. With several processes, the first shows and logs.

    A class, because `Trainer` calls its methods.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Before an optimiser step."""
        if state.is_world_process_zero:
            self.monitor.see(state.global_step, rest["model"])

    def on_log(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """When losses are logged: after the step that they are of."""
        loss = rest.get("logs", {}).get("loss")
        is_each_step = args.logging_strategy == "steps" and args.logging_steps == 1
        if loss is not None and is_each_step and state.is_world_process_zero:
            self.monitor.loss(state.global_step - 1, train=loss)

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """After the last step."""
        if state.is_world_process_zero:
            self.monitor.see(state.global_step, rest["model"])
            self.monitor.close()
