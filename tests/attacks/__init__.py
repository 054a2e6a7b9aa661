"""Hostile programs, as data: a module for each kind. `test_attacks.py` runs each in every sandbox."""

from __future__ import annotations

from attacks import accounting, bombs, doors, endings, equality, fresh, objects, replies, strangers, text, values

ATTACKS = [
    attack
    for module in (equality, endings, replies, doors, bombs, accounting, objects, text, values, fresh, strangers)
    for attack in module.CORPUS.attacks
]
assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
