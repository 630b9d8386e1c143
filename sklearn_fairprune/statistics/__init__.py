"""Intervals, rank correlations and tests of group values; numpy and scipy only."""
