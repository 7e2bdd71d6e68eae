"""Which of several candidates is closer to a reference: bounds, ranking and words, from the figures of results."""

from wdist.inference.comparison.bounds import MAX_CANDIDATES as MAX_CANDIDATES
from wdist.inference.comparison.bounds import check_delta as check_delta
from wdist.inference.comparison.bounds import compared_figures as compared_figures
from wdist.inference.comparison.bounds import statements_needed as statements_needed
from wdist.inference.comparison.words import set_names as set_names
from wdist.inference.comparison.words import warnings_of as warnings_of
