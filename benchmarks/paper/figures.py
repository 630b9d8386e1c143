"""A figure for each claim, from the kept results."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from claims import DIAGNOSIS, NAMES, RELATIONS, UPDATES, quantity
from fronts import BASELINES, cell, families, late
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from records import having, interval
from tasks import TITLES
from ways import FRONT_SPARSITY, SPARSITIES, STAGES

DPI = 70
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*X<>"
STAGE_COLOURS = dict(zip(("none", *STAGES), ("#000000", *COLOURS), strict=False))
LOG = ("size", "gradient_norm", "largest_eigenvalue")
POSITIONS = np.arange(len(SPARSITIES))


SHORT = {name: f"{name} (added after a look)" for name in late()}
SHORT |= {"none, on the rows that held-out multipliers leave": "none, on 80 % of the rows"}


def panels(n_rows, n_columns, height=3.2, **options):
    """Grid of axes, always of two dimensions."""
    size = (1.2 + 3.7 * n_columns, 0.6 + height * n_rows)
    return plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained", **options
    )


def finish(figure, title, path):
    """Title, save, close."""
    figure.suptitle(title)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def along_sparsities(ax, points, label, colour, style="-", marker="o", shift=0.0):
    """Mean and interval at every sparsity; `points` is {position: values of the seeds}."""
    points = {position: values for position, values in points.items() if len(values)}
    if not points:
        return
    x = np.array(list(points)) + shift
    mean, low, high = np.transpose([interval(v) for v in points.values()])
    ax.plot(x, mean, style, color=colour, marker=marker, ms=4, label=label)
    ax.vlines(x, low, high, color=colour, alpha=0.35, lw=2)


def around_means(ax):
    """Limit an axis to the means and some room: intervals of few seeds may be very long."""
    lines = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) > 2]
    if lines:
        means = np.concatenate(lines)
        room = 0.25 * np.ptp(means) + 1e-3
        ax.set_ylim(means.min() - room, means.max() + room)


def sparsity_axis(ax):
    """Name the sparsities below an axis."""
    ax.set_xticks(POSITIONS, [f"{s:g}" for s in SPARSITIES])
    ax.set_xlabel("sparsity")


def draw_losers(records, path):
    """Claim 1: change of every group's held-out accuracy along the sparsities."""
    figure, axes = panels(1, len(records), 4.4)
    for ax, (task, kept) in zip(axes[0], records.items(), strict=True):
        names, sizes = kept[0].about["groups"], np.array(kept[0].about["rows"]["train"])
        order = np.argsort(-sizes, kind="stable")
        for k, group in enumerate(order):
            points = {}
            for position, sparsity in enumerate(SPARSITIES):
                found = f"none; {sparsity:g}"
                points[position] = [
                    100
                    * (np.subtract(*(r.by_group(c, "test", "accuracy") for c in pair)))[group]
                    for r in having(kept, found)
                    for pair in [(found, "dense; 0")]
                ]
            colour = plt.get_cmap("viridis")(0.92 * k / (len(order) - 1))
            label = f"{names[group]} ({sizes[group]})"
            shift = 0.04 * (k - len(order) / 2)
            along_sparsities(ax, points, label, colour, marker=MARKERS[k], shift=shift)
        ax.axhline(0, color="0.6", lw=1)
        around_means(ax)
        ax.set_title(f"{TITLES[task]}, {len(kept)} seeds")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 3}
        ax.legend(fontsize=7, title="group (training rows)", title_fontsize=7, **below)
        sparsity_axis(ax)
    axes[0, 0].set_ylabel("change of held-out accuracy by pruning, points")
    finish(figure, "Fig. 1: who loses accuracy, pruning without mitigation", path)


def draw_relations(records, claim, path):
    """Claims 2 and 4: a scatter for every relation and task, every group of every seed."""
    relations = [r for r in RELATIONS if r[0] == claim]
    figure, axes = panels(len(relations), len(records))
    for line, (_, name, x, y, sign) in zip(axes, relations, strict=True):
        for ax, (task, kept) in zip(line, records.items(), strict=True):
            kept = [r for r in kept if DIAGNOSIS in r.diagnoses]
            for r, marker in zip(kept, MARKERS, strict=False):
                sizes = quantity(r, "size")
                ax.scatter(
                    quantity(r, x),
                    quantity(r, y),
                    c=np.argsort(np.argsort(-sizes)),
                    cmap="viridis",
                    s=26,
                    alpha=0.7,
                    marker=marker,
                )
            for what, axis, scale in (
                (x, ax.xaxis, ax.set_xscale),
                (y, ax.yaxis, ax.set_yscale),
            ):
                if what in LOG:
                    scale("log")
                    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
                    axis.set_minor_formatter(NullFormatter())
            ax.set_xlabel(NAMES[x])
            ax.set_ylabel(NAMES[y])
            ax.set_title(f"{name}, {TITLES[task]} (paper: {'+' if sign > 0 else '-'})", size=9)
    title = "the dense network, training rows; a point a group and seed, dark: largest groups"
    finish(figure, f"Claim {claim}: {title}", path)


