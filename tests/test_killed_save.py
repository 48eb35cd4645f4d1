"""What a killed save leaves behind, and what a checkpoint says beside its arrays."""

import os
import signal
import stat
import subprocess
import sys

import pytest

import einkorn
from einkorn import checkpoint, models
from einkorn.errors import CheckpointError

# Writes a piece, says so, and waits to be killed.
SLOW = """
import sys, time
from einkorn import checkpoint

def chunks():
    yield b"begun"
    print("begun", flush=True)
    time.sleep(60)
    yield b"done"

checkpoint.write_whole(sys.argv[1], chunks())
"""


def begin(path):
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize(("killed", "next_name"), [("a.json", "a.json"), ("model-01.safetensors", "b.json")])
def test_the_next_save_clears_what_a_killed_one_left(tmp_path, killed, next_name):
    with begin(tmp_path / killed) as process:
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    checkpoint.write_whole(tmp_path / next_name, [b"new"])
    assert [path.name for path in tmp_path.iterdir()] == [next_name]


def test_a_save_that_goes_on_is_left_alone(tmp_path):
    with begin(tmp_path / "a.safetensors") as process:
        checkpoint.write_whole(tmp_path / "a.safetensors", [b"new"])
        assert len(list(tmp_path.glob(".*.tmp"))) == 1
        process.kill()


def test_files_of_others_are_left_alone(tmp_path):
    names = [".a.safetensors.tmp", ".notes.txt.0123abcd.tmp", "a.safetensors.0123abcd.tmp", ".x.0123abcd.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    checkpoint.write_whole(tmp_path / "a.safetensors", [b"new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "a.safetensors"])


def test_saves_at_once_do_not_disturb_each_other(tmp_path):
    """Each clears and writes in the same folder: none may take another's file for an abandoned one."""
    code = (
        "import sys; from einkorn import checkpoint\n"
        "for i in range(60): checkpoint.write_whole(sys.argv[1], [b'x' * 1000])"
    )
    paths = [tmp_path / "same.safetensors", tmp_path / "same.safetensors", tmp_path / "other.safetensors"]
    started = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for path in paths]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert sorted(os.listdir(tmp_path)) == ["other.safetensors", "same.safetensors"]


def test_metadata(tmp_path):
    path = tmp_path / "model.safetensors"
    einkorn.save(models.MLP([2, 3]), path, metadata={"note": "größe"})
    found = checkpoint.read_metadata(path)
    assert found["note"] == "größe"
    assert found["model"] == "mlp"
    assert einkorn.load(path).config == {"sizes": [2, 3], "activation": "relu"}
    for wrong in ({"model": "lenet5"}, {"note": 3}, {3: "note"}):
        with pytest.raises(CheckpointError, match="save: metadata has"):
            einkorn.save(models.MLP([2, 3]), path, metadata=wrong)
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.read_metadata(tmp_path / "none")
    (tmp_path / "text").write_text("text")
    with pytest.raises(CheckpointError, match="no readable safetensors file"):
        checkpoint.read_metadata(tmp_path / "text")


def test_what_is_no_file_is_written_into(tmp_path):
    """As ``open(path, "wb")`` does: a pipe stays a pipe, and its reader gets the bytes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        checkpoint.write_whole(pipe, [b"one ", b"two"])
        assert reader.stdout.read() == b"one two"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoint.write_whole(tmp_path, [b"a folder"])
    assert tmp_path.is_dir()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_a_file_is_kept(tmp_path, mode):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    path.chmod(mode)
    checkpoint.write_whole(path, [b"new"])
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_names_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("a" * 255)
    checkpoint.write_whole(path, [b"new"])
    assert path.read_bytes() == b"new"
    with pytest.raises(CheckpointError, match=r"aaa: cannot be written: File name too long$"):
        checkpoint.write_whole(tmp_path / ("a" * 256), [b"new"])
    assert len(list(tmp_path.iterdir())) == 1
