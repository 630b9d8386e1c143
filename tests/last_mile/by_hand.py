"""A table of people, and the figures of an audit with numpy, scipy and scikit-learn alone."""

import numpy as np
import pandas as pd
from scipy import optimize, stats
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

N, SEED = 430, 7


def people():
    """Return a table with gaps, a rare job, and towns of very different sizes and names."""
    rng = np.random.default_rng(SEED)
    town = rng.choice(["Zell", "Aue", "Mittelstadt", None], N, p=[0.55, 0.12, 0.25, 0.08])
    wealth, age = rng.normal(size=N), rng.integers(18, 80, N)
    job = rng.choice(["smith", "clerk", "nurse", None], N, p=[0.4, 0.3, 0.2, 0.1])
    job[:6] = "diver"
    score = wealth + (job == "nurse") - (town == "Aue") * (age - 50) / 10
    paid = np.where(score + 0.7 * rng.normal(size=N) > 0, "yes", "no").astype(object)
    paid[::50] = None
    return pd.DataFrame(
        {
            "income": np.where(rng.random(N) < 0.15, np.nan, np.exp(3 + wealth)),
            "paid": paid,
            "job": job,
            "age": age.astype(float),
            "town": town,
            "member": rng.random(N) < 0.5,
            "amount": 1000 + 300 * score + 100 * rng.normal(size=N),
        }
    )


def halves(table, strata):
    """Row numbers of the training and the held-out half, with each of `strata` in both."""
    codes = table.groupby(strata, dropna=False).ngroup() if strata else None
    rows = np.arange(len(table))
    return train_test_split(rows, test_size=0.5, random_state=SEED, stratify=codes)


def network_inputs(table, train):
    """Features as numbers; all that is learned comes from the rows `train`."""
    columns = [c for c in table if table[c].dtype.kind == "f"]
    numbers = table[columns].to_numpy()
    learned = SimpleImputer(strategy="median"), MissingIndicator()
    numbers = np.hstack([f.fit(numbers[train]).transform(numbers) for f in learned])
    encoded = [(numbers - numbers[train].mean(axis=0)) / numbers[train].std(axis=0)]
    for column in table.columns.difference(columns, sort=False):
        values = (
            table[column].astype(object).where(table[column].notna(), "missing").astype(str)
        )
        counts = values.iloc[train].value_counts()
        frequent = sorted(counts.index[counts >= 5], key=lambda v: (v == "missing", v))
        encoded += [(values == value).to_numpy()[:, None] for value in frequent]
        if (counts < 5).any():
            encoded.append(~values.isin(frequent).to_numpy()[:, None])
    return np.hstack(encoded).astype(float)


def outcomes(model, X, y):
    """Loss of every row, and the predictions of a classifier."""
    if not hasattr(model, "predict_proba"):
        return (model.predict(X).ravel() - y) ** 2, None
    p = model.predict_proba(X).astype(float)
    return -np.log(p[y[:, None] == model.classes_]), model.predict(X)


def exact_limits(successes, n, confidence):
    """Limits of Clopper and Pearson, from the beta distribution."""
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, successes, n - successes + 1) if successes else 0.0
    high = stats.beta.isf(tail, successes + 1, n - successes) if successes < n else 1.0
    return low, high


def paired_limits(first, second, confidence):
    """Limits of Newcombe's method 10 for the difference of two shares of the same rows."""
    n, p = len(first), np.array([first.mean(), second.mean()])
    z = stats.norm.isf((1 - confidence) / 2)
    centre, spread = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    below, above = (
        p - (centre - spread) / (1 + z**2 / n),
        (centre + spread) / (1 + z**2 / n) - p,
    )
    alike = (first & second).sum() * (~first & ~second).sum()
    covariance = alike - (first & ~second).sum() * (~first & second).sum()
    if covariance > 0:
        covariance = max(covariance - n / 2, 0)
    product = np.prod(p * (1 - p)) * n**4
    phi = covariance / product**0.5 if product else 0.0
    square = below[0] ** 2 + above[1] ** 2 - 2 * phi * below[0] * above[1]
    other = above[0] ** 2 + below[1] ** 2 - 2 * phi * above[0] * below[1]
    return p[0] - p[1] - max(square, 0) ** 0.5, p[0] - p[1] + max(other, 0) ** 0.5


def figure(name, value, limits):
    return {name: value, f"{name}_low": limits[0], f"{name}_high": limits[1]}


