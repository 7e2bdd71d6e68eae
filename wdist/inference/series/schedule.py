"""When the critic that collects evidence is replaced: a rule that is fixed before any batch is seen."""

from wdist.errors import OptionError


def is_replacement(update: int) -> bool:
    """Whether the critic of this update, numbered from 1 within its epoch, becomes the one that collects evidence."""
    if update < 1:
        raise OptionError(f"{update}: updates are numbered from 1")
    return update & (update - 1) == 0
