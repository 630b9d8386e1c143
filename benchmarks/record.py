"""How a benchmark keeps its result: figures against targets, plan, versions, processor.

Targets, rules of choice and lists of ways stand in plan.json, and are committed before the
results that they judge; a result holds the plan that it was made under.
"""

import importlib.metadata
import json
import platform
import statistics
import subprocess
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PLAN = Path(__file__).parent / "plan.json"
PACKAGES = ("numpy", "scikit-learn", "skorch", "torch", "fairlearn", "joblib")


def planned(name):
    """What plan.json says of a benchmark: targets, rules of choice, lists of ways."""
    return json.loads(PLAN.read_text(encoding="utf-8"))[name]


def committed(path):
    """Whether git has a file as it is; None where git cannot tell."""
    command = ["git", "status", "--porcelain", "--", path.name]
    try:
        found = subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return not found.stdout.strip()


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


def kept_runs(path):
    """Runs that a file keeps: {seed: {name of a network: outcome}}; none without the file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep_runs(path, by_seed):
    """Keep runs in a file, a line for each network."""
    seeds = []
    for seed, found in by_seed.items():
        lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items()]
        seeds.append(f'"{seed}": {{\n' + ",\n".join(lines) + "}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{" + ",\n".join(seeds) + "}\n", encoding="utf-8")


def save(name, summary, *, seeds, data, kept_runs=False):
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
    kept_runs : bool, default=False
        Whether the runs are older ones, so that versions and processor stay those of the
        record that is there.
    """
    path = RESULTS / f"{name}.json"
    versions = {p: importlib.metadata.version(p) for p in PACKAGES}
    record = {
        "summary": summary,
        "seeds": seeds,
        "plan": planned(name),
        "plan_committed": committed(PLAN),
        "python": platform.python_version(),
        "versions": versions,
        "processor": processor(),
        "data": data,
    }
    if kept_runs and path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        record |= {k: old[k] for k in ("python", "versions", "processor")}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for line in summary:
        verdict = ""
        if line["target"] is not None:
            verdict = f" (target {line['target']}: {'met' if line['met'] else 'MISSED'})"
        print(f"{line['name']}: {line['value']:.3g} {line['unit']}{verdict}")
    print(f"written: {path}")
