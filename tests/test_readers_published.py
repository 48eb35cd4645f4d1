"""Readers of data sets in the files that their authors publish, and what they say to damaged ones."""

import gzip
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_data import folder_of

from einkorn import data
from einkorn.errors import ArgumentError, DataError

RNG = np.random.default_rng(0)


def idx(array):
    """An array of bytes in the idx format."""
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_idx(folder, parts, labels):
    images = RNG.integers(0, 256, (len(labels), 28, 28))
    for part in parts:
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.array(labels)))
    return images


def test_fashion_mnist(tmp_path, monkeypatch):
    (tmp_path / "fashion_mnist").mkdir()
    images = write_idx(tmp_path / "fashion_mnist", ("train", "t10k"), [9, 0, 3])
    monkeypatch.setenv("EINKORN_DATA", str(tmp_path))
    (x, y), _ = data.load_fashion_mnist()
    assert_allclose(x[:, 0], images / 255, rtol=1e-6)
    assert [data.FASHION_MNIST_CLASSES[label] for label in y] == ["ankle boot", "T-shirt/top", "dress"]


def test_emnist_stands_upright_and_begins_with_zero(tmp_path):
    images = write_idx(tmp_path, ("emnist-letters-train", "emnist-letters-test"), [1, 26])
    (x, y), _ = data.load_emnist("letters", tmp_path)
    assert y.tolist() == [0, 25]
    assert_allclose(x[:, 0], images.transpose(0, 2, 1) / 255, rtol=1e-6)
    write_idx(tmp_path, ("emnist-letters-train",), [0, 3])
    with pytest.raises(DataError, match="holds no class from 1 to 26 for each"):
        data.load_emnist("letters", tmp_path)
    with pytest.raises(ArgumentError, match="split is 'words', expected one of byclass"):
        data.load_emnist("words")


