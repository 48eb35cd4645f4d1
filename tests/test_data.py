"""Datasets, loaders and the readers of files."""

import bz2
import gzip
import lzma
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import data
from einkorn.errors import ArgumentError, DataError, ShapeError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def folder_of(name):
    """A folder with the real files: under EINKORN_DATA, or beside the repository."""
    for root in (os.environ.get("EINKORN_DATA"), SHARED):
        if root and (Path(root) / name).is_dir():
            return Path(root) / name
    pytest.skip(f"{name} is neither under EINKORN_DATA nor in {SHARED}")


# --- datasets and loaders ----------------------------------------------------------------------


def test_array_dataset():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    dataset = data.ArrayDataset(x, y)
    assert len(dataset) == 6
    assert_array_equal(dataset[2][0], [4, 5])
    assert dataset[2][1] == 2
    assert dataset.arrays[0] is x
    with pytest.raises(ShapeError, match=r"\[6, 5\] rows"):
        data.ArrayDataset(x, y[:5])
    with pytest.raises(ShapeError, match="no axis"):
        data.ArrayDataset(np.float32(1))
    with pytest.raises(ArgumentError, match="no arrays"):
        data.ArrayDataset()


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_hold_every_row_once(shuffle, drop_last, sizes):
    x, y = np.arange(20.0, dtype=np.float32).reshape(10, 2), np.arange(10)
    loader = data.DataLoader(data.ArrayDataset(x, y), 4, shuffle=shuffle, drop_last=drop_last)
    batches = list(loader)
    assert [len(yb) for _, yb in batches] == sizes
    assert len(loader) == len(sizes)
    seen = np.concatenate([yb for _, yb in batches])
    assert len(set(seen)) == sum(sizes)
    for xb, yb in batches:  # also says that a batch which is kept is not written over
        assert_array_equal(xb, x[yb])
    if not shuffle:
        assert_array_equal(seen, np.arange(sum(sizes)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
def test_shuffled_batches_keep_type_and_shape(dtype):
    x = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    batch = next(iter(data.DataLoader(x, 2, shuffle=True, seed=0)))
    assert batch.dtype == dtype
    assert batch.shape == (2, 3, 4)


def test_orders_follow_the_seeds():
    x = np.arange(50)

    def orders(loader, passes=2):
        return [np.concatenate(list(loader)).tolist() for _ in range(passes)]

    def own(seed):
        return orders(data.DataLoader(x, 8, shuffle=True, seed=seed))

    assert own(1) == own(1)
    assert own(1) != own(2)
    assert own(1)[0] != own(1)[1]
    einkorn.manual_seed(3)
    first = orders(data.DataLoader(x, 8, shuffle=True))
    einkorn.manual_seed(3)
    own(1)  # a loader with a seed of its own leaves the generator alone
    assert orders(data.DataLoader(x, 8, shuffle=True)) == first


def test_other_datasets_are_stacked():
    class Squares:
        def __len__(self):
            return 5

        def __getitem__(self, row):
            return np.full(3, row, np.float32), row * row

    batches = list(data.DataLoader(Squares(), 2))
    assert [xb.shape for xb, _ in batches] == [(2, 3), (2, 3), (1, 3)]
    assert_array_equal(batches[1][1], [4, 9])
    values = list(data.DataLoader([1.0, 2.0, 3.0], 2))
    assert_array_equal(values[0], [1, 2])  # of rows that are no tuples, an array


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8])
def test_what_is_done_to_a_batch_does_not_reach_the_dataset(dtype, shuffle):
    x = np.arange(20).reshape(10, 2).astype(dtype)
    kept = x.copy()
    for source in (x, (x, x), data.ArrayDataset(x), list(x)):
        for _ in range(2):
            batches = []
            for batch in data.DataLoader(source, 3, shuffle):
                parts = batch if isinstance(batch, tuple) else (batch,)
                assert isinstance(batch, tuple) == isinstance(source, (tuple, data.ArrayDataset))
                batches.append(parts[0].copy())
                for part in parts:
                    part += 1
                    part[...] = 7
            assert_array_equal(np.sort(np.concatenate(batches), 0), kept)
    assert_array_equal(x, kept)


