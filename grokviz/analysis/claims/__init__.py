"""Published values, held against ours."""
