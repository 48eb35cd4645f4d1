"""Datasets of datasets, samplers, and loaders with workers."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_problems import blobs, classifier

import einkorn
from einkorn import data
from einkorn.data import get_worker_info
from einkorn.errors import ArgumentError, DataError, IndexRangeError, ShapeError
from einkorn.random import Generator


class Squares(data.Dataset):
    """Numbers and their squares, with what else a test wants done to a row."""

    def __init__(self, rows, touch=lambda row: None):
        self.rows = rows
        self.touch = touch

    def __len__(self):
        return self.rows

    def __getitem__(self, row):
        self.touch(row)
        return np.full(2, row, np.float32), row * row


def seen(loader):
    return [batch[1].tolist() for batch in loader]


# --- datasets ----------------------------------------------------------------------------------------


def test_datasets_of_datasets():
    both = Squares(3) + data.Subset(Squares(10), [7, 5])
    assert [both[i][1] for i in range(5)] == [0, 1, 4, 49, 25]
    assert both[-1][1] == 25
    assert both.cumulative_sizes == [3, 5]
    with pytest.raises(IndexRangeError, match="index 5 is out of range for 5 rows"):
        both[5]
    stacked = data.StackDataset(image=Squares(3), label=range(3))
    assert stacked[2]["label"] == 2
    assert next(iter(data.DataLoader(stacked, 2)))["label"].tolist() == [0, 1]
    with pytest.raises(ShapeError, match=r"\[3, 4\] rows"):
        data.StackDataset(Squares(3), Squares(4))
    tensors = data.TensorDataset(np.arange(4.0), einkorn.Tensor(np.arange(4.0)))
    assert tensors[1] == (1.0, 1.0)
    model = classifier()
    x, y = blobs(20)
    rows = data.Subset(data.TensorDataset(x, y), list(range(10)))
    assert model.evaluate(rows) == pytest.approx(model.evaluate(x[:10], y[:10]))


def test_splits_have_no_row_in_common():
    parts = data.random_split(range(10), [0.5, 0.25, 0.25], Generator(0))
    assert [len(part) for part in parts] == [6, 2, 2]
    assert sorted(row for part in parts for row in part.indices) == list(range(10))
    again = data.random_split(range(10), [6, 2, 2], Generator(0))
    assert [part.indices for part in again] == [part.indices for part in parts]
    with pytest.raises(ArgumentError, match=r"lengths is \[5, 4\], expected .* the sum 10"):
        data.random_split(range(10), [5, 4])
    y = np.array([0] * 60 + [1] * 30 + [2] * 11)
    parts = data.stratified_split(range(101), y, [0.8, 0.2], Generator(1))
    counts = [np.bincount(y[part.indices], minlength=3).tolist() for part in parts]
    assert counts == [[48, 24, 9], [12, 6, 2]]
    assert sorted(row for part in parts for row in part.indices) == list(range(101))


# --- samplers ----------------------------------------------------------------------------------------


def test_samplers_draw_what_they_say():
    assert list(data.SequentialSampler(range(4))) == [0, 1, 2, 3]
    assert sorted(data.RandomSampler(range(9))) == list(range(9))
    longer = list(data.RandomSampler(range(3), num_samples=7, generator=Generator(0)))
    assert sorted(longer[:3]) == sorted(longer[3:6]) == [0, 1, 2]
    assert len(longer) == 7
    often = list(data.RandomSampler(range(3), True, 3000, Generator(0)))
    assert np.bincount(often) == pytest.approx(np.full(3, 1000), abs=100)
    assert sorted(data.SubsetRandomSampler([4, 8, 9])) == [4, 8, 9]
    weighted = data.WeightedRandomSampler([0, 1, 3, 0], 4000, generator=Generator(0))
    assert np.bincount(list(weighted), minlength=4) == pytest.approx(np.array([0, 1000, 3000, 0]), abs=120)
    first = [next(iter(data.WeightedRandomSampler([1, 3], 2, False, Generator(i)))) for i in range(2000)]
    assert np.mean(first) == pytest.approx(0.75, abs=0.04)
    assert sorted(data.WeightedRandomSampler([0.1, 0, 5], 2, False)) == [0, 2]
    assert list(data.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    for make, message in [
        (lambda: data.WeightedRandomSampler([1, -1], 2), "weights are not all finite"),
        (lambda: data.WeightedRandomSampler([1, 0], 2, False), "num_samples is 2, and 1 rows"),
        (lambda: data.BatchSampler(range(3), 0, False), "batch_size is 0"),
        (lambda: data.DistributedSampler(range(3), 2, 2), "rank is 2, expected 0 to 1"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            make()


def test_processes_share_the_rows():
    for shuffle in (False, True):
        parts = [list(data.DistributedSampler(range(10), 3, rank, shuffle)) for rank in range(3)]
        assert [len(part) for part in parts] == [4, 4, 4]
        assert set().union(*parts) == set(range(10))
        cut = [
            list(data.DistributedSampler(range(10), 3, rank, shuffle, drop_last=True)) for rank in range(3)
        ]
        assert len({row for part in cut for row in part}) == 9
    sampler = data.DistributedSampler(range(50), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    torch = pytest.importorskip("torch")
    for options in ({}, {"drop_last": True}):
        theirs = torch.utils.data.DistributedSampler(range(10), 3, 1, False, **options)
        assert list(data.DistributedSampler(range(10), 3, 1, False, **options)) == list(theirs)


def test_rows_of_like_length_come_together():
    lengths = np.random.default_rng(0).integers(1, 100, 500)
    sampler = data.BucketSampler(lengths, 10, batches_of_bucket=10, generator=Generator(0))
    batches = list(sampler)
    assert len(batches) == len(sampler) == 50
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    padding = sum(lengths[batch].max() * len(batch) - lengths[batch].sum() for batch in batches)
    plain = [list(range(i, i + 10)) for i in range(0, 500, 10)]
    without = sum(lengths[batch].max() * 10 - lengths[batch].sum() for batch in plain)
    assert padding < without / 4
    assert list(sampler) != batches
    rows = data.DataLoader(Squares(500), batch_sampler=data.BucketSampler(lengths, 10, False))
    assert lengths[np.sqrt(next(iter(rows))[1]).astype(int)].tolist() == sorted(lengths)[:10]


def test_loaders_take_samplers():
    loader = data.DataLoader(Squares(6), 2, sampler=[5, 0, 3])
    assert seen(loader) == [[25, 0], [9]]
    assert len(loader) == 2
    assert seen(data.DataLoader(Squares(6), batch_sampler=[[1, 2, 3], [0]])) == [[1, 4, 9], [0]]
    arrays = data.DataLoader((np.arange(6), np.arange(6) ** 2), 2, sampler=[5, 0, 3])
    assert seen(arrays) == [[25, 0], [9]]
    assert [row[1] for row in data.DataLoader(Squares(3), None)] == [0, 1, 4]
    joined = data.DataLoader(Squares(3), 3, collate_fn=lambda rows: sum(row[1] for row in rows))
    assert list(joined) == [5]
    assert data.default_collate([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])["b"] == ["x", "y"]
    first = seen(data.DataLoader(Squares(20), 4, True, generator=Generator(3)))
    assert first == seen(data.DataLoader(Squares(20), 4, True, seed=3))
    for options, message in [
        ({"sampler": [1], "shuffle": True}, "sampler and shuffle are both given"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler makes the batches"),
        ({"collate_fn": 3}, "collate_fn is 3"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"timeout": -1}, "timeout is -1"),
        ({"seed": 1, "generator": Generator(1)}, "generator and seed are both given"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            data.DataLoader(Squares(6), **options)


# --- workers -----------------------------------------------------------------------------------------


class Noisy(data.Dataset):
    """Draws from every generator there is."""

    def __len__(self):
        return 12

    def __getitem__(self, row):
        info = get_worker_info()
        drawn = np.random.random(), float(einkorn.rand(1).data[0])
        return (row, -1 if info is None else info.id, *drawn)


@pytest.mark.parametrize("threads", [False, True])
def test_workers_give_the_batches_in_their_order(threads):
    loader = data.DataLoader(Squares(23), 4, num_workers=2, threads=threads)
    for _ in range(2):
        assert seen(loader) == seen(data.DataLoader(Squares(23), 4))
    shuffled = data.DataLoader(Squares(23), 4, True, num_workers=2, threads=threads, seed=1)
    assert seen(shuffled) == seen(data.DataLoader(Squares(23), 4, True, seed=1))


def test_what_workers_draw_depends_on_the_seed_alone():
    def drawn(seed):
        einkorn.manual_seed(seed)
        return [[part.tolist() for part in batch] for batch in data.DataLoader(Noisy(), 2, num_workers=2)]

    first = drawn(0)
    assert drawn(0) == first
    assert drawn(1) != first
    assert [batch[1] for batch in first] == [[0, 0], [1, 1]] * 3
    numbers = [number for batch in first for part in batch[2:] for number in part]
    assert len(set(numbers)) == len(numbers)  # no two workers draw the same


def test_workers_begin_with_a_function_of_the_users():
    loader = data.DataLoader(
        Noisy(), 12, num_workers=1, worker_init_fn=lambda number: np.random.seed(5 + number)
    )
    (batch,) = loader
    assert_array_equal(batch[2], np.random.RandomState(5).random_sample(12))


class Stream(data.IterableDataset):
    """Counts, and with several workers every worker its share."""

    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        yield from range(first, 11, step)


def test_iterable_datasets():
    assert [batch.tolist() for batch in data.DataLoader(Stream(), 4)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
    ]
    assert len(list(data.DataLoader(Stream(), 4, drop_last=True))) == 2
    shared = [batch.tolist() for batch in data.DataLoader(Stream(), 2, num_workers=2)]
    assert shared == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    both = Stream() + Stream()
    assert sum(len(batch) for batch in data.DataLoader(both, 5)) == 22
    with pytest.raises(ArgumentError, match="Stream is iterable and has an order of its own"):
        data.DataLoader(Stream(), 4, shuffle=True)
    with pytest.raises(TypeError):
        len(data.DataLoader(Stream(), 4))


def failing(row):
    if row == 5:
        raise KeyError("no row 5")


def dying(row):
    if row == 5:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("threads", [False, True])
def test_an_error_in_a_worker_is_raised_and_the_loader_goes_on(threads):
    source = Squares(10, failing)
    loader = data.DataLoader(source, 2, num_workers=2, threads=threads)
    batches = iter(loader)
    assert next(batches)[1].tolist() == [0, 1]
    with pytest.raises(KeyError, match="no row 5"):
        list(batches)
    source.touch = lambda row: None
    assert len(list(loader)) == 5
    assert threading.active_count() < 20


def test_a_worker_that_dies_or_hangs_is_told_of():
    loader = data.DataLoader(Squares(10, dying), 2, num_workers=2)
    with pytest.raises(DataError, match="a worker process died"):
        list(loader)
    loader.dataset.touch = lambda row: None
    assert len(list(loader)) == 5
    slow = data.DataLoader(Squares(4, lambda row: time.sleep(30)), 2, num_workers=1, timeout=0.3)
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"gave no batch in 0\.3 seconds"):
        list(slow)
    assert time.monotonic() - begun < 20
    broken = data.DataLoader(Squares(4), 2, num_workers=1, worker_init_fn=failing.__class__)
    with pytest.raises(DataError, match="worker_init_fn raised an error"):
        list(broken)


INTERRUPTED = """
import signal, sys, time, numpy as np
from einkorn import data

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

