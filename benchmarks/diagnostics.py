"""Group gradients and Hessian eigenvalues: how exact, how fast, and against whom.

Run: python benchmarks/diagnostics.py [--repetitions 7]
Data: mortgage and digits for exactness; 20,000 synthetic rows for speed, whose numbers do not
matter. One thread. curvlinops is in the test extra; PyHessian is compared with if it is
there (pip install --no-deps pyhessian).
"""

import argparse
import statistics

import numpy as np
import torch
from curvlinops import HessianLinearOperator
from record import figure, interleaved, planned, ratio, save
from scipy.sparse.linalg import eigsh
from sklearn.datasets import make_classification
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier, diagnose
from sklearn_fairprune.datasets import load_digits, load_mortgage
from sklearn_fairprune.engine.group_curvature import BATCH_SIZE, linearize, mean_gradient
from sklearn_fairprune.estimators.unwrap import evaluations
from sklearn_fairprune.functional import flatten, largest_eigenvalue, unflatten

try:
    from pyhessian import hessian as PyHessian
except ImportError:
    PyHessian = None


PLAN = planned("diagnostics")


def relative_error(value, truth):
    """Largest relative error."""
    return float(np.max(np.abs(np.asarray(value) / np.asarray(truth) - 1)))


def split(codes):
    """Rows of each group."""
    return [torch.as_tensor(np.flatnonzero(codes == a)) for a in range(codes.max() + 1)]


def ours(dense, rows, groups):
    """Eigenvalue of every group, by this package."""
    found = []
    for index in groups:
        gradient, product = linearize(dense, rows, index)
        found.append(largest_eigenvalue(product, gradient))
    return found


def batches_of(rows, index):
    """Batches of a group as curvlinops reads them."""
    return [(rows.take(chunk)[0], rows.y[chunk]) for chunk in index.split(BATCH_SIZE)]


def curvlinops_operator(dense, rows, index):
    """Hessian of a group's mean loss, by curvlinops."""
    module = dense.net.module_
    parameters = [p for p in module.parameters() if p.requires_grad]
    return HessianLinearOperator(
        module,
        torch.nn.CrossEntropyLoss(),
        parameters,
        batches_of(rows, index),
        check_deterministic=False,
    )


def curvlinops_eigenvalue(dense, rows, index, tol=1e-3):
    """Eigenvalue of a group, by curvlinops and scipy."""
    operator = curvlinops_operator(dense, rows, index).to_scipy()
    start = np.random.default_rng(0).normal(size=operator.shape[0]).astype(operator.dtype)
    return eigsh(operator, k=1, which="LA", tol=tol, v0=start)[0][0]


def pyhessian_eigenvalue(dense, rows, index, tol=1e-3):
    """Eigenvalue of a group, by PyHessian's power iteration on all its rows."""
    data = (rows.take(index)[0], rows.y[index])
    solver = PyHessian(dense.net.module_, torch.nn.CrossEntropyLoss(), data=data, cuda=False)
    values, _ = solver.eigenvalues(maxIter=1000, tol=tol)
    for parameter in dense.net.module_.parameters():
        parameter.grad = None
    return values[0]


def dense_hessian(dense, rows, index):
    """Hessian of a group's mean loss as a matrix, by torch.func."""
    X, y = rows.take(index)[0], rows.y[index]
    return torch.func.hessian(lambda v: dense.losses(unflatten(v, dense.params), X, y).mean())(
        flatten(dense.params)
    )


def exactness(name, X, y, codes, summary):
    """Compare with the dense Hessian and with curvlinops, in float64."""
    groups, kept = split(codes), {}
    for hidden, what in ((16, "dense Hessian"), (100, "curvlinops")):
        clf = PrunedClassifier(
            sparsity=0.0, hidden_layer_sizes=(hidden,), dtype="float64", random_state=0
        ).fit(X, y)
        dense, _, rows = evaluations(clf, X, y)
        found = ours(dense, rows, groups)
        values = [top.value for top in found]
        worst_product, truth = 0.0, []
        for index in groups:
            vector = torch.randn(
                sum(p.numel() for p in dense.params.values()),
                dtype=torch.float64,
                generator=torch.Generator().manual_seed(0),
            )
            _, product = linearize(dense, rows, index)
            mine = flatten(product(unflatten(vector, dense.params)))
            if what == "dense Hessian":
                matrix = dense_hessian(dense, rows, index)
                other = matrix @ vector
                truth.append(float(torch.linalg.eigvalsh(matrix)[-1]))
            else:
                operator = curvlinops_operator(dense, rows, index)
                other = operator @ vector
                truth.append(curvlinops_eigenvalue(dense, rows, index, tol=1e-10))
            error = float((mine - other).norm() / other.norm())
            worst_product = max(worst_product, error)
        n_params = len(vector)
        label = f"{name}, {len(groups)} groups, {n_params} parameters, against {what}"
        summary += [
            figure(
                f"{label}: Hessian-vector product",
                worst_product,
                "relative error",
                PLAN["product_error"],
                worst_product <= PLAN["product_error"],
            ),
            figure(
                f"{label}: eigenvalue",
                relative_error(values, truth),
                "relative error",
                PLAN["eigenvalue_error"],
                relative_error(values, truth) <= PLAN["eigenvalue_error"],
            ),
        ]
        kept[what] = {
            "eigenvalues": values,
            "truth": truth,
            "products": [top.n_products for top in found],
            "converged": [top.converged for top in found],
        }
    return kept


