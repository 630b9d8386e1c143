"""The claims at two budgets: what survives when the pruned network has recovered?

The results of run.py --recovered have the dense networks, splits and ways of results/, and
another fine-tuning. Every judgement of a claim about a pruned network is made of both; the
page says of each whether it survives (plan.json, "recovered_rule").
"""

import dataclasses

import numpy as np
from claims import DIAGNOSIS, judgements
from fronts import cell, pick
from page import HEADLINES, header, number
from records import FAILS, HERE, HOLDS, having, interval, load
from tasks import TITLES
from ways import FRONT_SPARSITY, PLAN, RECOVERED_SPARSITIES, last, recovered

RECOVERED = HERE / "results-recovered"
LAST_BUDGET = 0.01  # of validation accuracy, for a last layer
SURVIVES, LOST, NEW, NEVER = "survives", "lost", "new", "cannot be told at either"
OPEN = "no longer refuted"
FATES = (SURVIVES, LOST, NEW, OPEN, NEVER)
CHANGES = {"accuracy": 100, "worst_accuracy": 100, "spread": 100, "xi": 1, "psi": 100}
NAMES = {
    "accuracy": "accuracy, points",
    "worst_accuracy": "worst group's accuracy, points",
    "spread": "spread, points",
    "xi": "xi",
    "psi": "psi, points",
}


def both(folder=RECOVERED):
    """Records of the two budgets, of the same tasks and seeds.

    Dense networks are the same, so that their diagnoses count for both.

    Returns
    -------
    short, long : dict of str to list of Record
    """
    short, long = load(), load(folder)
    pairs = {
        task: [
            (old, new)
            for new in long[task]
            for old in short.get(task, [])
            if old.about["seed"] == new.about["seed"]
        ]
        for task in long
    }
    for old, new in (pair for found in pairs.values() for pair in found):
        if old.cells["dense; 0"] != new.cells["dense; 0"]:
            raise SystemExit(
                f"{new.about['task']}, seed {new.about['seed']}: the dense networks of the "
                "two budgets differ. Run both with the same versions."
            )
    shown = {
        task: [
            dataclasses.replace(
                new, diagnoses=new.diagnoses | {DIAGNOSIS: old.diagnoses[DIAGNOSIS]}
            )
            for old, new in found
        ]
        for task, found in pairs.items()
    }
    return {task: [old for old, _ in found] for task, found in pairs.items()}, shown


def fate(old, new):
    """What becomes of a verdict: its words at 3 epochs and at the recovered budget."""
    told = (HOLDS, FAILS)
    if old == new:
        return SURVIVES if new in told else NEVER
    if old == HOLDS:
        return LOST
    if new in told:
        return NEW
    return OPEN if old == FAILS else NEVER


def claims_at_both(short, long):
    """Judgements of both budgets that are about pruned networks.

    Returns
    -------
    rows : list of dict
        Claim, task, statement, sparsity, ``old`` and ``new`` judgement, and ``fate``.
    """
    key = ("claim", "task", "statement", "sparsity")
    old = {tuple(r[k] for k in key): r for r in judgements(short)}
    rows = []
    for new in judgements(long):
        before = old[tuple(new[k] for k in key)]
        pruned = new["sparsity"] > 0 and "masked only" not in new["statement"]
        if pruned and new["seeds"] and before["seeds"]:
            about = {k: new[k] for k in key}
            words = fate(before["verdict"], new["verdict"])
            rows.append(about | {"old": before, "new": new, "fate": words})
    return rows


def against(records, first, second, metric):
    """Mean with interval of the difference of two cells on held-out rows; None without."""
    kept = having(records, first, second)
    if not kept:
        return None
    return interval([r.value(first, metric) - r.value(second, metric) for r in kept])


