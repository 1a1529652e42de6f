"""Sets of blocks that have as many rows together as some other blocks: what controls are drawn from. No torch."""

from collections.abc import Iterator, Sequence

import numpy as np

from grokviz.tasks.blocks import Blocks, Label


def sets_of_rows(blocks: Blocks, pool: Sequence[Label], rows: int, number: int, seed: int) -> list[tuple[Label, ...]]:
    """Sets of blocks out of `pool` that have so many rows together: all, if they are fewer than `number`; else so many."""
    sizes = [len(blocks.rows(label)) for label in pool]
    ways = _ways(sizes, rows)
    total = ways[0][rows]
    if total <= number:
        return [tuple(pool[place] for place in places) for places in _all_sets(sizes, ways, rows)]
    random, found = np.random.default_rng(seed), dict[tuple[Label, ...], None]()
    while len(found) < number:
        places, left = [], rows
        for place, size in enumerate(sizes):
            with_it = ways[place + 1][left - size] if size <= left else 0
            if with_it and random.random() < with_it / ways[place][left]:
                places.append(place)
                left -= size
        found[tuple(pool[place] for place in places)] = None
    return list(found)


def _ways(sizes: Sequence[int], rows: int) -> list[list[int]]:
    """In how many ways the blocks from each place on make so many rows together."""
    ways = [[1] + [0] * rows]
    for size in reversed(sizes):
        after = ways[0]
        ways.insert(0, [after[r] + (after[r - size] if size <= r else 0) for r in range(rows + 1)])
    return ways


def _all_sets(
    sizes: Sequence[int], ways: Sequence[Sequence[int]], rows: int, place: int = 0
) -> Iterator[tuple[int, ...]]:
    if rows == 0:
        yield ()
        return
    if place == len(sizes) or not ways[place][rows]:
        return
    if sizes[place] <= rows:
        yield from ((place, *rest) for rest in _all_sets(sizes, ways, rows - sizes[place], place + 1))
    yield from _all_sets(sizes, ways, rows, place + 1)
