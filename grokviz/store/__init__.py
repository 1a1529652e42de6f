"""A run on disk. These names are all that the rest of grokviz knows of it.

Whatever is read is held to the size and SHA-256 that the manifest gives it; whatever is written is there whole or not
at all. Needs no torch.
"""

from grokviz.store.checking import check_run
from grokviz.store.keeping import keep_measurements, save_report
from grokviz.store.opening import open_run
from grokviz.store.origin import Origin
from grokviz.store.repairing import repair_run
from grokviz.store.run import Run
from grokviz.store.writing import RunWriter, continue_run, create_run

__all__ = [
    "Origin",
    "Run",
    "RunWriter",
    "check_run",
    "continue_run",
    "create_run",
    "keep_measurements",
    "open_run",
    "repair_run",
    "save_report",
]
