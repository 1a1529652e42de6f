"""What is served while a run trains."""
