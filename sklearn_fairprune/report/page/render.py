"""Fills the templates of the page; everything a user named is escaped."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from ...measurement.budgets import along_path
from ...measurement.explanations import Verdict
from ...measurement.formats import with_interval
from ...measurement.groups import group_names, rows_that_count
from ...measurement.measures import (
    Measures,
    disparities,
    payments,
    performances,
    sections,
    shown,
)
from ...measurement.negligible import negligible_words
from ...measurement.payers import Payer, leading
from ...measurement.quantities import DENSE, PRUNED
from ...measurement.records import Measure
from ...measurement.training import by_epoch
from ...measurement.verdicts import broken_models
from ..costs import cost_tables, cost_words
from ..diagnosis_report import columns_of, damages_of
from ..summary import headline
from ..text import effective_column, rows_told, section_title
from .payload import page_payload, several_budgets

HERE = Path(__file__).parent
MOST_CHANGED_ROWS = 100


def render_page(report: Any) -> str:
    """Return a report as one HTML page that needs no network and no server.

    Parameters
    ----------
    report : AuditReport
        What to show.

    Returns
    -------
    html : str

    Raises
    ------
    ImportError
        Without vl-convert-python, which carries the charts' code.

    Notes
    -----
    The charts are Vega-Lite's: its code has 0.9 MB (6.2, with Vega and its embedding)
    where Plotly's has 4.8 (7.1), and it draws SVG whose marks have names and values for
    screen readers. A content security policy forbids the
    page every connection, and every script but its own.
    """
    scripts = [charts_library(), *(_asset(name) for name in ("charts.js", "page.js"))]
    return _template("page.html").render(
        report=report,
        style=Markup(_asset("page.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=" ".join(f"'sha256-{_sha256(script)}'" for script in scripts),
        payload=script_json(page_payload(report)),
        **_vocabulary(),
    )


def render_summary(report: Any) -> str:
    """Return the summary of a report for a notebook, without charts and scripts.

    Parameters
    ----------
    report : AuditReport
        What to show.

    Returns
    -------
    html : str
    """
    return _template("summary.html").render(report=report, **_vocabulary())


def script_json(value: Any) -> Markup:
    """Return JSON that can stand inside a script element, whatever text it holds.

    Parameters
    ----------
    value : object
        Plain values.

    Returns
    -------
    json : Markup

    Examples
    --------
    >>> from sklearn_fairprune.report.page.render import script_json
    >>> print(script_json({"group": "</script>"}))
    {"group": "\\u003c/script\\u003e"}
    """
    text = json.dumps(value, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _vocabulary():
    """What the templates can say."""
    return {
        "headline": headline,
        "broken": broken_models,
        "verdicts": Payer,
        "leading": leading,
        "sure_looks": {Payer.PAYS_MOST: "sure", Payer.NO_MORE: "none", Payer.NOBODY: "none"},
        "group_names": group_names,
        "interval": with_interval,
        "shown": shown,
        "sections": sections,
        "section_title": section_title,
        "effective_column": effective_column,
        "rows_told": rows_told,
        "rows_word": lambda part: rows_that_count(part.by_group).name.replace("_", " "),
        "glanced": glanced,
        "meanings": meanings,
        "along_sparsities": along_sparsities,
        "several_budgets": several_budgets,
        "paid_by": paid_by,
        "negligible_words": negligible_words,
        "why_columns": lambda frame: columns_of(frame, *PRUNED, *DENSE),
        "damages": damages_of,
        "verdict_looks": {Verdict.EXPLAINS: "sure", Verdict.DOES_NOT_EXPLAIN: "none"},
        "by_epoch": by_epoch,
        "cost_tables": cost_tables,
        "cost_words": cost_words,
        "missing": pd.isna,
        "most_changed_rows": MOST_CHANGED_ROWS,
    }


def glanced(overall: pd.DataFrame, measures: Measures) -> list[tuple[str, Measure]]:
    """First performance and first disparity of a table of models, by name."""
    return [
        next(iter(found(overall, measures).items())) for found in (performances, disparities)
    ]


def paid_by(report: Any) -> str:
    """What tells who pays in a report: "by decisions the accuracy drop, by loss ..."."""
    known = {k: m for k, m in payments().items() if k in report.by_group}
    return ", ".join(f"by {m.told_by} the {m.label}" for m in known.values())


def along_sparsities(overall: pd.DataFrame, about: Mapping[str, Any] | None = None) -> bool:
    """Whether all sparsities of a table of models are known and rise; see `along_path`."""
    known = overall.loc[along_path(overall, about or {}), "sparsity"]
    return bool(len(known) > 1 and (known.diff().iloc[1:] > 0).all())


def meanings(report: Any) -> Any:
    """Titles and meanings of the measures of a report that have one."""
    known, about = report.measures, report.about
    measures = shown(report.by_group, known) | disparities(report.overall, known)
    words = {"loss": about["loss"], "positive": about.get("positive_class")}
    return {
        measure.full_title[0].upper() + measure.full_title[1:]: measure.meaning.format(**words)
        for measure in measures.values()
        if measure.meaning
    }


def _template(name):
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def _asset(name):
    return (HERE / name).read_text(encoding="utf-8")


def _sha256(script):
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def charts_library() -> str:
    """Return the code of Vega-Lite in one script.

    Raises
    ------
    ImportError
        Without vl-convert-python.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ImportError(
            "The page draws its charts with Vega-Lite, whose code vl-convert-python brings. "
            'Install it with: pip install "sklearn-fairprune[html]". to_markdown, to_json '
            "and print(report) work without it."
        ) from error
    return vl_convert.javascript_bundle()  # type: ignore[call-arg]
