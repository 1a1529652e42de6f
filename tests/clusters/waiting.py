"""What tests of clusters wait for."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(found: Callable[[], Any], seconds: float = 300) -> Any:
    """What `found` gives, as soon as it is anything."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.1)
    return value
