"""The Responsible AI front end and its data in one page, without a server."""

import html
import importlib.util
import json
import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..writing import write_whole

INSTALL = "pip install --no-deps raiwidgets"
APP_ID, CONFIG, DATA = "__rai_app_id__", '"__rai_config__"', '"__rai_model_data__"'
NAME = "fairness_dashboard"
JOINER = "\u2060"  # invisible

# Nothing may be fetched, and the policy has nothing to refuse: the fonts that the front end
# would fetch are not declared, and plain characters stand for the icons of those fonts. Names
# of models may leave the chart's frame.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fairness dashboard</title>
<link rel="icon" href="data:,">
<style>
.note {{ font: 14px sans-serif; margin: 0.5em 100px; }}
i[data-icon-name] {{ font-family: sans-serif !important; font-size: 0 !important; }}
i[data-icon-name]::before {{ font-size: 14px; }}
.is-checked > i[data-icon-name="CircleRing"] {{ visibility: hidden; }}
{icons}
[data-automation-key="columnBin"], .ms-DetailsHeader-cellName {{
  white-space: normal !important; overflow-wrap: anywhere; line-height: 1.2;
}}
.js-plotly-plot .main-svg {{ overflow: visible !important; }}
.scatterlayer .text {{ pointer-events: none; }}
#FairnessPerformanceTradeoffChart .plot {{ clip-path: none !important; }}
</style>
</head>
<body>
{notes}
<div id="{app}"></div>
<script>
const insertRule = CSSStyleSheet.prototype.insertRule;
CSSStyleSheet.prototype.insertRule = function (rule, ...place) {{
  const kept = rule.startsWith("@font-face") ? "no-font {{}}" : rule;
  return insertRule.call(this, kept, ...place);
}};
</script>
{scripts}
<template id="licences"><pre>{licences}</pre></template>
</body>
</html>
"""
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)

ICONS = {
    "ChevronDown": "\u25be",
    "ChevronDownMed": "\u25be",
    "ChevronUpMed": "\u25b4",
    "ChevronRightMed": "\u25b8",
    "ChevronLeft": "\u2039",
    "CircleRing": "\u25cb",
    "StatusCircleCheckmark": "\u2713",
    "Cancel": "\u00d7",
}


def dashboard_html(
    dictionary: dict[str, Any], path: str | Path, notes: Sequence[str] = ()
) -> Path:
    """Write the dashboard of a precomputed dictionary as one page.

    Parameters
    ----------
    dictionary : dict
        From ``FairnessDashboardData.to_dict``.
    path : str or Path
        HTML file to write.
    notes : sequence of str, default=()
        Shown above the dashboard.

    Returns
    -------
    path : Path

    Raises
    ------
    ImportError
        If the widget files are not installed.
    RuntimeError
        If they are not as expected.
    """
    folder = widget_folder()
    sources = widget_scripts(folder)
    config = {"dashboardType": "Fairness", "id": NAME, "baseUrl": None, "locale": "en"}
    fill = {
        APP_ID: NAME,
        CONFIG: template_literal(json.dumps(config)),
        DATA: template_literal(json.dumps(page_data(dictionary))),
    }
    pattern = re.compile("|".join(map(re.escape, fill)))
    scripts = [
        f"<script>{inline(pattern.sub(lambda match: fill[match[0]], source))}</script>"
        for source in sources
    ]
    icons = (
        f'i[data-icon-name="{k}"]::before {{ content: "{v}"; }}' for k, v in ICONS.items()
    )
    page = PAGE.format(
        policy=POLICY,
        icons="\n".join(icons),
        notes="\n".join(f'<p class="note">{html.escape(note)}</p>' for note in notes),
        app=NAME,
        scripts="\n".join(scripts),
        licences=licences(folder),
    )
    path = Path(path)
    write_whole(path, page)
    return path


def widget_folder() -> Path:
    """Folder of the front end, found without importing raiwidgets.

    Returns
    -------
    folder : Path
    """
    spec = importlib.util.find_spec("raiwidgets")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "widget" / "index.html").is_file():
            return Path(place) / "widget"
    raise ImportError(
        f"The dashboard's page needs the front end of raiwidgets. Run `{INSTALL}`, which "
        "brings its files without the old versions that it asks for."
    )


def widget_scripts(folder: Path) -> list[str]:
    """Scripts of the front end, checked for the places where the data go.

    Parameters
    ----------
    folder : Path
        From `widget_folder`.

    Returns
    -------
    sources : list of str
        In the order of its index page.
    """
    finder = _Scripts()
    finder.feed((folder / "index.html").read_text(encoding="utf-8"))
    files = [folder / Path(name).name for name in finder.names]
    missing = [f"file {f.name}" for f in files if not f.is_file()]
    sources = [f.read_text(encoding="utf-8") for f in files if f.is_file()]
    together = "".join(sources)
    missing += [f"place {mark}" for mark in (APP_ID, CONFIG, DATA) if mark not in together]
    missing += [
        f"word {word}"
        for word in ("precomputedMetrics", "precomputedFeatureBins")
        if word not in together
    ]
    if missing:
        raise RuntimeError(
            f"The front end in {folder} is not the one expected; it lacks: "
            f"{', '.join(missing)}. Install the version this was made for: "
            f"{INSTALL}==0.36.0"
        )
    return sources


class _Scripts(HTMLParser):
    """Collect the sources of the scripts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src")
        if tag == "script" and source:
            self.names.append(source)


