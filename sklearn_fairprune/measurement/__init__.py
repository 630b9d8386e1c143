"""Floor 4: what an audit and a diagnosis measure, as tables. No words, no pictures."""
