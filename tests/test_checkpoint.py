"""Checkpoints: whole or not at all, safe to open, shared with torch."""

import json
import os
import struct
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import einkorn
from einkorn import models, nn
from einkorn.errors import CheckpointError, DTypeError


def same(a, b):
    first, second = a.state_dict(), b.state_dict()
    assert first.keys() == second.keys()
    for key in first:
        assert first[key].dtype == second[key].dtype
        assert_array_equal(first[key], second[key])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_save_and_load(tmp_path, dtype):
    path = tmp_path / "model.safetensors"
    for model in (models.MLP([4, 5, 3], "elu"), models.LeNet5(classic=True), models.Perceptron(2)):
        model.to(dtype)
        einkorn.save(model, path)
        twin = einkorn.load(str(path))
        assert type(twin) is type(model)
        assert twin.config == model.config
        assert twin.training
        same(model, twin)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_only_registered_models_are_saved(tmp_path):
    class Own(nn.Linear):
        pass

    with pytest.raises(CheckpointError, match=r"Own is no registered model.*save_weights"):
        einkorn.save(Own(2, 2), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_any_module(tmp_path):
    path = tmp_path / "weights.safetensors"
    model, twin = nn.Sequential(nn.Linear(2, 3), nn.PReLU()), nn.Sequential(nn.Linear(2, 3), nn.PReLU())
    einkorn.save_weights(model, path)
    einkorn.load_weights(twin, path)
    same(model, twin)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors.*missing keys weight, bias"):
        einkorn.load_weights(nn.Linear(2, 3), path)
    with pytest.raises(CheckpointError, match="shape"):
        einkorn.load_weights(nn.Sequential(nn.Linear(3, 2), nn.PReLU()), path)
    result = einkorn.load_weights(nn.Sequential(nn.Linear(2, 3)), path, strict=False)
    assert result.unexpected_keys == ["1.weight"]
    with pytest.raises(CheckpointError, match="names no einkorn model"):
        einkorn.load(path)


def test_files_move_between_torch_and_einkorn(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "weights.safetensors"
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(4, 5))
    ours = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 5))
    safetensors.save_file(theirs.state_dict(), path)
    einkorn.load_weights(ours, path)
    for key, tensor in theirs.state_dict().items():
        assert_array_equal(ours.state_dict()[key], tensor.numpy())
    ours[1].weight.data[...] = 3
    einkorn.save_weights(ours, path)
    theirs.load_state_dict(safetensors.load_file(path))
    assert (theirs[1].weight == 3).all()
    # the arrays of a model written by save are there for torch, too
    einkorn.save(models.SoftmaxRegression(4, 5), path)
    assert safetensors.load_file(path)["linear.weight"].shape == (5, 4)


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    einkorn.save(models.MLP([2, 3, 2]), path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be written: disk full"):
                einkorn.save(models.MLP([2, 9, 2]), path)
        assert path.read_bytes() == before
        assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        einkorn.save(models.MLP([2, 9, 2]), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_file_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append("sync"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    einkorn.save(models.MLP([2, 2]), tmp_path / "model")
    assert calls[:2] == ["sync", "rename"]


def test_equal_models_give_equal_files_that_safetensors_reads(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    module = nn.Linear(2, 3)
    module.register_buffer("flag", np.array([True]))
    module.register_buffer("count", np.array(7, np.int64))
    module.register_buffer("nothing", np.zeros((0, 4)))
    for name in "ab":
        einkorn.save_weights(module, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    arrays = safetensors.load_file(tmp_path / "a")
    assert arrays.keys() == module.state_dict().keys()
    for key, value in module.state_dict().items():
        assert arrays[key].dtype == value.dtype
        assert_array_equal(arrays[key], value)
    module.register_buffer("strange", np.zeros(1, complex))
    with pytest.raises(CheckpointError, match="strange is complex128"):
        einkorn.save_weights(module, tmp_path / "a")


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        einkorn.save(models.MLP([2, 2]), tmp_path / "absent" / "model")
    with pytest.raises(CheckpointError, match="there is no such file"):
        einkorn.load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="is a folder, expected a file"):
        einkorn.load(tmp_path)


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    einkorn.save(models.MLP([2, 2]), link)
    assert link.is_symlink()
    assert isinstance(einkorn.load(target), models.MLP)


def write(path, arrays, metadata, tensors=None):
    """A safetensors file written out by hand, so that it can be wrong."""
    head, offset, body = {"__metadata__": metadata} if metadata is not None else {}, 0, b""
    for key, array in arrays.items():
        body += array.tobytes()
        kind = {"float32": "F32", "float64": "F64", "int64": "I64"}[array.dtype.name]
        head[key] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    head.update(tensors or {})
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def meta(model="mlp", config='{"sizes": [2, 3]}', form="einkorn-1"):
    return {"format": form, "model": model, "config": config}


ARRAYS = {
    "layers.0.weight": np.ones((3, 2), np.float32),
    "layers.0.bias": np.ones(3, np.float32),
}


def test_a_file_written_by_hand_is_read(tmp_path):
    write(tmp_path / "f", ARRAYS, meta())
    assert einkorn.load(tmp_path / "f").layers[0].weight.numpy().sum() == 6


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        (ARRAYS, None, "names no einkorn model"),
        (ARRAYS, meta(form="einkorn-99"), "names no einkorn model"),
        (ARRAYS, meta("os.system"), "cannot build 'os.system'"),
        (ARRAYS, meta("einkorn.models.MLP"), "expected one of"),
        (ARRAYS, meta(config="[1, 2]"), "no JSON object"),
        (ARRAYS, meta(config="{"), "no JSON"),
        (ARRAYS, meta(config="[" * 100_000), "no JSON"),
        (ARRAYS, meta(config='{"size": 3}'), "cannot build 'mlp'"),
        (ARRAYS, meta(config='{"sizes": "ab"}'), "cannot build 'mlp'"),
        (ARRAYS, meta(config='{"sizes": [2, 3.5]}'), "cannot build 'mlp'"),
        (ARRAYS, meta(config='{"sizes": [2, -3]}'), "cannot build 'mlp'"),
        (ARRAYS, meta(config='{"sizes": [2, NaN]}'), "cannot build 'mlp'"),
        (ARRAYS, meta(config='{"sizes": [2, 4]}'), "larger model than the file holds"),
        (ARRAYS, meta(config='{"sizes": [1000000, 1000000]}'), "larger model than the file"),
        (ARRAYS, meta(config='{"sizes": [1e400, 3]}'), "cannot build 'mlp'"),
        (ARRAYS, meta(config=json.dumps({"sizes": [10**30] * 3})), "larger model than the file"),
        (ARRAYS, meta(config=json.dumps({"sizes": [0] * 100_000})), "larger model than the file"),
        (ARRAYS, meta(config='{"sizes": [2, 2]}'), r"layers\.0\.weight has shape \(3, 2\)"),
        ({}, meta(), "larger model"),
        ({**ARRAYS, "extra": np.ones(1, np.float32)}, meta(), "unexpected keys extra"),
        (ARRAYS, meta("perceptron", '{"in_features": 2}'), "missing keys linear.weight"),
    ],
)
def test_hostile_files_are_refused_by_name(tmp_path, arrays, metadata, message):
    path = tmp_path / "hostile.safetensors"
    write(path, arrays, metadata)
    with pytest.raises(CheckpointError, match=rf"hostile\.safetensors: .*{message}"):
        einkorn.load(path)


def test_corrupt_files_are_refused_by_name(tmp_path):
    path = tmp_path / "corrupt.safetensors"
    einkorn.save(models.MLP([4, 5, 3]), path)
    good = path.read_bytes()
    contents = [b"", b"\x80\x04\x95", good[:7], good[:40], good[:-1], good + b"\0"]
    contents += [b"\xff" * 8 + good[8:], good[:12] + b"\0" + good[13:], b"\0" * len(good)]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"corrupt\.safetensors"):
            einkorn.load(path)
    tensors = {"x": {"dtype": "F32", "shape": [1 << 60, 1 << 60], "data_offsets": [0, 4]}}
    write(path, {}, meta(), tensors)
    with pytest.raises(CheckpointError, match=r"corrupt\.safetensors"):
        einkorn.load(path)


def test_a_pickle_is_never_opened(tmp_path):
    import pickle

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError):
        einkorn.load(path)
    assert not (tmp_path / "sprung").exists()