def test_batches_that_are_lent_cannot_be_written_into():
    x = np.arange(10.0)
    for batch in data.DataLoader(x, 4).lend():
        with pytest.raises(ValueError, match="read-only"):
            batch += 1
        assert np.shares_memory(batch, x)
    assert x.flags.writeable


def test_datasets_are_asked_for_their_rows_and_no_more():
    class Endless:
        def __len__(self):
            return 5

        def __getitem__(self, row):
            assert 0 <= row < 5
            return np.float32(row), row

    assert [len(x) for x, _ in data.DataLoader(Endless(), 2)] == [2, 2, 1]
    with pytest.raises(ArgumentError, match="array 0 is Endless, expected an array"):
        data.ArrayDataset(Endless())
    for rows, message in [
        ([{"x": 1}, {"y": 1}], "rows have different keys"),
        ([(1, 2), (1,)], r"have \[1, 2\] parts"),
        ([np.zeros(2), np.zeros(3)], r"rows have shapes \[\(2,\), \(3,\)\]"),
        ([np.ma.masked_equal([1, 2], 2)], "row 0 is a masked array with 1 masked"),
    ]:
        with pytest.raises((ArgumentError, ShapeError), match=message):
            list(data.DataLoader(rows, 2))
    for bad in ({"x": 1}, "rows", 3, iter([1])):
        with pytest.raises(ArgumentError, match="dataset is"):
            data.DataLoader(bad)
    assert len(next(iter(data.DataLoader(np.zeros(9))))) == 1  # torch's batch size


def test_an_empty_dataset_has_no_batches():
    loader = data.DataLoader(np.zeros((0, 3), np.float32), 4, shuffle=True)
    assert len(loader) == 0
    assert list(loader) == []


def test_bad_loaders_are_refused():
    x = np.zeros(3)
    for arguments, message in [
        ((x, 0), "batch_size is 0"),
        ((x, 2.0), "batch_size is 2.0"),
        ((5, 2), "dataset is int"),
        ((x, 2, "yes"), "shuffle is 'yes'"),
        ((None,), "dataset is NoneType"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            data.DataLoader(*arguments)
    with pytest.raises(ArgumentError, match="seed is -1"):
        data.DataLoader(x, 2, True, seed=-1)
    with pytest.raises(ArgumentError, match="sampler is True"):  # the fourth argument, as in torch
        data.DataLoader(x, 2, True, True)


# --- digits ------------------------------------------------------------------------------------


def test_digits_are_stratified_and_repeatable():
    pytest.importorskip("sklearn")
    (x, y), (xt, yt) = data.load_digits()
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    assert len(y) + len(yt) == 1797
    assert x.shape[1:] == xt.shape[1:] == (1, 8, 8)
    assert x.min() == 0
    assert x.max() == 1
    assert_allclose(np.bincount(yt) / np.bincount(np.r_[y, yt]), 0.2, atol=0.005)
    assert_array_equal(data.load_digits()[0][1], y)
    assert (data.load_digits(seed=1)[0][1][:100] != y[:100]).any()
    rows = {image.tobytes() for image in np.concatenate([x, xt])}
    assert len(rows) > 1790  # nothing is in both halves; a few digits are drawn alike
    with pytest.raises(ArgumentError, match="test_size is 1"):
        data.load_digits(test_size=1)


def test_enlarge():
    x = np.array([[[1, 2], [3, 4]]])
    assert_array_equal(data.enlarge(x, 2), [[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]])
    with pytest.raises(ArgumentError, match="factor"):
        data.enlarge(x, 0)
    with pytest.raises(ShapeError, match="expected"):
        data.enlarge(np.zeros(3), 2)


# --- idx and CIFAR records ---------------------------------------------------------------------


def idx(array, code, dtype):
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + array.astype(dtype).tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_read_idx(tmp_path, code, dtype, suffix):
    values = np.arange(24).reshape(2, 3, 4)
    path = tmp_path / f"values{suffix}"
    content = idx(values, code, dtype)
    path.write_bytes(gzip.compress(content) if suffix else content)
    array = data.read_idx(path)
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    assert array.flags.writeable
    assert_array_equal(array, values)


def test_read_idx_refuses(tmp_path):
    good = idx(np.arange(6).reshape(2, 3), 8, "u1")
    path = tmp_path / "file"
    for content, message in [
        (b"", "no idx magic number"),
        (b"\x89PNG" + good, "no idx magic number"),
        (b"\0\0\x07\1" + good[4:], "no idx magic number"),
        (good[:9], "ends within the sizes"),
        (good[:-1], r"has 17 bytes, expected 18 for shape \(2, 3\)"),
        (good + b"\0", "has 19 bytes, expected 18"),
        (b"\0\0\x08\2" + b"\xff" * 8, "expected 18446744065119617037"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            data.read_idx(path)
    packed = tmp_path / "file.gz"
    for content in (gzip.compress(good)[:-9], b"\x1f\x8b\x08" + b"\xff" * 40):
        packed.write_bytes(content)
        with pytest.raises(DataError, match=r"file\.gz: cannot be read"):
            data.read_idx(packed)
    with pytest.raises(DataError, match="no such file"):
        data.read_idx(tmp_path / "absent")


def records(n, seed=0):
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (n, 3073), dtype=np.uint8)
    array[:, 0] %= 10
    return array


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".xz", lzma.compress), (".gz", gzip.compress)])
def test_read_cifar10(tmp_path, suffix, pack):
    array = records(3)
    path = tmp_path / f"batch.bin{suffix}"
    path.write_bytes(pack(array.tobytes()))
    images, labels = data.read_cifar10(path)
    assert images.dtype == np.uint8
    assert images.shape == (3, 3, 32, 32)
    assert_array_equal(labels, array[:, 0])
    assert images[1, 2, 31, 31] == array[1, -1]
    assert images[1, 1, 0, 0] == array[1, 1 + 1024]