def skewed_limits(values, groups, group, confidence):
    """Limits of a group's mean by Hall's method, the two statistics solved for by search.

    The variance is at least the pooled one until the rows are enough to know the tail.
    """
    tail, own = (1 - confidence) / 2, values[groups == group]
    parts = [values[groups == name] for name in set(groups)]
    freedom = sum(len(part) - 1 for part in parts)
    pooled = sum(((part - part.mean()) ** 2).sum() for part in parts) / freedom
    fourth = sum(((part - part.mean()) ** 4).sum() for part in parts) / len(values)
    n, variance = len(own), own.var(ddof=1)
    if pooled > 0:
        needed = -np.log(tail) * fourth / pooled**2
        variance = max(variance, pooled * min(1, needed / n))
    if variance == 0:
        return own.mean(), own.mean()
    error, t = (variance / n) ** 0.5, stats.t.isf(tail, n - 1)
    third = ((own - own.mean()) ** 3).sum() * n / (n - 1) / (n - 2)
    gamma = third / n**2 / error**3

    def hall(T):
        return T + gamma * T**2 / 3 + gamma**2 * T**3 / 27 + gamma / 6

    below, above = (optimize.brentq(lambda T, y=y: hall(T) - y, -1e6, 1e6) for y in (t, -t))
    return own.mean() - max(t, below) * error, own.mean() + max(t, -above) * error


def mean_figure(name, values, groups, group, confidence):
    """Mean of the rows of a group with limits, and the normal standard error of it."""
    own = values[groups == group]
    low, high = skewed_limits(values, groups, group, confidence)
    error = {f"{name} error": own.std(ddof=1) / len(own) ** 0.5}
    return figure(name, own.mean(), (max(low, 0) if name == "loss" else low, high)) | error


def share_figure(name, right, confidence):
    return figure(name, right.mean(), exact_limits(right.sum(), len(right), confidence))


def largest_gap_figure(cells, confidence):
    """Largest gap of excessive losses, with a band that covers normal errors of all groups."""
    excess = [c["excessive_loss"] for c in cells]
    scale = np.array([c["excessive_loss error"] for c in cells])
    errors = scale * np.random.default_rng(0).normal(size=(20_000, len(cells)))
    gap, band = np.ptp(excess), np.quantile(np.ptp(errors, axis=1), confidence)
    return figure("fairness_violation", gap, (max(gap - band, 0.0), gap + band))


def by_group(models, X, y, groups, confidence):
    """Figures of every model and group: dict by (model, group) of dict."""
    figures, dense = {}, outcomes(next(iter(models.values())), X, y)
    for name, model in models.items():
        loss, predicted = outcomes(model, X, y)
        for group in sorted(set(groups)):
            rows = groups == group
            cells = {"rows": rows.sum()} | mean_figure("loss", loss, groups, group, confidence)
            lost = loss - dense[0]
            cells |= mean_figure("excessive_loss", lost, groups, group, confidence)
            if predicted is not None:
                right, before = (predicted == y)[rows], (dense[1] == y)[rows]
                cells |= share_figure("accuracy", right, confidence)
                limits = paired_limits(before, right, confidence)
                limits = limits if model is not next(iter(models.values())) else (0.0, 0.0)
                drop = before.mean() - right.mean()
                cells |= figure("accuracy_drop", drop, limits)
                cells |= {"changed": (predicted != dense[1])[rows].sum()}
                cells |= {"harmed": (before & ~right).sum(), "helped": (right & ~before).sum()}
            figures[name, group] = cells
    return figures


def overall(models, X, y, groups, confidence, least):
    """Figures of every model over all rows: dict by model of dict.

    Gaps are between the groups of at least `least` rows.
    """
    figures, names = {}, sorted(set(groups))
    cells_of = by_group(models, X, y, groups, confidence)
    for name, model in models.items():
        loss, predicted = outcomes(model, X, y)
        cells = [cells_of[name, group] for group in names]
        cells = [c for c in cells if c["rows"] >= least]
        row = {"rows": len(y)} | largest_gap_figure(cells, confidence)
        row |= mean_figure("loss", loss, np.zeros(len(y)), 0, confidence)
        if predicted is not None:
            row |= share_figure("accuracy", predicted == y, confidence)
            row["balanced_accuracy"] = balanced_accuracy_score(y, predicted)
            level = 1 - (1 - confidence) / len(cells)
            low, high = np.transpose(
                [exact_limits(c["accuracy"] * c["rows"], c["rows"], level) for c in cells]
            )
            apart = max(h - g for k, h in enumerate(high) for j, g in enumerate(low) if j != k)
            spread = np.ptp([c["accuracy"] for c in cells])
            limits = max(0.0, low.max() - high.min()), apart
            row |= figure("accuracy_spread", spread, limits)
        figures[name] = row
    return figures
