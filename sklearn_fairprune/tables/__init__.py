"""Anybody's table: from a file to numbers and groups, with an account of what was left out."""
