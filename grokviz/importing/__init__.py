"""Networks that were trained elsewhere, as runs: read safely, recognised by their tensors, with their split found."""