class Slow:
    def __len__(self):
        return 1000
    def __getitem__(self, row):
        time.sleep(0.005)
        return np.zeros(3, np.float32), row

try:
    for i, batch in enumerate(data.DataLoader(Slow(), 2, num_workers=2)):
        if i == 2:
            print("running", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_the_loop_and_its_workers():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "running\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers too
    out, errors = process.communicate(timeout=60)
    assert out == "interrupted\n"
    assert errors == ""
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_fit_with_workers_is_fit_without():
    x, y = blobs(40)
    histories = []
    for workers in (0, 2):
        model = classifier()
        rows = list(zip(x, y, strict=True))
        loader = data.DataLoader(rows, 8, True, num_workers=workers, seed=2)
        histories.append(model.fit(loader, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


def test_torchs_place_for_the_classes():
    from einkorn.utils.data import DataLoader, Dataset, random_split

    assert (Dataset, random_split) == (data.Dataset, data.random_split)
    assert issubclass(DataLoader, data.DataLoader)  # whose batches are Tensors
    assert issubclass(einkorn.utils.data.TensorDataset, data.TensorDataset)


def test_workers_end_with_a_caller_that_was_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, time, numpy as np\n"
        "from einkorn.data import DataLoader\n"
        "class Rows:\n"
        "    def __len__(self): return 1000\n"
        "    def __getitem__(self, i): time.sleep(0.01); return np.zeros(2), os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    batches = iter(DataLoader(Rows(), batch_size=2, num_workers=2))\n"
        "    pids = {int(next(batches)[1][0]) for _ in range(4)}\n"
        "    print(*pids, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    workers = [int(pid) for pid in run.stdout.split()]
    assert len(workers) == 2, run.stderr
    assert not any(os.path.exists(f"/proc/{pid}/exe") for pid in workers)


# --- workers that stay ---------------------------------------------------------------------------------


class Whose(Noisy):
    """Tells in which process, or thread, a row is made."""

    def __getitem__(self, row):
        return (*super().__getitem__(row), os.getpid(), threading.get_ident() % 2**31)


@pytest.mark.parametrize("threads", [False, True])
def test_workers_that_stay_draw_what_others_draw(threads):
    def passes(**options):
        loader = data.DataLoader(Whose(), 2, True, num_workers=2, seed=3, threads=threads, **options)
        kept = [list(loader) for _ in range(2)]
        next(iter(loader))  # broken off: what its workers began is left out
        return [*kept, list(loader)]

    fresh, staying = passes(), passes(persistent_workers=True)
    for one, other in zip(fresh, staying, strict=True):
        for batch, its in zip(one, other, strict=True):
            for part, same_part in zip(batch[: 2 if threads else 4], its, strict=False):
                assert_array_equal(part, same_part)
    who = 5 if threads else 4
    assert len({place for one in staying for batch in one for place in batch[who].tolist()}) == 2


def test_two_passes_at_a_time_over_workers_that_stay():
    loader = data.DataLoader(Squares(11), 2, num_workers=2, persistent_workers=True)
    pairs = list(zip(loader, loader, strict=True))
    assert [left[1].tolist() for left, _ in pairs] == [right[1].tolist() for _, right in pairs]
    assert seen(loader) == seen(data.DataLoader(Squares(11), 2))


@pytest.mark.parametrize("threads", [False, True])
def test_workers_that_stay_survive_an_error_and_are_replaced_when_they_die(threads):
    loader = data.DataLoader(Squares(10, failing), 2, num_workers=2, threads=threads, persistent_workers=True)
    with pytest.raises(KeyError, match="no row 5"):
        list(loader)
    pool = loader._kept
    with pytest.raises(KeyError, match="no row 5"):
        list(loader)
    assert loader._kept is pool
    if not threads:
        loader.dataset.touch = lambda row: None
        os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        pool._workers[0].process.join()
        assert len(list(loader)) == 5
    with pytest.raises(ArgumentError, match="persistent_workers is True, expected num_workers > 0"):
        data.DataLoader(Squares(3), persistent_workers=True)


def test_a_stream_begins_anew_with_workers_that_stay():
    loader = data.DataLoader(Stream(), 2, num_workers=2, persistent_workers=True)
    first = [batch.tolist() for batch in loader]
    next(iter(loader))
    assert [batch.tolist() for batch in loader] == first


class TwoPartError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(one)


def unsendable(row):
    if row == 3:
        raise TwoPartError("a", "b")


def test_errors_tell_where_they_were_raised():
    with pytest.raises(KeyError) as told:
        list(data.DataLoader(Squares(10, failing), 2, num_workers=1))
    assert "in failing" in str(told.value.__cause__)
    with pytest.raises(DataError, match=r"a worker raised an error that cannot be sent: .*TwoPartError: a"):
        list(data.DataLoader(Squares(10, unsendable), 2, num_workers=1))
    with pytest.raises(DataError, match="died by signal 9"):
        list(data.DataLoader(Squares(10, dying), 2, num_workers=1))


# --- rows that are gathered ----------------------------------------------------------------------------


class Doubled(data.ArrayDataset):
    """Rows of its own."""

    def __getitem__(self, index):
        return tuple(2 * part for part in super().__getitem__(index))


@pytest.mark.parametrize("options", [{}, {"num_workers": 1}, {"num_workers": 2, "threads": True}])
def test_rows_of_arrays_are_gathered_and_those_of_others_are_asked_for(options):
    x = np.arange(22, dtype=np.float32).reshape(11, 2)
    for dataset, rows in (
        (data.ArrayDataset(x), x),
        (Doubled(x), 2 * x),
        (data.Subset(data.ArrayDataset(x), [4, -1, 0]), x[[4, -1, 0]]),
        (data.Subset(data.Subset(data.ArrayDataset(x), range(3, 9)), np.array([5, 0])), x[[8, 3]]),
        (data.Subset(Doubled(x), [4, 0]), 2 * x[[4, 0]]),
    ):
        found = [batch for (batch,) in data.DataLoader(dataset, 3, **options)]
        assert_array_equal(np.concatenate(found), rows, strict=True)
    batches = data.DataLoader(data.ArrayDataset(x), batch_sampler=[[0, -1], [5]], **options)
    assert_array_equal(np.concatenate([batch for (batch,) in batches]), x[[0, -1, 5]])
    with pytest.raises(IndexError):
        list(data.DataLoader(data.ArrayDataset(x), 2, sampler=[0, 11], **options))


class Fetched(Squares):
    """Gives many rows at once, as torch's datasets may."""

    def __getitems__(self, rows):
        return [(np.full(2, row, np.float32), -row) for row in rows]


def test_datasets_may_give_many_rows_at_once():
    for workers in (0, 1):
        assert seen(data.DataLoader(Fetched(5), 2, num_workers=workers)) == [[0, -1], [-2, -3], [-4]]


@pytest.mark.parametrize("threads", [False, True])
def test_workers_transform_their_batches(threads):
    from einkorn.data import augment

    x = np.random.default_rng(0).random((20, 1, 9, 9), np.float32)
    dataset = data.ArrayDataset(x, np.arange(20))

    def passes(workers, seed, **options):
        einkorn.manual_seed(5)
        loader = data.DataLoader(
            dataset, 6, True, num_workers=workers, threads=threads and workers > 0,
            transform=augment.RandomRotation(40, seed=seed), **options,
        )  # fmt: skip
        return [[(batch[0].copy(), batch[1].copy()) for batch in loader] for _ in range(2)]

    for seed, workers in ((1, 0), (1, 2), (None, 2)):
        found = passes(2, seed, persistent_workers=workers == 0)
        again = passes(workers, seed)
        for one, other in zip(found, again, strict=True):
            for (images, rows), (others, same_rows) in zip(one, other, strict=True):
                assert_array_equal(rows, same_rows)
                assert_array_equal(images, others)
        first = {
            int(row): image for images, rows in found[0] for image, row in zip(images, rows, strict=True)
        }
        second = {
            int(row): image for images, rows in found[1] for image, row in zip(images, rows, strict=True)
        }
        assert not np.array_equal(first[3], second[3])
