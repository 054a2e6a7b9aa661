"""Everything this package raises on purpose.

GreencodeError
  UsageProblem            the user can mend it: a flag, a file, a permission (pytest exit code 4)
    FileFormatError       a file that the user wrote: file, line, field, expected, found
      SampleFormatError   a samples file
    MeterUnavailable      no energy counter of the CPU can be read here; why, and what to paste
  SandboxError            the harness failed, never the model
    SandboxUnavailable    no such sandbox here; the message carries the remedy
    SandboxLost           the sandbox died under an attempt; the attempt may be run again elsewhere
  LedgerError             the ledger cannot be read or written
"""

from __future__ import annotations


class GreencodeError(Exception):
    """Base of all errors of this package."""


class UsageProblem(GreencodeError):
    """The user can mend it; the text says what happened, where, what was expected and what to do.

    A line that begins with a tab is a command to paste; whoever shows the text shows it whole.
    """


class FileFormatError(UsageProblem):
    """A file that the user wrote is broken; `field` is a dotted path."""

    def __init__(self, path: str, line: int | None, field: str | None, expected: str, found: str) -> None:
        where = path if line is None else f"{path}:{line}"
        what = "" if field is None else f" field {field!r}:"
        super().__init__(f"{where}:{what} expected {expected}, found {found}")
        self.path, self.line, self.field, self.expected, self.found = path, line, field, expected, found


class SampleFormatError(FileFormatError):
    """A samples file is broken."""


class MeterUnavailable(UsageProblem):
    """No energy counter can be had on this machine: `reason` says why, `remedy` what to do ("" if nothing helps)."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}\n{remedy}" if remedy else reason)
        self.reason, self.remedy = reason, remedy


class SandboxError(GreencodeError):
    """The harness failed; never counted against a model."""


class SandboxUnavailable(SandboxError, UsageProblem):
    """The sandbox cannot be had on this machine."""


class SandboxLost(SandboxError):
    """The sandbox died while it held an attempt."""


class LedgerError(UsageProblem):
    """The ledger cannot be read or written."""
