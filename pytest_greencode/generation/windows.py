"""Shares the energy of hardware among the requests that it worked on: by output tokens, and nothing is lost.

Time is cut wherever a request begins or ends. The energy of each piece belongs to the requests that were in flight in
it, by how many output tokens each produced in it; a request is taken to produce its tokens evenly over its life. How
many those are is known when a request is closed, so a request's energy is known once all that overlap it are closed.

    share of request i in a piece = r_i / sum of r over the requests in flight,    r = max(tokens, 1) / duration

A request whose tokens nobody counted has the mean r of the others in the piece. Whole-device energy over the tokens of
a batch is how ML.ENERGY splits it too; the floor of one token is ours, as no request is free.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from ..model import Method
from .meters import GenerationMeter, MeteredEnergy

Reading = tuple[float, tuple[Any, ...]]  # when (monotonic), and what each meter read


class Flight(Struct, eq=False):
    """A request from its begin to its end. `tokens` None: nobody counted them; `closed`: no more will be known."""

    begun: Reading
    ended: Reading | None = None
    tokens: int | None = None
    closed: bool = False
    pieces: list[_Piece] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        return 0.0 if self.ended is None else self.ended[0] - self.begun[0]

    @property
    def settled(self) -> bool:
        """Whether its energy is known: everything that was in flight with it is closed."""
        return self.closed and not any(piece.open for piece in self.pieces)

    @property
    def rate(self) -> float | None:
        """Output tokens a second. A life of no length, where a clock is coarse, has no piece of time either."""
        return None if self.tokens is None else max(self.tokens, 1) / max(self.duration_s, 1e-9)


class _Piece(Struct, eq=False):
    duration_s: float
    energy_j: float
    reason: str | None  # why that is not all of it
    flights: tuple[Flight, ...]
    open: int  # of these, how many are not closed
    total_rate: float | None = None
    mean_rate: float = 1.0

    def share(self, flight: Flight) -> float:
        """Of this piece's energy; those of all its flights add up to 1. Asked only when all are closed."""
        if self.total_rate is None:
            rates = [each.rate for each in self.flights]
            known = [rate for rate in rates if rate is not None]
            self.mean_rate = math.fsum(known) / len(known) if known else 1.0
            self.total_rate = math.fsum(self.mean_rate if rate is None else rate for rate in rates)
        rate = flight.rate
        return (self.mean_rate if rate is None else rate) / self.total_rate


class Share(Struct, frozen=True, kw_only=True):
    """What of the meters' energy is one request's.

    `energy_j` None: `reason` says why. `method` is the weakest meter's; "attributed" where a measured energy was
    shared. `in_flight`: how many requests the hardware worked on, the mean over this one's life, itself included.
    """

    energy_j: float | None
    method: Method
    scope: str | None = None
    source: str | None = None
    relative_error: float | None = None
    reason: str | None = None
    in_flight: float = 1.0


_FROM_STRONG_TO_WEAK = (Method.MEASURED, Method.ATTRIBUTED, Method.DECLARED, Method.ESTIMATED, Method.MISSING)


class Windows:
    """The meters' readings at every begin and end. Not thread-safe: whoever has it has a lock.

    `energy_j` is what the meters counted so far while anything was in flight; `missed` says why some of it is not
    known, if so.
    """

    def __init__(self, meters: Sequence[GenerationMeter[Any]]) -> None:
        self._meters = meters
        self._in_flight: list[Flight] = []
        self._last: Reading | None = None
        self.energy_j = 0.0
        self.missed: str | None = None if meters else "no meter"

    def begin(self, count: int = 1) -> list[Flight]:
        now = self._cut()
        flights = [Flight(begun=now) for _ in range(count)]
        self._in_flight += flights
        return flights

    def end(self, flights: Sequence[Flight]) -> None:
        """Nothing is done for them any more."""
        now = self._cut()
        for flight in flights:
            flight.ended = now
            self._in_flight.remove(flight)

    def close(self, flight: Flight, tokens: int | None) -> None:
        """It has ended, and no more will be known of it. `tokens`: what it wrote, None if nobody counted."""
        flight.tokens, flight.closed = tokens, True
        for piece in flight.pieces:
            piece.open -= 1

    def _cut(self) -> Reading:
        now = time.monotonic(), tuple(meter.read() for meter in self._meters)
        if self._in_flight and self._last is not None:
            energies = self._between(self._last, now)
            reason = next((each.reason or "the meter gave none" for each in energies if each.energy_j is None), None)
            known_j = math.fsum(each.energy_j for each in energies if each.energy_j is not None)
            self.missed = self.missed or reason
            self.energy_j += known_j
            piece = _Piece(now[0] - self._last[0], known_j, reason, tuple(self._in_flight), len(self._in_flight))
            for flight in self._in_flight:
                flight.pieces.append(piece)
        self._last = now
        return now

    def _between(self, start: Reading, end: Reading) -> list[MeteredEnergy]:
        return [meter.between(a, b) for meter, a, b in zip(self._meters, start[1], end[1], strict=True)]

    def share(self, flight: Flight) -> Share:
        """What is a settled request's; its pieces are let go."""
        pieces, flight.pieces = flight.pieces, []
        life_s = math.fsum(piece.duration_s for piece in pieces)
        in_flight = math.fsum(piece.duration_s * len(piece.flights) for piece in pieces) / life_s if life_s else 1.0
        if not self._meters or flight.ended is None:
            return Share(energy_j=None, method=Method.MISSING, reason="no meter", in_flight=in_flight)
        whole = self._between(flight.begun, flight.ended)
        reason = next((piece.reason for piece in pieces if piece.reason), None)
        method = max((each.method for each in whole), key=_FROM_STRONG_TO_WEAK.index)
        if method is Method.MEASURED and any(len(piece.flights) > 1 for piece in pieces):
            method = Method.ATTRIBUTED
        return Share(
            energy_j=None if reason else math.fsum(piece.energy_j * piece.share(flight) for piece in pieces),
            method=Method.MISSING if reason else method,
            scope="+".join(dict.fromkeys(each.scope for each in whole)),
            source="; ".join(dict.fromkeys(each.source for each in whole)),
            relative_error=_relative_error(whole),
            reason=reason,
            in_flight=in_flight,
        )


def _relative_error(parts: Sequence[MeteredEnergy]) -> float | None:
    """Of the sum, as if the meters erred together; None where one of them states no error."""
    total_j = math.fsum(each.energy_j or 0.0 for each in parts)
    if not total_j or any(each.relative_error is None for each in parts):
        return None
    return math.fsum((each.energy_j or 0.0) * (each.relative_error or 0.0) for each in parts) / total_j
