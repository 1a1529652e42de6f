"""Training: a configuration in, a run on disk out."""