def test_cifar100(tmp_path):
    records = RNG.integers(0, 256, (3, 3074)).astype(np.uint8)
    records[:, 0], records[:, 1] = [0, 19, 5], [99, 0, 42]
    (tmp_path / "train.bin").write_bytes(records.tobytes())
    (tmp_path / "test.bin.gz").write_bytes(gzip.compress(records[:1].tobytes()))
    (x, y), (_, y_test) = data.load_cifar100(tmp_path)
    assert y.tolist() == [99, 0, 42]
    assert y_test.tolist() == [99]
    assert_allclose(x.reshape(3, -1), records[:, 2:] / 255, rtol=1e-6)
    assert data.load_cifar100(tmp_path, coarse=True)[0][1].tolist() == [0, 19, 5]
    (tmp_path / "train.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(DataError, match="has 9221 bytes, expected records of 3074"):
        data.load_cifar100(tmp_path)
    records[1, 0] = 20
    (tmp_path / "train.bin").write_bytes(records.tobytes())
    with pytest.raises(DataError, match="record 1 has coarse label 20, expected 0 to 19"):
        data.load_cifar100(tmp_path)


def test_usps(tmp_path):
    pixels = np.round(RNG.uniform(-1, 1, (3, 256)), 3)
    lines = [f"{digit:.4f} {' '.join(map(str, row))} " for digit, row in zip((6, 0, 9), pixels, strict=True)]
    (tmp_path / "zip.train.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "zip.test").write_text(lines[0])
    (x, y), (x_test, _) = data.load_usps(tmp_path)
    assert y.tolist() == [6, 0, 9]
    assert_allclose(x.reshape(3, 256), (pixels + 1) / 2, atol=1e-6)
    assert x_test.shape == (1, 1, 16, 16)
    (tmp_path / "zip.test").write_text(f"{lines[0]}\n{lines[1][:-20]}")
    with pytest.raises(DataError, match=r"zip.test: line 2 has 25\d fields"):
        data.load_usps(tmp_path)
    (tmp_path / "zip.test").write_text(lines[0].replace("6.0000", "6.5"))
    with pytest.raises(DataError, match="line 1 is no digit"):
        data.load_usps(tmp_path)


def test_svhn(tmp_path):
    matlab = pytest.importorskip("scipy.io")
    images = RNG.integers(0, 256, (32, 32, 3, 4)).astype(np.uint8)
    for part in ("train", "test"):
        matlab.savemat(
            tmp_path / f"{part}_32x32.mat", {"X": images, "y": [[1], [10], [9], [3]]}, do_compression=True
        )
    (x, y), _ = data.load_svhn(tmp_path)
    assert y.tolist() == [1, 0, 9, 3]
    assert_allclose(x, images.transpose(3, 2, 0, 1) / 255, rtol=1e-6)
    path = tmp_path / "train_32x32.mat"
    content = path.read_bytes()
    for damaged in (content[:200], content[: len(content) // 2], b"MATLAB 5.0" * 30, b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"train_32x32\.mat"):
            data.load_svhn(tmp_path)
    matlab.savemat(path, {"X": images[:16], "y": [[1]] * 4})
    with pytest.raises(DataError, match=r"X has shape \(16, 32, 3, 4\)"):
        data.load_svhn(tmp_path)


def test_texts_and_pairs(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(gzip.compress("eins\r\nzwei\u2028halb\n\ndrei".encode()))
    assert data.read_lines(path) == ["eins", "zwei\u2028halb", "", "drei"]
    other = tmp_path / "other"
    other.write_text("one\ntwo\n\nthree\n")
    assert data.read_pairs(path, other)[1] == ("zwei\u2028halb", "two")
    other.write_text("one\n")
    with pytest.raises(DataError, match=r"has 4 lines and .*other 1, expected"):
        data.read_pairs(path, other)
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
        archive.writestr("fra.txt", "Go.\tVa !\tCC-BY\n\nHi.\tSalut !\n")
        archive.writestr("_about.txt", "from whom")
    assert data.read_pairs(tmp_path / "pairs.zip") == [("Go.", "Va !"), ("Hi.", "Salut !")]
    content = (tmp_path / "pairs.zip").read_bytes()
    (tmp_path / "pairs.zip").write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"pairs\.zip: cannot be unpacked"):
        data.read_pairs(tmp_path / "pairs.zip")
    other.write_text("a\tb\nalone\n")
    with pytest.raises(DataError, match="line 2 holds no"):
        data.read_pairs(other)
    other.write_bytes(b"good\n\xff\xfe\n")
    with pytest.raises(DataError, match="line 2 is no text in UTF-8"):
        data.read_lines(other)
    packed = gzip.compress(b"text" * 1000)
    other.write_bytes(packed[:-9])
    with pytest.raises(DataError, match="truncated"):
        data.read_lines(other)


def test_published_pairs_are_read():
    folder = folder_of("multi30k")
    pairs = data.read_pairs(folder / "val.en.gz", folder / "val.de.gz")
    assert len(pairs) == 1014
    assert pairs[0][0].startswith("A group of men are loading cotton")
    assert len(data.read_pairs(folder_of("tatoeba") / "fra-eng.zip")) == 142787


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "table.parquet"
    parquet.write_table(arrow.table({"age": [31, None], "job": ["cook", None], "ok": [True, False]}), path)
    table = data.read_parquet(path)
    assert table.names == ["age", "job", "ok"]
    assert_array_equal(table.column("age"), [31, np.nan])
    assert table.column("job").tolist() == ["cook", ""]
    assert table.column("ok").tolist() == [1, 0]
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(DataError, match="is no whole Parquet file"):
        data.read_parquet(path)
    parquet.write_table(arrow.table({"many": [[1], [2, 3]]}), path)
    with pytest.raises(DataError, match="column many holds list"):
        data.read_parquet(path)
    with pytest.raises(DataError, match="there is no such file"):
        data.read_parquet(tmp_path / "none.parquet")