def test_read_cifar10_refuses(tmp_path):
    path = tmp_path / "batch.bin"
    for content, message in [(b"", "has 0 bytes"), (records(2).tobytes()[:-1], "records of 3073")]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            data.read_cifar10(path)
    bad = records(3)
    bad[1, 0] = 77
    path.write_bytes(bad.tobytes())
    with pytest.raises(DataError, match="record 1 has label 77"):
        data.read_cifar10(path)
    packed = tmp_path / "batch.bin.xz"
    packed.write_bytes(lzma.compress(records(2).tobytes())[:-5])
    with pytest.raises(DataError, match="cannot be read"):
        data.read_cifar10(packed)


def write_mnist(folder, suffix=".gz"):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", 7), ("t10k", 3)):
        images = idx(rng.integers(0, 256, (n, 28, 28)), 8, "u1")
        labels = idx(rng.integers(0, 10, n), 8, "u1")
        for name, content in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{part}-{name}-ubyte{suffix}"
            path.write_bytes(gzip.compress(content) if suffix else content)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_load_mnist_from_the_environment(tmp_path, monkeypatch, suffix):
    write_mnist(tmp_path / "mnist", suffix)
    for root in (tmp_path, tmp_path / "mnist"):
        monkeypatch.setenv("EINKORN_DATA", str(root))
        (x, y), (xt, yt) = data.load_mnist()
        assert x.shape == (7, 1, 28, 28)
        assert x.dtype == np.float32
        assert 0.9 < x.max() <= 1
        assert y.dtype == np.int64
        assert len(xt) == len(yt) == 3


