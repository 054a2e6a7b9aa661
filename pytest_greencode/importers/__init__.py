"""Reads what other tools and servers write about generations: text in, entries out. Opens nothing, guesses nothing."""