def damage(short, long):
    """What pruning alone costs at both budgets, against the dense network."""
    return [
        {
            "task": task,
            "sparsity": sparsity,
            "metric": metric,
            "old": against(short[task], f"none; {sparsity:g}", "dense; 0", metric),
            "new": against(long[task], f"none; {sparsity:g}", "dense; 0", metric),
        }
        for task in long
        for sparsity in RECOVERED_SPARSITIES
        for metric in CHANGES
    ]


def cells_of(way):
    """Cell of a way at the sparsity of the fronts, and that of pruning alone."""
    return f"{way.name}; {FRONT_SPARSITY:g}", f"none; {FRONT_SPARSITY:g}"


def mitigated(short, long):
    """What every way changes at both budgets, against pruning alone of that budget."""
    return [
        {
            "task": task,
            "way": way.name,
            "sparsity": FRONT_SPARSITY,
            "metric": metric,
            "old": against(short[task], *cells_of(way), metric),
            "new": against(long[task], *cells_of(way), metric),
        }
        for task in long
        for way in recovered()[1:]
        for metric in CHANGES
    ]


def last_layers(long):
    """Last layers, one of each family picked on validation rows within a point of accuracy.

    Returns
    -------
    rows : list of dict
        One a task and family, "distill" among them: changes of ``accuracy`` and
        ``worst_accuracy`` against pruning alone, ``spread`` as part of its, and the
        ``lead`` in accuracy and spread of the constraint's last layer before that one.
    """
    families, rows, none, distilled = {}, [], cell("none"), cell("distill")
    for way in last():
        families.setdefault(way.family, []).append(way.name)
    for task, records in long.items():
        kept = having(records, none, distilled, *(cell(way.name) for way in last()))
        alone, picked = [none] * len(kept), {"distill": [distilled] * len(kept)}
        picked |= {
            family: [cell(pick(r, names, LAST_BUDGET, "spread")) for r in kept]
            for family, names in families.items()
        }

        def values(cells, metric, kept=kept):
            return np.array([r.value(c, metric) for r, c in zip(kept, cells, strict=True)])

        for family, cells in picked.items() if kept else ():
            row = {"task": task, "family": family, "seeds": len(kept)}
            for metric in ("accuracy", "worst_accuracy"):
                row[metric] = interval(values(cells, metric) - values(alone, metric))
            row["spread"] = interval(values(cells, "spread") / values(alone, "spread"))
            row["lead"] = {
                metric: interval(
                    sign * (values(picked["last_layer"], metric) - values(cells, metric))
                )
                for metric, sign in (("accuracy", 1), ("spread", -1))
            }
            rows.append(row)
    return rows


def verdicts(short, long):
    """Everything that the page says of the two budgets."""
    return {
        "budget": PLAN["recovered_budget"],
        "runs": {task: [r.about for r in kept] for task, kept in long.items()},
        "claims": claims_at_both(short, long),
        "damage": damage(short, long),
        "mitigated": mitigated(short, long),
        "last_layers": last_layers(long),
    }


def shown(found, metric):
    """Mean and interval in the units of the page."""
    if found is None:
        return "-"
    digits = 2 if CHANGES[metric] == 1 else 1
    mean, low, high = (f"{CHANGES[metric] * v:+.{digits}f}" for v in found)
    text = f"{mean} [{low}, {high}]"
    return f"**{text}**" if found[1] > 0 or found[2] < 0 else text


def tasks_of(found):
    """Tasks of both budgets, in the order of the page."""
    return [task for task in TITLES if task in found["runs"]]


def cells_at_both(rows, tasks, metric, **where):
    """Cells of a line, one a task: a measure at 3 epochs, and recovered."""
    of = {
        r["task"]: r
        for r in rows
        if r["metric"] == metric and all(r[k] == value for k, value in where.items())
    }
    pairs = [(of[task]["old"], of[task]["new"]) for task in tasks]
    return [f"{shown(old, metric)}<br>{shown(new, metric)}" for old, new in pairs]


def line(name, cells):
    """Line of a Markdown table."""
    return f"| {name} | {' | '.join(cells)} |"