def test_loading_draws_no_random_numbers(tmp_path):
    einkorn.save(models.MLP([4, 5, 3]), tmp_path / "model")
    einkorn.manual_seed(0)
    first = einkorn.ops.uniform((3,))
    einkorn.manual_seed(0)
    einkorn.load(tmp_path / "model")
    assert_array_equal(einkorn.ops.uniform((3,)), first)


# --- two-byte floats, and files of another kind -----------------------------------------------------


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_two_byte_floats_of_torch_are_loaded(tmp_path, kind):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    theirs = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.PReLU()).to(getattr(torch, kind))
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    from_file = nn.Sequential(nn.Linear(3, 5), nn.PReLU())
    einkorn.load_weights(from_file, tmp_path / "weights.safetensors")
    direct = nn.Sequential(nn.Linear(3, 5), nn.PReLU())
    direct.load_state_dict(theirs.state_dict())
    for model in (from_file, direct):
        for key, array in model.state_dict().items():
            assert array.dtype == np.float32
            assert_array_equal(array, theirs.state_dict()[key].float())
    same(from_file, direct)


def test_bfloat16_needs_no_package_that_knows_it(tmp_path, monkeypatch):
    values = np.array([1.0, -2.5, 3.0e38, 0.0, np.inf], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    header = json.dumps({"weight": {"dtype": "BF16", "shape": [1, 5], "data_offsets": [0, 10]}}).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + halves.tobytes())
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    layer = nn.Linear(5, 1, bias=False)
    einkorn.load_weights(layer, path)
    assert_array_equal(layer.weight.numpy()[0], (halves.astype(np.uint32) << 16).view(np.float32))