def draw_explanations(records, rows, path):
    """Claim 3: rank correlation with R(a) at every sparsity, training and held-out rows."""
    figure, axes = panels(2, len(records), sharey=True)
    kinds = {"dense accuracy": "#0072B2", "gradient norm": "#D55E00"}
    kinds |= {"largest eigenvalue": "#009E73"}
    for line, part in zip(axes, ("training rows", "held-out rows"), strict=True):
        for ax, task in zip(line, records, strict=True):
            for k, (name, colour) in enumerate(kinds.items()):
                statement = f"{name} and R(a), fine-tuned, {part}"
                found = [r for r in rows if r["task"] == task and r["statement"] == statement]
                x = POSITIONS[: len(found)] + 0.1 * (k - 1)
                ax.plot(
                    x, [r["mean"] for r in found], marker=MARKERS[k], color=colour, label=name
                )
                ax.vlines(
                    x,
                    [r["low"] for r in found],
                    [r["high"] for r in found],
                    color=colour,
                    alpha=0.35,
                    lw=2,
                )
            ax.axhline(0, color="0.6", lw=1)
            ax.set_ylim(-1.05, 1.05)
            ax.set_title(f"{TITLES[task]}, {part}", size=10)
            sparsity_axis(ax)
        line[0].set_ylabel("rank correlation with R(a)")
    axes[0, 0].legend(fontsize=8)
    finish(
        figure,
        "Fig. 4: what orders the groups by damage? Paper: accuracy -, the others +",
        path,
    )


def draw_balances(records, rows, path):
    """Claim 5: gaps with the constraint as part of those without."""
    figure, axes = panels(1, len(records), 5.6, sharey=True)
    statements = list(dict.fromkeys(r["statement"] for r in rows if r["claim"] == 5))
    for ax, task in zip(axes[0], records, strict=True):
        for k, statement in enumerate(statements):
            for r in rows:
                if r["task"] == task and r["statement"] == statement:
                    colour = COLOURS[
                        ("accuracy", "gradient", "closeness").index(
                            statement.split()[2].rstrip(",")
                        )
                    ]
                    ax.plot([r["low"], r["high"]], [k, k], color=colour, lw=2, alpha=0.5)
                    ax.plot(r["mean"], k, "o", color=colour, ms=5)
        ax.axvline(1, color="0.6", lw=1)
        ax.set_xscale("log")
        ax.set_xlim(0.04, 25)
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.set_title(TITLES[task])
        ax.set_xlabel("gap, 1 = without")
    axes[0, 0].set_yticks(
        range(len(statements)), [s.removeprefix("gap in ") for s in statements]
    )
    axes[0, 0].invert_yaxis()
    title = "Fig. 7: gap between the groups as part of that without constraint"
    finish(figure, title, path)


def draw_regimes(records, path):
    """Claim 6: spread, xi and accuracy of the regimes along the sparsities, held out."""
    metrics = {"spread": "accuracy spread", "xi": "violation xi", "accuracy": "accuracy"}
    figure, axes = panels(2 * len(metrics), len(records), 2.7)
    blocks = [(u, m) for u in UPDATES for m in metrics]
    for line, (update, metric) in zip(axes, blocks, strict=True):
        for ax, (task, kept) in zip(line, records.items(), strict=True):
            for k, (stage, colour) in enumerate(STAGE_COLOURS.items()):
                way = "none" if stage == "none" else f"{update}, {stage}"
                points = {}
                for position, sparsity in enumerate(SPARSITIES):
                    found = f"{way}; {sparsity:g}"
                    if values := [r.value(found, metric) for r in having(kept, found)]:
                        points[position] = values
                along_sparsities(
                    ax, points, stage, colour, marker=MARKERS[k], shift=0.08 * (k - 1.5)
                )
            ax.set_title(f"{TITLES[task]}: {UPDATES[update]}", size=9)
            around_means(ax)
            sparsity_axis(ax)
        line[0].set_ylabel(metrics[metric])
    axes[0, 0].legend(fontsize=8)
    finish(figure, "Figs. 8, 9: the regimes on held-out rows", path)