def damage_table(found):
    """Markdown: what pruning alone costs, 3 epochs / recovered."""
    tasks = tasks_of(found)
    lines = [header("against the dense network", tasks)]
    for metric in ("accuracy", "worst_accuracy", "spread", "xi"):
        for sparsity in RECOVERED_SPARSITIES:
            cells = cells_at_both(found["damage"], tasks, metric, sparsity=sparsity)
            lines.append(line(f"{NAMES[metric]}, {sparsity:g}", cells))
    return lines


def claims_table(found):
    """Markdown: verdicts of the headlines at both budgets."""
    tasks = tasks_of(found)
    lines = [header(f"at sparsity {FRONT_SPARSITY:g}", tasks)]
    for statement, name in HEADLINES.items():
        rows = {
            r["task"]: r
            for r in found["claims"]
            if r["statement"] == statement and r["sparsity"] == FRONT_SPARSITY
        }
        if rows:
            cells = ["-"] * len(tasks)
            for k, task in enumerate(tasks):
                if task in rows:
                    r = rows[task]
                    old, new = (f"{r[w]['verdict']} {number(r[w])}" for w in ("old", "new"))
                    cells[k] = f"{old}<br>{new}<br>**{r['fate']}**"
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def fates_table(found):
    """Markdown: how many judgements have each of `FATES`."""
    tasks = tasks_of(found)
    lines = [header("claim", tasks)]
    for claim in sorted({r["claim"] for r in found["claims"]}):
        cells = []
        for task in tasks:
            own = [
                r["fate"] for r in found["claims"] if (r["claim"], r["task"]) == (claim, task)
            ]
            cells.append(" / ".join(str(own.count(f)) for f in FATES))
        lines.append(f"| {claim} | " + " | ".join(cells) + " |")
    return lines


def ways_table(found):
    """Markdown: what the ways change against pruning alone, 3 epochs / recovered."""
    tasks = tasks_of(found)
    lines = [header(f"against pruning alone, {FRONT_SPARSITY:g}", tasks)]
    for way in dict.fromkeys(r["way"] for r in found["mitigated"]):
        for metric in ("accuracy", "spread", "xi", "psi"):
            cells = cells_at_both(found["mitigated"], tasks, metric, way=way)
            lines.append(line(f"{way}: {NAMES[metric]}", cells))
    return lines


def last_table(found):
    """Markdown: last layers, accuracy bought for what spread."""
    cells = {(r["task"], r["family"]): r for r in found["last_layers"]}
    tasks = [task for task in tasks_of(found) if task in {task for task, _ in cells}]
    lines = [header(f"against pruning alone, {FRONT_SPARSITY:g}", tasks)]
    for family in dict.fromkeys(family for _, family in cells):
        told = []
        for task in tasks:
            row = cells[task, family]
            points = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * v for v in row["accuracy"]))
            told.append(f"{points}; " + "x{:.2f} [{:.2f}, {:.2f}]".format(*row["spread"]))
        lines.append(line(family, told))
    return lines


