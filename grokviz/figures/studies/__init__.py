"""Figures of a study: of many runs by the values of its axes. Imported for itself, for it needs scipy.

from grokviz.figures.studies import survival
survival(grokviz.open_study("studies/decay"), by="training.weight_decay")
"""

from grokviz.figures.studies.curves import curves
from grokviz.figures.studies.keys import keys_chosen
from grokviz.figures.studies.moments import at_moment
from grokviz.figures.studies.phases import phase_diagram
from grokviz.figures.studies.survival import survival

__all__ = ["at_moment", "curves", "keys_chosen", "phase_diagram", "survival"]
