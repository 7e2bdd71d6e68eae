"""How much training an estimate gets by default, and what a step of it costs; known without torch."""

from wdist.critics.registry import FAMILIES

BATCH_ROWS = 256  # rows of each side in a mini-batch, unless a family takes more
DIMENSION_OF_TABLES = 64  # rows of at most this dimension count as tables, with narrower nets and smaller rates

# Milliseconds a step of 2 x 256 rows, measured on one and on two threads: GroupSort 64 x 6 on 8 columns (66e6
# operations) 5.7 and 9.9, 256 x 5 on 784 columns (1.4e9) 49 and 42. Threads that wait for each other cost more beside
# other work.
OPERATIONS_PER_THREAD = 3e8


def default_steps(train_rows: int) -> int:
    """Steps when the caller sets no budget: about 45 passes over the train rows of one side, from 200 to 2,000."""
    return int(min(2000, max(200, 45 * train_rows / BATCH_ROWS)))


WARM_SHARE = 4  # an update of a monitor takes a quarter of the steps of a critic that is trained from its start


def warm_steps(train_rows: int) -> int:
    """Steps of training on from the last critic of a monitor, when the caller sets none."""
    return max(1, default_steps(train_rows) // WARM_SHARE)


def dense_size(dimension: int) -> tuple[int, int]:
    """Width and depth of a dense net for rows of this dimension: narrow and deep for tables, wide for everything else.

    Measured held out on magic04, 2 seeds, 40 % of the rows: 64 x 6 reaches 1.943 (1,000 steps, 6.8 s), and so does
    256 x 5 (34 s); 128 x 3 reaches 1.928 (600 steps, 3.5 s) and 1.937 (2,000 steps, 12 s).
    """
    return (64, 6) if dimension <= DIMENSION_OF_TABLES else (256, 5)


def training_operations(rows: int, weights: int) -> float:
    """Operations of one step on so many rows of a net with so many weights: 6 for each, forward and backward passes."""
    return 6.0 * rows * weights


def step_threads(operations: float, available: int) -> int:
    """Of the `available` threads, how many to use for steps of so many floating-point operations."""
    return int(max(1, min(available, operations / OPERATIONS_PER_THREAD)))


def step_operations(dimension: int, critic: str) -> float:
    """Floating-point operations of one training step on rows of this dimension, roughly; critic: a family or 'auto'."""
    width, depth = dense_size(dimension)
    weights = dimension * width + (depth - 1) * width**2
    factor = FAMILIES[critic].step_cost if critic in FAMILIES else 1.0
    return factor * training_operations(2 * BATCH_ROWS, weights)