def test_bfloat16_of_ml_dtypes_is_loaded():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    layer = nn.Linear(2, 1)
    layer.load_state_dict(
        {"weight": np.array([[1.5, -2.0]], ml_dtypes.bfloat16), "bias": np.array([0.25], np.float16)}
    )
    assert_array_equal(layer.weight, [[1.5, -2.0]])
    assert_array_equal(layer.bias, [0.25])
    with pytest.raises(DTypeError, match=r"load_state_dict: bias is .*expected numbers"):
        layer.load_state_dict({"weight": np.zeros((1, 2)), "bias": np.zeros(1, "V2")})


def test_files_of_other_libraries_are_named(tmp_path):
    torch = pytest.importorskip("torch")
    layer = nn.Linear(2, 1)
    new, old = tmp_path / "new.pt", tmp_path / "old.pt"
    torch.save(torch.nn.Linear(2, 1).state_dict(), new)
    torch.save(torch.nn.Linear(2, 1).state_dict(), old, _use_new_zipfile_serialization=False)
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, weight=np.zeros((1, 2)))
    table = tmp_path / "model.h5"
    table.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for path, words in [
        (new, r"new\.pt: .*torch\.save.*safetensors\.torch\.save_file"),
        (old, r"old\.pt: .*torch\.save.*unpickles nothing"),
        (arrays, r"arrays\.npz: .*NumPy arrays"),
        (table, r"model\.h5: .*HDF5"),
    ]:
        for read in (einkorn.load, lambda path: einkorn.load_weights(layer, path)):
            with pytest.raises(CheckpointError, match=words):
                read(path)


def test_dicts_of_arrays_come_back_as_they_were(tmp_path):
    einkorn.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = einkorn.optim.Adam(model.parameters())
    model(np.ones((4, 3), np.float32)).sum().backward()
    optimizer.step()
    path = tmp_path / "net.weights"
    einkorn.save(model.state_dict(), path)
    fresh = nn.Linear(3, 2)
    fresh.load_state_dict(einkorn.load(path, weights_only=True))
    np.testing.assert_array_equal(fresh.weight.data, model.weight.data)
    whole = {
        "epoch": 3,
        "note": "å",
        "best": None,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    einkorn.save({**whole, "t": einkorn.tensor([1, 2]), "pair": (1.5, [True])}, path)
    back = einkorn.load(path, map_location="cpu")
    assert (back["epoch"], back["note"], back["best"], back["pair"]) == (3, "å", None, (1.5, [True]))
    assert isinstance(back["t"], einkorn.Tensor)
    again = einkorn.optim.Adam(fresh.parameters())
    again.load_state_dict(back["optimizer"])
    for net, its in ((model, optimizer), (fresh, again)):
        net.zero_grad()
        net(np.ones((4, 3), np.float32)).sum().backward()
        its.step()
    np.testing.assert_array_equal(fresh.weight.data, model.weight.data)
    with pytest.raises(CheckpointError, match=r"save: a\.b is function, expected arrays"):
        einkorn.save({"a": {"b": lambda: None}}, path)
    with pytest.raises(CheckpointError, match="map_location is 'cuda'"):
        einkorn.load(path, map_location="cuda")


@pytest.mark.parametrize("text", ["", "[", "[1]", '["t","missing"]', '["x",1]', '["d",[[1]]]', "[" * 10000])
def test_a_structure_that_is_none_is_refused(tmp_path, text):
    from safetensors.numpy import save_file

    path = tmp_path / "bad.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, path, {"structure": text})
    with pytest.raises(CheckpointError, match=r"bad\.safetensors: the structure"):
        einkorn.load(path)
