"""Where two sets differ, according to a critic: scores of single rows, the most unusual rows, and the columns."""

from wdist.witness.columns import Column, columns_of
from wdist.witness.scores import UnusualRow, Witness

__all__ = ["Column", "UnusualRow", "Witness", "columns_of"]