def draw(found, path):
    """Picture: change of accuracy by pruning alone, by sparsity, at both budgets."""
    import matplotlib.pyplot as plt

    tasks = tasks_of(found)
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(3.4 * len(tasks), 3), sharex=True, layout="constrained"
    )
    for ax, task in zip(axes, tasks, strict=True):
        for budget, colour, label in (
            ("old", "#D55E00", "at once, 3 epochs"),
            ("new", "#0072B2", "gradually, recovered"),
        ):
            for metric, style in (("accuracy", "-"), ("worst_accuracy", ":")):
                rows = [
                    r for r in found["damage"] if (r["task"], r["metric"]) == (task, metric)
                ]
                y = [100 * r[budget][0] for r in rows]
                whom = "all" if metric == "accuracy" else "worst group"
                ax.plot(
                    range(len(rows)),
                    y,
                    style,
                    color=colour,
                    marker="o",
                    ms=3,
                    label=f"{label}: {whom}",
                )
        ax.axhline(0, color="0.6", lw=0.8)
        at = range(len(RECOVERED_SPARSITIES))
        ax.set_xticks(at, [f"{s:g}" for s in RECOVERED_SPARSITIES])
        ax.set_title(TITLES[task], fontsize=10)
        ax.set_xlabel("sparsity")
    axes[0].set_ylabel("change of accuracy, points")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=4, loc="outside lower center", frameon=False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def short_table(found):
    """Markdown: what the README shows, held-out rows, 3 epochs and recovered."""
    tasks = tasks_of(found)
    lines = [header("held-out rows: 3 epochs<br>recovered", tasks)]
    kept = [("accuracy", s) for s in (0.9, 0.95, 0.98)] + [("xi", FRONT_SPARSITY)]
    for metric, sparsity in kept:
        cells = cells_at_both(found["damage"], tasks, metric, sparsity=sparsity)
        name = f"pruning alone: change of {NAMES[metric]}, {sparsity:g}"
        lines.append(line(name, cells))
    for way in ("paper, after", "equal_excessive_loss, after", "distill"):
        for metric in ("accuracy", "xi"):
            cells = cells_at_both(found["mitigated"], tasks, metric, way=way)
            name = f"{way}, {FRONT_SPARSITY:g}: {NAMES[metric]} against pruning alone"
            lines.append(line(name, cells))
    return lines


def words(found):
    """Numbers that the prose of page.md quotes, by their names there."""
    tasks = tasks_of(found)
    told = [task for task in tasks if task != "svhn"]  # where the constraint's effect is sure

    def list_of(rows, metric, which, of=tasks, **where):
        chosen = {
            r["task"]: r[which]
            for r in rows
            if r["metric"] == metric and all(r[k] == v for k, v in where.items())
        }
        scale, digits = CHANGES[metric], 2 if CHANGES[metric] == 1 else 1
        return " / ".join(f"{scale * chosen[task][0]:+.{digits}f}" for task in of)

    quoted = {"tasks": ", ".join(TITLES[task] for task in tasks)}
    for name, sparsity in (("9", 0.9), ("95", 0.95), ("98", 0.98)):
        for budget, which in (("short", "old"), ("long", "new")):
            rows = list_of(found["damage"], "accuracy", which, sparsity=sparsity)
            quoted[f"{budget}_{name}"] = rows
    for name, task in (("age_small", "utkface_age"), ("svhn_small", "svhn")):
        quoted[name] = next(
            number(r["new"])
            for r in found["claims"]
            if (r["task"], r["statement"], r["sparsity"])
            == (task, "small groups lose more", 0.98)
        )
    ways = found["mitigated"]
    quoted["spreads"] = list_of(ways, "spread", "new", told, way="paper, after")
    quoted["costs"] = list_of(ways, "accuracy", "new", told, way="paper, after")
    quoted["distill_xi"] = list_of(ways, "xi", "new", way="distill")
    quoted["distill_accuracy"] = list_of(ways, "accuracy", "new", way="distill")
    quoted["none_xi"] = list_of(found["damage"], "xi", "new", sparsity=FRONT_SPARSITY)
    layers = {(r["task"], r["family"]): r for r in found["last_layers"]}
    for name, family in (("last", "last_layer"), ("fixed", "balanced last layer")):
        rows = [layers[task, family] for task in tasks if (task, family) in layers]
        quoted[f"{name}_spreads"] = " / ".join(f"{r['spread'][0]:.2f}" for r in rows)
        points = (f"{100 * r['accuracy'][0]:+.1f}" for r in rows)
        quoted[f"{name}_points"] = " / ".join(points)
    return quoted


def sections(found):
    """Tables and numbers for the page, by the names that page.md gives them."""
    return {name: [text] for name, text in words(found).items()} | {
        "recovered_damage": damage_table(found),
        "recovered_claims": claims_table(found),
        "recovered_fates": fates_table(found),
        "recovered_ways": ways_table(found),
        "recovered_last": last_table(found),
    }
