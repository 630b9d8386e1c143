"""Private names of scikit-learn, skorch and torch: the one place that knows them."""
