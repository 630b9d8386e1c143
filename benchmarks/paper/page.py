"""The page of the reproduction: verdicts in words and numbers, as Markdown."""

from string import Template

from claims import MARGIN_ACCURACY, MARGIN_SPREAD
from fronts import BASELINES, BUDGETS, GOAL, WITH_ADDED, constraints, late, ways_of
from records import BROKEN, FAILS, HERE, HOLDS, LEAD, UNSURE
from tasks import TITLES
from ways import FRONT_SPARSITY, PAPER, SPARSITIES

HEADLINES = {  # how the short table calls a statement
    "small groups lose more": "small groups lose more accuracy (Fig. 1)",
    "inaccurate groups lose more": "inaccurate groups lose more accuracy (Fig. 1)",
    "group size and gradient norm": "size and gradient norm, - (Fig. 2)",
    "dense accuracy and gradient norm": "accuracy and gradient norm, - (Fig. 3)",
    "gradient norm and R(a), fine-tuned, training rows": "gradient norm and R(a), + (Fig. 4)",
    "gradient norm and R(a), fine-tuned, held-out rows": "the same on held-out rows",
    "closeness to the boundary and largest eigenvalue": "closeness and eigenvalue, + (Fig. 5)",
    "gradient norm and largest eigenvalue": "gradient norm and eigenvalue, + (Fig. 6)",
    "gap in accuracy, pruned network, the paper's update, training rows": (
        "gap in accuracy narrows, training rows (Fig. 7)"
    ),
    "gap in accuracy, pruned network, the paper's update, held-out rows": (
        "the same on held-out rows"
    ),
    "gap in gradient norm, pruned network, the paper's update, training rows": (
        "gap in gradients narrows, training rows"
    ),
    "gap in closeness, pruned network, the paper's update, training rows": (
        "gap in closeness narrows, training rows"
    ),
    "spread of none >= after, the paper's update": "none's spread above after's (Figs. 8, 9)",
    "spread of before >= after, the paper's update": "before's spread above after's",
    "xi of none >= after, the paper's update": "none's xi above after's",
    "accuracy of after no worse than none, the paper's update": "accuracy after no worse",
    "gap in accuracy, pruned network, the package's defaults, training rows": (
        "package's defaults: gap in accuracy narrows, training rows"
    ),
    "gap in accuracy, pruned network, the package's defaults, held-out rows": (
        "the same on held-out rows"
    ),
    "spread of none >= after, the package's defaults": (
        "package's defaults: none's spread above after's"
    ),
    "xi of none >= after, the package's defaults": (
        "package's defaults: none's xi above after's"
    ),
    "accuracy of after no worse than none, the package's defaults": (
        "package's defaults: accuracy after no worse"
    ),
}
QUOTED = {  # numbers in the prose: task and statement
    "ethnicity_spread": ("utkface_ethnicity", "spread of none >= after, the paper's update"),
    "age_spread": ("utkface_age", "spread of none >= after, the paper's update"),
    "ethnicity_cost": (
        "utkface_ethnicity",
        "accuracy of after no worse than none, the paper's update",
    ),
    "age_cost": ("utkface_age", "accuracy of after no worse than none, the paper's update"),
    "ethnicity_xi": ("utkface_ethnicity", "xi of none >= after, the paper's update"),
    "age_xi": ("utkface_age", "xi of none >= after, the paper's update"),
    "cifar_spread": ("cifar10", "spread of none >= after, the paper's update"),
    "cifar_cost": ("cifar10", "accuracy of after no worse than none, the paper's update"),
    "cifar_both": ("cifar10", "accuracy of both no worse than none, the paper's update"),
    "cifar_xi": ("cifar10", "xi of none >= after, the paper's update"),
    "ethnicity_default": (
        "utkface_ethnicity",
        "accuracy of after no worse than none, the package's defaults",
    ),
    "age_default": (
        "utkface_age",
        "accuracy of after no worse than none, the package's defaults",
    ),
    "cifar_default": (
        "cifar10",
        "accuracy of after no worse than none, the package's defaults",
    ),
    "svhn_default": ("svhn", "accuracy of after no worse than none, the package's defaults"),
    "cifar_default_spread": ("cifar10", "spread of none >= after, the package's defaults"),
    "svhn_before": ("svhn", "spread of none >= before, the package's defaults"),
    "ethnicity_before": ("utkface_ethnicity", "spread of none >= before, the paper's update"),
}
TWO_BUDGETS = "<!-- two budgets -->\n"  # around a part of page.md
COMMON = ("network", "finetune_epochs", "lr", "batch_size")
HEADINGS = {
    1: "Who loses accuracy (Fig. 1)",
    2: "Group size, accuracy and gradient norm (Figs. 2, 3)",
    3: "What orders the groups by damage (Fig. 4)",
    4: "Curvature, closeness, accuracy, gradient norm (Figs. 5, 6)",
    5: "What the constraint balances (Fig. 7)",
    6: "The regimes (Figs. 8, 9)",
}
HOW = {
    1: f"""Change of held-out accuracy against the dense network, in points, mean over the
larger or the more accurate half of the groups, and over the other half. Which groups are
accurate is seen on validation rows. "Stays" is a change, and allows
{100 * MARGIN_ACCURACY:g} point; "falls" and "lose more" are losses.""",
    2: """Rank correlation over the groups, at the dense network, on training rows as in the
paper, which shows both negative. CIFAR-10 has classes of one size.""",
    3: """Rank correlation over the groups with the excessive loss R(a). Paper: accuracy
negative, the others positive.""",
    4: """Rank correlation over the groups, at the dense network, on training rows. Paper:
accuracy negative, the others positive.""",
    5: """Largest minus smallest value over the groups with the constraint, as part of that
without: geometric mean over the seeds; "holds" is below 1, balanced. Accuracy is that of all
training and of all held-out rows; gradient norm and closeness were measured on training rows
alone, at most 150 to 300 a group.""",
    6: f"""Differences on held-out rows: of accuracy spread and accuracy in points, of xi in
loss. "No worse" allows {100 * MARGIN_ACCURACY:g} point, "about that of"
{100 * MARGIN_SPREAD:g} points.""",
}


