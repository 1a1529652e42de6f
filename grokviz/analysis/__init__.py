"""Analysis: networks in, measurements out."""
