"""Errors that wdist raises. Each message says what is wrong and what to do about it."""

from __future__ import annotations


class WdistError(Exception):
    """Base of every error that wdist raises on purpose."""


class SampleError(WdistError, ValueError):
    """A sample set cannot be used: wrong shape or dtype, too few rows, non-finite values, ..."""


class RepeatedBatchError(SampleError):
    """A monitor has seen this batch before: `number` is that of its update."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number

    def __reduce__(self) -> tuple[type[RepeatedBatchError], tuple[str, int]]:
        return RepeatedBatchError, (str(self), self.number)


class OptionError(WdistError, ValueError):
    """An option is unknown or out of range."""


class UnprovenError(WdistError, TypeError):
    """No Lipschitz bound can be proven for a module, and none is assumed."""


class TrainingError(WdistError, RuntimeError):
    """Training could not continue, for example because of non-finite values."""


class Stopped(WdistError):  # noqa: N818 - a stop on request is not an error
    """The caller asked the run to stop."""