def page_data(dictionary: dict[str, Any]) -> dict[str, Any]:
    """Data in the names and with the texts that the page needs.

    Parameters
    ----------
    dictionary : dict
        From ``FairnessDashboardData.to_dict``.

    Returns
    -------
    data : dict
        Unknown numbers are NaN, which the front end's reader takes: it would compute with
        None as if it were 0.
    """
    bins = [
        feature | {"binLabels": [chart_text(label) for label in feature["binLabels"]]}
        for feature in dictionary["precomputedFeatureBins"]
    ]
    return {
        "true_y": dictionary["trueY"],
        "predicted_ys": dictionary["predictedY"],
        "model_names": [chart_text(name) for name in dictionary["modelNames"]],
        "predictionType": dictionary["predictionType"],
        "precomputedFeatureBins": bins,
        "precomputedMetrics": _unknown_as_nan(dictionary["precomputedMetrics"]),
        "customMetrics": [
            metric | {"name": chart_text(metric["name"])}
            for metric in dictionary["customMetrics"]
        ],
        "errorBarsEnabled": True,
    }


def _unknown_as_nan(value):
    if isinstance(value, dict):
        return {key: _unknown_as_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_unknown_as_nan(v) for v in value]
    return math.nan if value is None else value


def chart_text(text: str) -> str:
    """Text that the charts show as it is.

    They take a few HTML tags and entities as such, and labels that look like numbers or
    dates as places on a scale; an invisible character keeps them from it.

    Parameters
    ----------
    text : str
        Name of a group or model.

    Returns
    -------
    text : str
        Looks the same.
    """
    text = re.sub(r"<(?=/?\w)|&(?=#?\w+;)", lambda match: match[0] + JOINER, text)
    return text if text[:1].isalpha() else JOINER + text


def template_literal(text: str) -> str:
    """JavaScript template literal of a text, safe inside a script element.

    Parameters
    ----------
    text : str
        ASCII, such as `json.dumps` makes.

    Returns
    -------
    literal : str

    Examples
    --------
    >>> from sklearn_fairprune.report.dashboards.static_page import template_literal
    >>> print(template_literal("`${x}</script>"))
    `\\`\\${x}\\x3c/script>`
    """
    text = text.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    return f"`{text.replace('<', chr(92) + 'x3c')}`"


def inline(source: str) -> str:
    """Script that does not end its element early; both words stand in strings only."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def licences(folder: Path) -> str:
    """Licences of the front end, which go wherever its files go."""
    files = [*sorted(folder.parent.parent.glob("raiwidgets-*.dist-info/**/LICENSE*"))]
    files += sorted(folder.glob("*.txt"))
    texts = [f.read_text(encoding="utf-8", errors="replace") for f in files]
    return html.escape("\n\n".join(texts))