PACKERS = {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_what_a_file_is_packed_with_is_told_by_its_content(tmp_path, pack, suffix):
    content = PACKERS[pack]
    images = tmp_path / f"images{suffix}"
    images.write_bytes(content(idx(np.arange(6).reshape(2, 3), 8, "u1")))
    assert_array_equal(data.read_idx(images), np.arange(6).reshape(2, 3))
    batch = tmp_path / f"batch.bin{suffix}"
    batch.write_bytes(content(records(2).tobytes()))
    assert_array_equal(data.read_cifar10(batch)[1], records(2)[:, 0])
    for text in ("a,b\n1,2\n3,4\n", "a,b\n1,x\n3,y\n"):
        table = tmp_path / f"table.csv{suffix}"
        table.write_bytes(content(text.encode()))
        assert data.read_csv(table).numbers("a").tolist() == [1, 3]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_files_with_a_dot_before_idx(tmp_path, suffix):
    write_mnist(tmp_path, suffix)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    (tmp_path / "train-images-idx3-ubyte").mkdir()  # as an archive has it: folders of the other name
    (x, y), (xt, yt) = data.load_mnist(tmp_path)
    assert (len(x), len(y), len(xt), len(yt)) == (7, 7, 3, 3)


def test_a_packed_table_that_is_cut_off(tmp_path):
    text = "".join(f"{i},{i * i}\n" for i in range(5000)).encode()
    for pack in (gzip.compress, lzma.compress, bz2.compress):
        (tmp_path / "t.csv").write_bytes(pack(text)[:-20])
        with pytest.raises(DataError, match=r"t\.csv"):
            data.read_csv(tmp_path / "t.csv")


def test_a_column_in_another_case_or_mistyped_is_suggested(tmp_path):
    (tmp_path / "t.csv").write_text("age,income,Zip code\n1,2,3\n")
    table = data.read_csv(tmp_path / "t.csv")
    for name, meant in (("Income", "income"), ("incom", "income"), (" AGE", "age"), ("zip_code", "Zip code")):
        with pytest.raises(DataError, match=rf"no column '{name}'.*did you mean '{meant}'\?"):
            table.column(name)
    with pytest.raises(DataError, match=r"it has age, income, Zip code$"):
        table.column("weight")


def test_missing_files_are_told_with_the_places(tmp_path, monkeypatch):
    monkeypatch.delenv("EINKORN_DATA", raising=False)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*looked in no folder.*EINKORN_DATA"):
        data.load_mnist()
    with pytest.raises(DataError, match=f"looked in {tmp_path}$"):
        data.load_mnist(tmp_path)
    monkeypatch.setenv("EINKORN_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"data_batch.*looked in {tmp_path}/cifar10, {tmp_path}$"):
        data.load_cifar10()


def test_mnist_files_that_do_not_fit_are_refused(tmp_path):
    write_mnist(tmp_path, "")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(6), 8, "u1"))
    with pytest.raises(DataError, match="no digit for each"):
        data.load_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.arange(6), 8, "u1"))
    with pytest.raises(DataError, match="no images"):
        data.load_mnist(tmp_path)


def test_load_cifar10_joins_its_files(tmp_path):
    parts = [records(2, seed) for seed in range(3)]
    (tmp_path / "data_batch_1.bin").write_bytes(parts[0].tobytes())
    (tmp_path / "data_batch_1.bin.xz").write_bytes(lzma.compress(parts[0].tobytes()))
    (tmp_path / "data_batch_2.bin.xz").write_bytes(lzma.compress(parts[1].tobytes()))
    (tmp_path / "test_batch.bin").write_bytes(parts[2].tobytes())
    with pytest.warns(UserWarning, match="holds 4 of 50,000 training and 2 of 10,000 test images"):
        (x, y), (xt, yt) = data.load_cifar10(tmp_path)
    assert x.shape == (4, 3, 32, 32)
    assert_array_equal(y, np.r_[parts[0][:, 0], parts[1][:, 0]])
    assert_array_equal(yt, parts[2][:, 0])
    assert_allclose(xt[0, 0, 0, 0], parts[2][0, 1] / 255, rtol=1e-6)


def test_the_real_mnist():
    (x, y), (xt, yt) = data.load_mnist(folder_of("mnist"))
    assert x.shape == (60_000, 1, 28, 28)
    assert xt.shape == (10_000, 1, 28, 28)
    assert_array_equal(y[:5], [5, 0, 4, 1, 9])
    assert_array_equal(yt[:5], [7, 2, 1, 0, 4])
    assert x.max() == 1
    assert x.mean() == pytest.approx(0.1307, abs=1e-4)


def test_the_real_cifar10():
    folder = folder_of("cifar10")
    images, labels = data.read_cifar10(folder / "test_batch_first1000.bin.xz")
    assert images.shape == (1000, 3, 32, 32)
    assert_array_equal(labels[:5], [3, 8, 8, 0, 6])
