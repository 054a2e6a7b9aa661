"""Machines with RAPL counters, for tests on machines without: a written tree, and a simulation that knows the truth."""
