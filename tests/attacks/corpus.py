"""What an attack is, and how a module adds its own."""

from __future__ import annotations

from dataclasses import dataclass, field

NOT_ACCEPTED = frozenset({"rejected", "crashed", "timeout", "memory", "output_limit", "malformed"})
ANY = NOT_ACCEPTED | {"accepted"}
ADDS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"
NO_DOOR = "doors = add(2, 3)\nif doors: raise ValueError(doors)"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A hostile program, and what must happen: `verdicts` in which it may end, `then` a program that must pass next.

    `then` None: an honest one. `min_cpu_s`: CPU time that must have been seen, whatever it did to hide it.
    """

    kind: str
    name: str
    program: str
    tests: str = ADDS
    verdicts: frozenset[str] = NOT_ACCEPTED
    cpu_s: float = 0.5
    min_cpu_s: float = 0.0
    oracle_cpu_s: float = 5.0
    preload: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    then: str | None = None


@dataclass(frozen=True)
class Corpus:
    """The attacks of one kind, in three sorts.

    A `forger` wants a verdict it has not earned and must not be accepted; a `wrecker` does damage and may end in any of
    its verdicts; a `burglar` tries doors and answers with those that opened, so that it is accepted when none did.
    """

    kind: str
    attacks: list[Attack] = field(default_factory=list)

    def forger(self, name: str, program: str, tests: str = ADDS, **more: object) -> None:
        self._add(name, program, tests=tests, **more)

    def wrecker(self, name: str, program: str, **more: object) -> None:
        self._add(name, program, **{"verdicts": ANY, **more})

    def burglar(self, name: str, program: str, **more: object) -> None:
        self._add(name, program, tests=NO_DOOR, verdicts=frozenset({"accepted"}), **more)

    def _add(self, name: str, program: str, **more: object) -> None:
        self.attacks.append(Attack(kind=self.kind, name=name, program=program, **more))  # type: ignore[arg-type]
