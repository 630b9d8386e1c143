"""Floor 1: intervals and comparisons of groups; numpy and scipy only."""
