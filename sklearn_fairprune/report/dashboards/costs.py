"""What pruning costs, as metrics of the dashboard with names of our own."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from ...measurement.answers import Answers
from ...measurement.held_out import HeldOut
from ...measurement.measures import MEASURES, Measure
from ...measurement.metric_functions import Metric
from ...measurement.records import Measured
from ...measurement.user_metrics import metric_measures


def error_all_classes(rows: HeldOut, k: int) -> Measured:
    """Share of rows whose class is wrong, with Clopper and Pearson's limits."""
    wrong = rows.rate(rows.correct[:, k] == 0)
    return wrong.value, *rows.proportions(wrong)


OF_ALL_CLASSES = Measure(
    error_all_classes,
    "error over all classes",
    unit="share",
    classifiers_only=True,
    cost="Share of the rows whose class is wrong, among all classes. Lower is better.",
)


def custom_measures(classifies: bool, one_versus_rest: bool) -> dict[str, Measure]:
    """Measures that become metrics, in the order they are shown in.

    The dashboard calls the model with the lowest value of such a metric the best one, so
    less must be better.

    Parameters
    ----------
    classifies : bool
        Whether the models are classifiers.
    one_versus_rest : bool
        Whether the dashboard's own metrics are about one of several classes.

    Returns
    -------
    measures : dict of str to Measure
        Those of `MEASURES` with a `cost`, changes against the dense model first.
    """
    costs = {
        name: measure
        for name, measure in MEASURES.items()
        if measure.cost
        and measure.by_group
        and measure.interval
        and measure.better < 0
        and (classifies or not measure.classifiers_only)
    }
    costs = dict(sorted(costs.items(), key=lambda item: not item[1].signed))
    return costs | ({OF_ALL_CLASSES.name: OF_ALL_CLASSES} if one_versus_rest else {})


def metric_costs(
    metrics: Mapping[str, Metric],
    answers: Sequence[Answers],
    n_boot: int,
    random_state: int,
    taken: Container[str],
) -> dict[str, Measure]:
    """Metrics of the user as measures of which less is better.

    Parameters
    ----------
    metrics : mapping of str to Metric
        From `check_metrics`.
    answers : sequence of Answers
        Of every model, the dense one first.
    n_boot, random_state : int
        Of the bootstrap.
    taken : container of str
        Keys of other metrics.

    Returns
    -------
    measures : dict of str to Measure
        A metric of which less is better as it is; one of which more is better as what it
        loses against the dense model, called ``<name>_drop``.

    Raises
    ------
    ValueError
        If a name is that of another metric.
    """
    costs = {}
    for one in metric_measures(metrics, answers, n_boot, random_state)[1]:
        falls = one.metric.better > 0
        key, title = f"{one.name}{'_drop' * falls}", f"{one.metric.title}{' drop' * falls}"
        if key in taken:
            raise ValueError(
                f"metrics: the dashboard has a metric {key!r} already. Call yours for example "
                f"'my_{one.name}'."
            )
        own = title.replace("{", "{{").replace("}", "}}")
        of = "the metric under {dense!r} minus that under the model" if falls else "the metric"
        cost = f"{own}: {of}, as given in metrics. Lower is better."
        costs[key] = Measure(one.drop if falls else one.values, title, cost=cost)
    return costs


def custom_metrics(
    measures: dict[str, Measure], dense: str, loss: str
) -> list[dict[str, Any]]:
    """Name and describe measures for the dashboard.

    Parameters
    ----------
    measures : dict of str to Measure
        From `custom_measures`.
    dense, loss : str
        Names of the dense model and of the loss.

    Returns
    -------
    metrics : list of dict
        With id, name and description.
    """
    return [
        {
            "id": name,
            "name": measure.label[0].upper() + measure.label[1:],
            "description": measure.cost.format(loss=loss, dense=dense),
        }
        for name, measure in measures.items()
    ]
