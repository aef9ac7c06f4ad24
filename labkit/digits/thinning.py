"""Thinning: the centre of a digit's lines, one pixel wide."""

import numpy as np
import numpy.typing as npt

# Round a pixel clockwise from the north, as (down, right) of the roll that brings each neighbour to its place.
NEIGHBOURS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))


def centre_lines(ink: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Peel shapes from outside until only lines one pixel wide are left, which hang together as the shapes did.

    Args:
        ink: Shape (n, height, width), True where there is ink.

    Returns:
        The same shape, True on the lines.

    Source: T. Y. Zhang, C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27(3), 1984.
    """
    # One row and column of paper on each side, so that a roll brings nothing round the edge.
    lines = np.pad(ink, ((0, 0), (1, 1), (1, 1))).astype(np.uint8)
    busy = np.arange(len(lines))
    while len(busy):
        before = lines[busy]
        lines[busy] = _peel(_peel(before, south_east=True), south_east=False)
        busy = busy[(lines[busy] != before).any(axis=(1, 2))]
    return lines[:, 1:-1, 1:-1].astype(np.bool_)


def _peel(ink: npt.NDArray[np.uint8], *, south_east: bool) -> npt.NDArray[np.uint8]:
    around = [np.roll(ink, shift, axis=(1, 2)) for shift in NEIGHBOURS]
    count = np.sum(around, axis=0, dtype=np.uint8)
    # How often, going round, ink follows paper: once means that the pixel joins no two parts.
    changes = np.sum([(1 - around[i]) & around[(i + 1) % 8] for i in range(8)], axis=0, dtype=np.uint8)
    north, east, south, west = around[0], around[2], around[4], around[6]
    open_side = (
        ((north & east & south) | (east & south & west))
        if south_east
        else ((north & east & west) | (north & south & west))
    ) == 0
    peeled = (count >= 2) & (count <= 6) & (changes == 1) & open_side
    return ink & ~peeled.astype(np.uint8) & 1
