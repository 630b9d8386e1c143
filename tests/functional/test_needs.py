"""What functions ask for, by the names of their arguments."""

import functools

import pytest
import torch

from sklearn_fairprune.functional.needs import needs

KNOWN = ("gradient", "generator")


def both(weight, *, gradient, generator):
    return weight


@pytest.mark.parametrize(
    ("function", "asked"),
    [
        (both, ("gradient", "generator")),
        (lambda w: w, ()),
        (lambda w, gradient: w, ("gradient",)),
        (lambda w, power=2, *rest, gradient, **options: w, ("gradient",)),
        (functools.partial(both, generator=None), ("gradient",)),
        (torch.abs, ()),
    ],
)
def test_arguments_without_default_after_the_subject(function, asked):
    assert needs(function, KNOWN, "criterion", subject=True) == asked


def test_without_a_subject_every_argument_counts():
    assert needs(lambda *, gradient: gradient, KNOWN, "diagnostic") == ("gradient",)
    with pytest.raises(ValueError, match=r"asks for \['w'\]"):
        needs(lambda w, *, gradient: w, KNOWN, "diagnostic")


def test_unknown_names_are_refused_with_the_known_ones():
    message = r"criterion: both asks for \['gradient'\]; known are \['generator'\]"
    with pytest.raises(ValueError, match=message):
        needs(both, ["generator"], "criterion", subject=True)
