"""Paths that lead to no file: refused by the library's own errors, saying what is there."""

import json
from pathlib import Path

import numpy as np
import pytest

from einkorn import checkpoint, nn, training
from einkorn.errors import ArgumentError, CheckpointError, DTypeError


def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(CheckpointError, match="is a folder, expected a file"):
        checkpoint.load_weights(model, tmp_path)
    with pytest.raises(CheckpointError, match="is a device or a pipe, expected a file"):
        checkpoint.load("/dev/null")
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.read_metadata(tmp_path / "no")
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        checkpoint.load_weights(model, "a" * 300)


def test_null_characters() -> None:
    model = nn.Linear(2, 1)
    for call in (
        lambda: checkpoint.save_weights(model, "a\0b"),
        lambda: checkpoint.load_weights(model, "a\0b"),
        lambda: checkpoint.save({}, "a\0b"),
        lambda: checkpoint.load("a\0b"),
        lambda: checkpoint.read_metadata("a\0b"),
    ):
        with pytest.raises(ArgumentError, match=r"path is .a.x00b., and no path holds a null character"):
            call()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (training.ModelCheckpoint, "filepath"),
        (training.BackupAndRestore, "backup_dir"),
        (training.CSVLogger, "filename"),
        (training.TensorBoard, "log_dir"),
    ],
)
def test_callbacks_refuse_what_is_no_path(make, name) -> None:
    with pytest.raises(ArgumentError, match=f"{name} is .a.x00b., and no path holds a null character"):
        make("a\0b")
    model = nn.Sequential(nn.Linear(3, 2))
    model.compile("sgd", "mse")
    with pytest.raises((ArgumentError, CheckpointError), match=f"{make.__name__}: .*x{{300}}"):
        model.fit(np.zeros((4, 3), np.float32), np.zeros((4, 2)), verbose=0, callbacks=[make("x" * 300)])


def test_floats_of_one_byte_are_read_as_float32(tmp_path: Path) -> None:
    """safetensors' types that NumPy lacks: values by the definition of E4M3 and E5M2."""
    entries = {
        "weight": {"dtype": "F8_E4M3", "shape": [1, 2], "data_offsets": [0, 2]},
        "bias": {"dtype": "F8_E5M2", "shape": [1], "data_offsets": [2, 3]},
    }
    header = json.dumps(entries).encode()
    path = tmp_path / "small.safetensors"
    # 0 0111 000 is 1, 1 1000 100 is -2 * 1.5; 0 10000 01 is 2 * 1.25.
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes([0b00111000, 0b11000100, 0b01000001]))
    model = nn.Linear(2, 1)
    checkpoint.load_weights(model, path)
    assert model.weight.numpy().tolist() == [[1.0, -3.0]]
    assert model.bias.numpy().tolist() == [2.5]


def test_numbers_beyond_a_type_are_refused_before_any_is_written() -> None:
    model = nn.Linear(2, 1)
    before = model.weight.numpy().copy()
    state = {"weight": np.ones((1, 2)), "bias": np.array([1e300])}
    with pytest.raises(DTypeError, match=r"bias holds 1e\+300, which is beyond float32"):
        model.load_state_dict(state)
    assert model.weight.numpy().tolist() == before.tolist()
    model.load_state_dict({"weight": np.ones((1, 2)), "bias": np.array([np.inf])})
    assert model.bias.numpy().tolist() == [np.inf]
    model.double().load_state_dict(state)
    assert model.bias.numpy().tolist() == [1e300]
