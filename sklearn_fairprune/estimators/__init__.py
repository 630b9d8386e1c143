"""Floor 3: scikit-learn estimators. Validate, seed, encode, call the engine, store."""
