"""Errors a user of the library can act on; each message names the thing and the next action."""


class WdistError(Exception):
    """Base of every error that wdist raises on purpose."""


class SampleError(WdistError, ValueError):
    """A sample set cannot be used: wrong shape, dtype, too few rows, non-finite values, ..."""


class OptionError(WdistError, ValueError):
    """An option is unknown or out of range."""


class UnprovenError(WdistError, TypeError):
    """No Lipschitz bound can be proven for a module; nothing is assumed."""


class TrainingError(WdistError, RuntimeError):
    """Training could not go on (non-finite steps, for example)."""


class Stopped(WdistError):  # noqa: N818 - an order obeyed, not a failure
    """The caller asked the run to stop."""