def header(first, tasks):
    """Head of a table with a column for each task."""
    names = " | ".join([first, *(TITLES[t] for t in tasks)])
    return f"| {names} |\n" + "|---" * (names.count("|") + 1) + "|"


def number(row, digits=2):
    """Mean and interval of a judgement, in the units of its statement."""
    scale = 1.0
    words = row["statement"].split()
    points = row["claim"] == 1 or (row["claim"] == 6 and words[0] in ("spread", "accuracy"))
    if points:
        scale, digits = 100.0, 1
    plus = "" if row["claim"] == 5 else "+"
    if not abs(row["mean"]) < float("inf"):
        return "no value"
    mean, low, high = (f"{scale * row[k]:{plus}.{digits}f}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def quoted(found, task, statement):
    """Mean and interval of a statement at the sparsity of the fronts."""
    for r in found["claims"]:
        if (r["task"], r["statement"], r["sparsity"]) == (task, statement, FRONT_SPARSITY):
            return number(r)
    return "no value"


def each_seed(found, task, statement):
    """Values of a statement in points, a seed each, at the sparsity of the fronts."""
    for r in found["claims"]:
        if (r["task"], r["statement"], r["sparsity"]) == (task, statement, FRONT_SPARSITY):
            return ", ".join(f"{100 * v:+.1f}" for v in r["by_seed"])
    return "no value"


def judged(rows):
    """One cell of a table: the judgement at the headline sparsity, then the others' words."""
    if not rows:
        return "-"
    headline = [r for r in rows if r["sparsity"] in (0.0, FRONT_SPARSITY)] or rows[:1]
    text = f"**{headline[0]['verdict']}** {number(headline[0])}"
    words = []
    for verdict in (HOLDS, FAILS, UNSURE, BROKEN):
        found = [f"{r['sparsity']:g}" for r in rows if r["verdict"] == verdict]
        if len(rows) > 1 and found:
            words.append(f"{verdict} {' '.join(found)}")
    return text + (f"<br>{'; '.join(words)}" if words else "")


def table(rows):
    """Table of judgements: a line for each statement, a column for each task."""
    tasks = [task for task in TITLES if any(r["task"] == task for r in rows)]
    lines = [header("statement", tasks)]
    for statement in dict.fromkeys(r["statement"] for r in rows):
        cells = [
            judged([r for r in rows if r["task"] == t and r["statement"] == statement])
            for t in tasks
        ]
        lines.append(f"| {statement} | " + " | ".join(cells) + " |")
    return lines


def runs(found):
    """What was run, as a table."""
    lines = [
        "| task | image | rows train / validation / test | groups | dense epochs | seeds |",
        "|---" * 6 + "|",
    ]
    for task, abouts in found["runs"].items():
        about = abouts[0]
        rows = " / ".join(
            f"{sum(about['rows'][p]):,}" for p in ("train", "validation", "test")
        )
        image = " x ".join(map(str, about["image"]))
        seeds = ", ".join(str(a["seed"]) for a in abouts)
        lines.append(
            f"| {TITLES[task]} | {image} | {rows} | {len(about['groups'])} | "
            f"{about['epochs']} | {seeds} |"
        )
    return lines


def held_out_tables(found):
    """Change of held-out disparity against pruning alone, by way and task."""
    rows = [
        r
        for r in found["held_out"]
        if r["part"] == "test" and r["sparsity"] == FRONT_SPARSITY and r["base"] == "none"
    ]
    tasks = [task for task in TITLES if any(r["task"] == task for r in rows)]
    lines = []
    names = {"spread": "accuracy spread, points", "xi": "xi", "accuracy": "accuracy, points"}
    for metric, name in names.items():
        scale, digits = (1, 2) if metric == "xi" else (100, 1)
        lines += ["", header(name, tasks)]
        for way in dict.fromkeys(r["way"] for r in rows):
            cells = []
            for task in tasks:
                r = [
                    r
                    for r in rows
                    if (r["task"], r["way"], r["metric"]) == (task, way, metric)
                ]
                text = "-"
                if r:
                    values = (
                        f"{scale * r[0][k]:+.{digits}f}" for k in ("mean", "low", "high")
                    )
                    text = "{} [{}, {}]".format(*values)
                    text = f"**{text}**" if r[0]["low"] > 0 or r[0]["high"] < 0 else text
                cells.append(text)
            lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return lines


def transfer(found):
    """How a constraint's own gap is on training and on held-out rows, by task."""
    own = {
        "equal_loss": "spread",
        "paper": "spread",
        "equal_excessive_loss": "xi",
        "accuracy_gap": "psi",
    }
    lines = [header("way | gap", found["runs"])]
    rows = [r for r in found["held_out"] if r["sparsity"] == FRONT_SPARSITY]
    for way in dict.fromkeys(r["way"] for r in rows):
        metric = own.get(way.split(",")[0])
        if metric is None or "before" in way:
            continue
        cells = []
        for task in found["runs"]:
            values = {
                r["part"]: r
                for r in rows
                if (r["task"], r["way"], r["metric"]) == (task, way, metric)
                and r["base"] == "none"
            }
            text = "-"
            if values:
                train, test = values["train"], values["test"]
                alone = [r["value"] - r["mean"] for r in (train, test)]
                text = f"{train['value']:.2f} / {test['value']:.2f}, "
                text += "alone {:.2f} / {:.2f}".format(*alone)
            cells.append(text)
        lines.append(f"| {way} | {metric} | " + " | ".join(cells) + " |")
    return lines


def reached(row):
    """Change of accuracy, and what is left of a disparity, with intervals."""
    a, b = row["accuracy"], row["ratio"]
    return (
        f"{100 * a[0]:+.1f} [{100 * a[1]:+.1f}, {100 * a[2]:+.1f}], "
        f"{b[0]:.2f} [{b[1]:.2f}, {b[2]:.2f}]"
    )


def front_table(found, metric):
    """What each set of ways reaches within each budget of accuracy."""
    lines = []
    for task, fronts in found["fronts"].items():
        rows = fronts[metric]
        lines += [
            "",
            f"{TITLES[task]}, {rows[0]['seeds']} seeds:",
            "",
            f"| budget, points | constraints: accuracy, {metric} as part of none's | "
            f"baselines: the same | {metric}, constraints minus baselines | "
            "accuracy, the same | best single family of constraints | "
            f"{WITH_ADDED} |",
            "|---" * 7 + "|",
        ]
        for budget in BUDGETS:
            of = {r["family"]: r for r in rows if r["budget"] == budget}
            ours, theirs = of["constraints"], of["baselines"]
            best = min(constraints(), key=lambda name: of[name]["ratio"][0])
            cells = [f"{100 * budget:g}", reached(ours), reached(theirs)]
            d = ours["against_baselines"]
            cells.append(f"{d[0]:+.3f} [{d[1]:+.3f}, {d[2]:+.3f}]")
            d = ours["accuracy_against_baselines"]
            cells.append(f"{100 * d[0]:+.1f} [{100 * d[1]:+.1f}, {100 * d[2]:+.1f}]")
            r = of[best]
            cells.append(f"{best}: {100 * r['accuracy'][0]:+.1f}, {r['ratio'][0]:.2f}")
            cells.append(reached(of[WITH_ADDED]))
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def goals(found):
    """The goal of the mitigation, judged."""
    lines = []
    for task, families in found["goal"].items():
        for family, verdict in families.items():
            a, b = verdict["accuracy"], verdict["ratio"]
            lines.append(
                f"- {TITLES[task]}, {family}: accuracy within a point "
                f"**{verdict['accuracy within a point']}**, {100 * a[0]:+.1f} points "
                f"[{100 * a[1]:+.1f}, {100 * a[2]:+.1f}]; spread at most {GOAL[1]} "
                f"**{verdict['spread at most 0.6']}**, {b[0]:.2f} [{b[1]:.2f}, {b[2]:.2f}]."
            )
    return lines


def claim(found, number_, figures):
    """Section of one claim; `figures` is the folder of its picture."""
    rows = [r for r in found["claims"] if r["claim"] == number_]
    lines = [f"## {number_}. {HEADINGS[number_]}", "", HOW[number_]]
    if number_ in (1, 3, 6):
        lines.append(f"Numbers at sparsity {FRONT_SPARSITY:g}; below them all verdicts.")
    picture = f"![{HEADINGS[number_]}]({figures}/claim_{number_}.png)"
    lines += ["", *table(rows), "", picture, ""]
    return lines


def headlines(found):
    """Table of the statements that the paper is known for, the paper's update."""
    tasks = list(found["runs"])
    lines = [header("at sparsity 0.9, paper's sign", tasks)]
    for statement, name in HEADLINES.items():
        cells = []
        for task in tasks:
            rows = [
                r
                for r in found["claims"]
                if (r["task"], r["statement"]) == (task, statement)
                and r["sparsity"] in (0.0, FRONT_SPARSITY)
            ]
            cells.append(f"{rows[0]['verdict']} {number(rows[0])}" if rows else "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def short(found):
    """Counts of the verdicts, a line for each claim."""
    tasks = list(found["runs"])
    lines = [header("claim", tasks)]
    for k, heading in HEADINGS.items():
        cells = []
        for task in tasks:
            given = [
                r["verdict"] for r in found["claims"] if (r["claim"], r["task"]) == (k, task)
            ]
            cells.append(" / ".join(str(given.count(v)) for v in (HOLDS, FAILS, UNSURE)))
        lines.append(f"| {k}. {heading} | " + " | ".join(cells) + " |")
    return lines


def page(found, figures="results", more=None):
    """The whole page: the prose of page.md around the tables.

    Parameters
    ----------
    found : dict
        As from `report.verdicts`.
    figures : str
        Folder of the pictures, seen from the page.
    more : dict of str to list of str, default=None
        Further tables, by the name that page.md gives them.
    """
    about = next(iter(found["runs"].values()))[0]
    sections = {
        "headlines": headlines(found),
        "short": short(found),
        "runs": runs(found),
        "claims": [line for k in HEADINGS for line in claim(found, k, figures)][:-1],
        "held_out": held_out_tables(found)[1:],
        "transfer": transfer(found),
        "fronts": [*front_table(found, "spread"), *front_table(found, "xi")][1:],
        "goals": goals(found),
    }
    words = {
        "figures": figures,
        **{name: quoted(found, *of) for name, of in QUOTED.items()},
        "ethnicity_seeds": each_seed(found, *QUOTED["ethnicity_default"]),
        "cifar_seeds": each_seed(found, *QUOTED["cifar_default_spread"]),
        "settings": ", ".join(f"{k.replace('_', ' ')} {about[k]}" for k in COMMON),
        "sparsities": ", ".join(f"{s:g}" for s in SPARSITIES),
        "finetune_epochs": about["finetune_epochs"],
        "paper_lr": PAPER["dual_lr"],
        "front_sparsity": FRONT_SPARSITY,
        "lead": f"{100 * LEAD:g}",
        "goal_budget": f"{100 * GOAL[0]:g}",
        "goal_ratio": GOAL[1],
        "added": len(ways_of(late())),
        "planned": len(ways_of(constraints())),
        "constrained": len(ways_of([*constraints(), *late()])),
        "baselines": len(ways_of(BASELINES)),
    }
    text = (HERE / "page.md").read_text(encoding="utf-8")
    if more is None:  # the section on the two budgets is about results/ alone
        text = "".join(text.split(TWO_BUDGETS)[::2])
    sections |= more or {}
    prose = Template(text.replace(TWO_BUDGETS, ""))
    return prose.substitute(words, **{k: "\n".join(v) for k, v in sections.items()})
