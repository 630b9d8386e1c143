"""How a benchmark keeps its result: figures against targets, versions, processor."""

import importlib.metadata
import json
import platform
import statistics
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scikit-learn", "skorch", "torch", "fairlearn", "joblib")


def processor():
    """Name of the processor, as the operating system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def interleaved(ways, repetitions):
    """Time several ways of doing the same, in turn, so that a busy machine hits all alike.

    Parameters
    ----------
    ways : dict of str to callable
        What to time; results are kept from the last repetition.
    repetitions : int
        How often.

    Returns
    -------
    seconds : dict of str to list of float
    results : dict of str to object
    """
    seconds, results = {name: [] for name in ways}, {}
    for _ in range(repetitions):
        for name, work in ways.items():
            start = time.perf_counter()
            results[name] = work()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def ratio(seconds, name, base):
    """Median over the repetitions of the time of `name` relative to `base`."""
    pairs = zip(seconds[name], seconds[base], strict=True)
    return statistics.median(a / b for a, b in pairs)


def figure(name, value, unit, target=None, met=None):
    """One line of a summary; without target it is an observation."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "target": target,
        "met": None if target is None else bool(met),
    }


def save(name, summary, *, seeds, data):
    """Write ``results/<name>.json`` and print the summary.

    Parameters
    ----------
    name : str
        Of the benchmark.
    summary : list of dict
        As from `figure`.
    seeds : list of int
        All random seeds used.
    data : dict
        Everything measured.
    """
    versions = {p: importlib.metadata.version(p) for p in PACKAGES}
    record = {
        "summary": summary,
        "seeds": seeds,
        "python": platform.python_version(),
        "versions": versions,
        "processor": processor(),
        "data": data,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for line in summary:
        verdict = ""
        if line["target"] is not None:
            verdict = f" (target {line['target']}: {'met' if line['met'] else 'MISSED'})"
        print(f"{line['name']}: {line['value']:.3g} {line['unit']}{verdict}")
    print(f"written: {path}")
