"""Floor 2: moves data through networks. torch and skorch, no scikit-learn estimators."""
