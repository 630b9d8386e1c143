"""Floor 4: what is measured of models on held-out rows, as tables; no text, page or plot."""

from .measures import MEASURES, Measure

__all__ = ["MEASURES", "Measure"]
