"""Taking measurements: networks seen by measures, and what comes of it kept. Needs torch."""
