"""Warnings that name the line of the caller, however many layers lie between."""

import sys
import warnings
from pathlib import Path
from types import FrameType

import joblib
import sklearn
import skorch

# Code of these only passes calls on.
BETWEEN = tuple(
    str(Path(file).parent)
    for file in (Path(__file__).parent, joblib.__file__, sklearn.__file__, skorch.__file__)
)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, as if from the first line outside this package, scikit-learn, skorch and joblib.

    Parameters
    ----------
    message : str
        What to say.
    category : type of Warning, default=UserWarning
        Of which kind.
    """
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and _is_between(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_between(filename: str) -> bool:
    return filename.startswith(BETWEEN) or Path(filename).name == "contextlib.py"
