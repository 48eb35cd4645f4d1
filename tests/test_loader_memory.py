"""Batches that worker processes hand over in memory: whole whoever holds them, and nothing left of it."""

import multiprocessing
import os
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import einkorn
from einkorn import data


class Pictures(data.Dataset):
    """Rows of the sizes that a test wants."""

    def __init__(self, shape=(3, 5), rows=24):
        self.shape, self.rows = shape, rows

    def __len__(self):
        return self.rows

    def __getitem__(self, row):
        return {"x": np.full(self.shape, row, np.float32), "name": f"row {row}", "y": row, "z": (row, 0.5)}


def same(batches, others):
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        assert batch["name"] == other["name"]
        for name in ("x", "y"):
            assert_array_equal(batch[name], other[name], strict=True)
        for part, its in zip(batch["z"], other["z"], strict=True):
            assert_array_equal(part, its, strict=True)


@pytest.mark.parametrize("shape", [(3, 5), (0,), (), (40, 70)])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_batches_are_kept_whole_however_many_the_caller_holds(shape, method):
    loader = data.DataLoader(Pictures(shape), 4, num_workers=2, multiprocessing_context=method)
    kept = list(loader)  # more than there are slots
    same(kept, list(data.DataLoader(Pictures(shape), 4)))
    again = iter(loader)
    first = next(again)
    first["x"] += 1000  # the batch is the caller's
    same(list(again), kept[1:])
    assert_array_equal(first["x"], kept[0]["x"] + 1000)


def test_a_view_keeps_the_memory_of_its_batch():
    corners = []
    for batch in data.DataLoader(Pictures((64, 64)), 1, num_workers=1):
        corners.append(batch["x"][0, 3:5, ::7])
        del batch
    assert [float(corner.mean()) for corner in corners] == list(range(24))


def test_batches_of_many_sizes_and_kinds():
    def collate(rows):
        size = rows[0]["y"] * 1000
        array = np.arange(size, dtype=np.int16)
        return [
            array,
            array[::2],
            array.reshape(-1, 100).T,
            array.view(">i2"),
            None,
            b"x" * size,
            einkorn.ones(3),
        ]

    for batch, other in zip(
        data.DataLoader(Pictures(), 3, collate_fn=collate, num_workers=2),
        data.DataLoader(Pictures(), 3, collate_fn=collate),
        strict=True,
    ):
        for part, its in zip(batch, other, strict=True):
            if isinstance(its, np.ndarray):
                assert_array_equal(part, its, strict=True)
            else:
                assert type(part) is type(its)
        assert batch[5] == other[5]


def test_what_a_users_function_keeps_is_not_written_over():
    kept = []

    def collate(rows):
        kept.append(data.default_collate(rows)["x"])
        return kept[0], len(kept)

    for first, count in data.DataLoader(Pictures(), 4, collate_fn=collate, num_workers=1):
        assert_array_equal(first, data.default_collate([Pictures()[row] for row in range(4)])["x"])
        assert count > 0


def files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_workers_leave_nothing_open():
    def names():
        return sorted(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else []

    list(data.DataLoader(Pictures(), 4, num_workers=2))
    before, shared, others = files(), names(), set(multiprocessing.active_children())
    for _ in range(3):
        list(data.DataLoader(Pictures(), 4, num_workers=2))
        next(iter(data.DataLoader(Pictures(), 4, num_workers=2, persistent_workers=True)))
    deadline = time.monotonic() + 30
    while set(multiprocessing.active_children()) - others and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(multiprocessing.active_children()) - others
    assert files() <= before
    assert names() == shared
