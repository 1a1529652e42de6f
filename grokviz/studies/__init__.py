"""Studies: many runs as one object."""
