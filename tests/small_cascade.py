"""A cascade of one stump, for tests that need any."""

from einkorn import ops


def small_cascade(side: int = 20) -> ops.HaarCascade:
    """Windows whose right half is darker than their left pass."""
    return ops.HaarCascade(
        height=side,
        width=side,
        rects=[[[0, 0, side, side], [0, 0, side // 2, side], [0, 0, 0, 0]]],
        weights=[[-1.0, 2.0, 0.0]],
        tilted=[0],
        feature=[0],
        threshold=[0.0],
        left=[0],
        right=[0],
        left_value=[0.0],
        right_value=[1.0],
        tree_nodes=[0, 1],
        stage_trees=[0, 1],
        stage_threshold=[0.5],
    )
