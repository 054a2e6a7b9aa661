"""Suites: where tasks come from, and what program and tests an attempt at one of them is."""