def gradient_pass(dense, rows):
    """Gradient of the mean loss of all rows, as a bare torch loop."""
    module, loss = dense.net.module_, torch.nn.CrossEntropyLoss(reduction="sum")
    parameters, total = list(module.parameters()), None
    X, y = rows.X, rows.y
    for start in range(0, len(y), BATCH_SIZE):
        stop = start + BATCH_SIZE
        part = torch.autograd.grad(loss(module(X[start:stop]), y[start:stop]), parameters)
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    return [g / len(y) for g in total]


def synthetic():
    """20,000 rows of 100 features, a network of two hidden layers of 256, float32."""
    X, y = make_classification(20_000, 100, n_informative=20, flip_y=0.1, random_state=0)
    X = X.astype(np.float32)
    net = PrunedClassifier(hidden_layer_sizes=(256, 256), sparsity=0.9, random_state=0)
    pruned = net.set_params(finetune_epochs=0).fit(X[:5000], y[:5000])
    return X, y, pruned


def against_peers(pruned, X, y, repetitions, summary):
    """Eigenvalues of 5 groups to 1e-3, against the peers at the same tolerance."""
    codes = np.random.default_rng(0).integers(0, 5, len(y))
    groups = split(codes)
    dense, _, rows = evaluations(pruned, X, y)
    exact, _, exact_rows = evaluations(pruned, X, y, "float64")
    truth = [
        largest_eigenvalue(*linearize(exact, exact_rows, index)[::-1], tol=1e-9).value
        for index in groups
    ]

    def each(method, tol=1e-3):
        return lambda: [method(dense, rows, index, tol) for index in groups]

    ways = {
        "ours": lambda: ours(dense, rows, groups),
        "curvlinops + eigsh": each(curvlinops_eigenvalue),
    }
    if PyHessian is not None:
        ways["PyHessian"] = each(pyhessian_eigenvalue)
        for tol in (1e-4, 1e-5, 1e-6):
            if relative_error(each(pyhessian_eigenvalue, tol)(), truth) <= 1e-3:
                ways[f"PyHessian, tol {tol:g}"] = each(pyhessian_eigenvalue, tol)
                break
    targets = {name: PLAN["time"][name.split(", tol")[0]] for name in list(ways)[1:]}
    targets |= {name: PLAN["time_at_equal_error"] for name in ways if ", tol" in name}
    seconds, results = interleaved(ways, repetitions)
    products = [top.n_products for top in results["ours"]]
    results["ours"] = [top.value for top in results["ours"]]
    errors = {name: relative_error(found, truth) for name, found in results.items()}
    for name, target in targets.items():
        taken = ratio(seconds, "ours", name)
        summary.append(
            figure(
                f"eigenvalues of 5 groups, time relative to {name} "
                f"(error {errors['ours']:.1e} and {errors[name]:.1e})",
                taken,
                "ratio",
                target,
                taken <= target,
            )
        )
    most = max(products)
    summary.append(
        figure(
            "Hessian-vector products a group to 1e-3, most",
            most,
            "products",
            PLAN["most_products"],
            most <= PLAN["most_products"],
        )
    )
    return {"errors": errors, "products": products, "seconds": seconds}


def cost_of_groups(pruned, X, y, repetitions, summary):
    """Group gradients, eigenvalues and all of diagnose, relative to one gradient pass."""
    dense, _, rows = evaluations(pruned, X, y)
    kept = {}
    for n_groups in (2, 10, 50):
        codes = np.random.default_rng(0).integers(0, n_groups, len(y))
        groups = split(codes)
        ways = {
            "one gradient pass": lambda: gradient_pass(dense, rows),
            "group gradients": lambda groups=groups: [
                mean_gradient(dense, rows, index) for index in groups
            ],
            "gradients and eigenvalues": lambda groups=groups: ours(dense, rows, groups),
            "diagnose": lambda codes=codes: diagnose(
                pruned, X, y, sensitive_features=codes, bound_samples=0
            ),
        }
        seconds, results = interleaved(ways, repetitions)
        for name in list(ways)[1:]:
            taken = ratio(seconds, name, "one gradient pass")
            target = PLAN["group_gradients"] if name == "group gradients" else None
            summary.append(
                figure(
                    f"{name}, {n_groups} groups",
                    taken,
                    "gradient passes",
                    target,
                    target is None or taken <= target,
                )
            )
        products = [top.n_products for top in results["gradients and eigenvalues"]]
        summary.append(
            figure(
                f"Hessian-vector products a group, {n_groups} groups, median",
                statistics.median(products),
                "products",
                PLAN["median_products"],
                statistics.median(products) <= PLAN["median_products"],
            )
        )
        kept[n_groups] = {"seconds": seconds, "products": products}
    return kept


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    summary, data = [], {}
    mortgage, digits = load_mortgage(), load_digits()
    X = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit_transform(
        mortgage.X
    )
    race = np.unique(mortgage.sensitive["race"], return_inverse=True)[1]
    data["mortgage"] = exactness("mortgage", X, mortgage.y, race, summary)
    X, y = digits.X.reshape(len(digits.y), -1), digits.y
    codes = np.unique(y, return_inverse=True)[1]
    data["digits"] = exactness("digits", X, y, codes, summary)
    X, y, pruned = synthetic()
    data["peers"] = against_peers(pruned, X, y, repetitions, summary)
    data["cost"] = cost_of_groups(pruned, X, y, repetitions, summary)
    save("diagnostics", summary, seeds=[0], data=data)


if __name__ == "__main__":
    main()