def draw_held_out(records, rows, path):
    """Beyond the paper: change of held-out disparity and accuracy at the fronts' sparsity."""
    metrics = {"spread": "accuracy spread", "xi": "violation xi"}
    metrics |= {"worst_accuracy": "worst group's accuracy", "accuracy": "accuracy"}
    found = [
        r
        for r in rows
        if r["claim"] == "beyond" and r["base"] == "none" and r["sparsity"] == FRONT_SPARSITY
    ]
    ways = list(dict.fromkeys(r["way"] for r in found))
    figure, axes = panels(1, len(metrics), 6.4, sharey=True)
    for ax, (metric, name) in zip(axes[0], metrics.items(), strict=True):
        for t, task in enumerate(records):
            for r in found:
                if r["task"] == task and r["metric"] == metric and r["part"] == "test":
                    k = ways.index(r["way"]) + 0.18 * (t - 1.5)
                    ax.plot([r["low"], r["high"]], [k, k], color=COLOURS[t], lw=2, alpha=0.4)
                    label = TITLES[task] if r["way"] == ways[0] else None
                    ax.plot(r["mean"], k, MARKERS[t], color=COLOURS[t], ms=5, label=label)
        reach = max((abs(r["mean"]) for r in found if r["metric"] == metric), default=1)
        ax.set_xlim(-1.4 * reach - 1e-3, 1.4 * reach + 1e-3)
        ax.axvline(0, color="0.6", lw=1)
        ax.set_xlabel(f"change of {name}")
    axes[0, 0].set_yticks(range(len(ways)), [SHORT.get(way, way) for way in ways])
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    title = f"Against pruning alone, held-out rows, sparsity {FRONT_SPARSITY:g}"
    finish(figure, title, path)


def strength_order(names, kept, metric):
    """Ways of a family in the order of their accuracy."""
    values = [np.mean([r.value(cell(n), "accuracy") for r in kept]) for n in names]
    return [names[k] for k in np.argsort(values)]


def draw_fronts(records, path):
    """Overall held-out accuracy against spread and xi, every way of the sweeps."""
    metrics = {"spread": "accuracy spread", "xi": "violation xi"}
    shown = {t: k for t, r in records.items() if (k := having(r, cell("group DRO (0.1)")))}
    if not shown:
        return
    figure, axes = panels(len(metrics), len(shown), 4.6)
    styles = {}
    for k, name in enumerate(f for f in families() if f not in BASELINES):
        styles[name] = {"color": COLOURS[k % 7], "marker": MARKERS[k % 10], "ls": "-"}
    for k, name in enumerate(BASELINES):
        styles[name] = {"color": "0.45", "marker": MARKERS[k], "ls": "--"}
    styles["none"] = {"color": "black", "marker": "*", "ls": "", "ms": 14, "zorder": 5}
    for line, (metric, label) in zip(axes, metrics.items(), strict=True):
        for ax, (task, kept) in zip(line, shown.items(), strict=True):
            for name, ways in families().items():
                ways = [w for w in ways if all(cell(w) in r.cells for r in kept)]
                ways = strength_order(ways, kept, metric)
                x, y = (
                    [np.mean([r.value(cell(w), m) for r in kept]) for w in ways]
                    for m in ("accuracy", metric)
                )
                ax.plot(
                    x,
                    y,
                    label=SHORT.get(name, name),
                    **{"ms": 5, "alpha": 0.85} | styles[name],
                )
            ax.set_xlabel("held-out accuracy")
            ax.set_ylabel(f"held-out {label}")
            ax.set_title(f"{TITLES[task]}, {len(kept)} seeds")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    title = f"Fronts at sparsity {FRONT_SPARSITY:g}: right and low is good; grey: baselines"
    finish(figure, title, path)


def draw_all(records, rows, folder):
    """Draw everything; returns {claim: file name}."""
    paths = {name: folder / f"{name}.png" for name in FIGURES}
    draw_losers(records, paths["claim_1"])
    draw_relations(records, 2, paths["claim_2"])
    draw_explanations(records, rows, paths["claim_3"])
    draw_relations(records, 4, paths["claim_4"])
    draw_balances(records, rows, paths["claim_5"])
    draw_regimes(records, paths["claim_6"])
    draw_held_out(records, rows, paths["held_out"])
    draw_fronts(records, paths["fronts"])


FIGURES = [*(f"claim_{k}" for k in range(1, 7)), "held_out", "fronts"]
