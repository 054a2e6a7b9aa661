"""CPU time of the phases of tests that run in this process: all its threads, and all that they start.

What the process uses outside of phases is its own affair (collecting, plugins, reporting). Processes that outlive the
test by which they were started are of two kinds. Those that a fixture started serve other tests too: what they use
while a test runs counts for that test. Those that a test itself started are left behind: they are set aside, and what
they use from then on counts for no test. That, and what servers use between tests, is the background.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from .family import Family, Relative, strays, waited_s

if TYPE_CHECKING:
    from .sampler import Sampler

# A phase that used less CPU time itself has started no process: Python's Popen takes 64 us where a trivial call of
# pytest's takes 25. Asking costs 4, in each phase. Should one be missed, the next look finds it.
STARTS_S = 50e-6


class PhaseClock:
    """One per process. Phases come from one thread; what a sampler asks for, from any.

    `sampler`: the one whose thread's CPU time is nobody's; to be set when there is one.
    """

    def __init__(self) -> None:
        self.sampler: Sampler | None = None
        self.left: list[tuple[str, Relative]] = []
        self._family = Family()
        self._lock = threading.Lock()
        self._turns, self._sampler_s = 0, 0.0
        self._inside_s = 0.0
        self._outside_s: float | None = None
        self._own_s_at_start = self._waited_s = 0.0
        self._waited_first_s: float | None = None
        self._serving = True
        self._guests: list[Relative] = []
        self._tests_s = 0.0
        self._between_s = 0.0
        self._strangers: list[Relative] = []

    # -- phases --------------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Before a test that follows something else than a test: whoever lives now, and what was used, is others'."""
        with self._lock:
            if self._family.has_children():
                self._family.look()
            self._strangers += self._family.new
            for relative in self._taken():
                self._family.set_aside(relative)
            self._tests_s = self._of_tests_s()
            if self._waited_first_s is None:
                self._waited_first_s = self._waited_s

    def begin(self) -> None:
        """Before the first phase of a test."""
        if not self._family.living and not self._guests and waited_s() == self._waited_s:
            return  # nothing has happened since the last phase
        self._guests = []
        with self._lock:
            self._taken()
            tests_s = self._of_tests_s()
            self._between_s += max(0.0, tests_s - self._tests_s)
            self._tests_s = tests_s

    def start(self, *, serving: bool) -> None:
        """A phase begins; `serving`: what it starts may serve other tests too, as it is for fixtures."""
        self._serving = serving
        self._own_s_at_start = own_s = self._own_s()
        self._outside_s = own_s - self._inside_s

    def stop(self) -> float:
        """The phase is over: its CPU seconds."""
        used_s = self._own_s() - self._own_s_at_start
        self._inside_s += used_s
        self._outside_s = None
        family = self._family
        if not family.living and (used_s < STARTS_S or (waited_s() == self._waited_s and not family.has_children())):
            return used_s
        with self._lock:
            self._look()
            tests_s = self._of_tests_s()
            new = self._taken()
            if not self._serving:
                self._guests += new
            used_s += max(0.0, tests_s - self._tests_s)
            self._tests_s = tests_s
        return used_s

    def end(self, test: str) -> None:
        """After the last phase of a test: what it has started itself and lives on is left behind."""
        if not self._guests:
            return
        with self._lock:
            for relative in self._guests:
                if self._family.living.get(relative.pid) is relative:
                    self._family.set_aside(relative)
                    if not relative.ended:
                        self.left.append((test, relative))
            self._tests_s = self._of_tests_s()

    def now_s(self) -> float:
        """CPU seconds of this process and its family so far, for a stretch of a phase."""
        with self._lock:
            self._look()
            return self._own_s() + self._of_tests_s()

    # -- what is no test's ---------------------------------------------------------------------------------------------

    def outside_s(self) -> float:
        """CPU seconds of this process that no phase had, the sampler's own among them."""
        outside_s, sampler_s = self._outside_s, self.sampler.cpu_s() if self.sampler is not None else 0.0
        if outside_s is None:
            outside_s = time.process_time() - sampler_s - self._inside_s
        return outside_s + sampler_s

    def background_s(self) -> float:
        """CPU seconds of what was left behind, and of servers between tests. Looks for new processes too."""
        with self._lock:
            self._look()
            _, aside_s = self._family.read()
            return aside_s - sum(stranger.after_s for stranger in self._strangers) + self._between_s

    def strays(self, tests: Collection[str], since: float) -> Iterator[tuple[str, Relative]]:
        """Daemons of these tests: processes that are not below this one any more. Nobody had seen what they use."""
        if self._waited_first_s is not None and (waited_s() > self._waited_first_s or self._family.living):
            # Else tests have started nothing.
            known = {os.getpid(), *self._family.living}
            yield from strays(tests, since, known)

    # -- within --------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._family.living or self._family.has_children():
            self._family.look()

    def _taken(self) -> list[Relative]:
        """The newly found."""
        new, self._family.new = self._family.new, []
        return new

    def _of_tests_s(self) -> float:
        """What the family has used, but for those who are set aside."""
        all_s, aside_s = self._family.read()
        self._waited_s = waited_s()
        return all_s - aside_s

    def _own_s(self) -> float:
        """CPU time of this process, all threads but the sampler's."""
        sampler = self.sampler
        if sampler is not None and (sampler.turns != self._turns or self._turns & 1):
            self._turns = sampler.turns
            self._sampler_s = sampler.cpu_s()
        return time.process_time() - self._sampler_s
