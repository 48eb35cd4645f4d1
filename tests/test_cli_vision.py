"""Commands on images: predict with networks of the registry, detect with YOLO, explain, style."""

import json

import numpy as np
import pytest

import einkorn
from einkorn import models
from einkorn.cli.main import main

image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A picture, a network with weights and names, a YOLO of one layer."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save("a.png")
    einkorn.manual_seed(0)
    np.savez("w.npz", **models.resnet20(num_classes=3).state_dict())
    (tmp_path / "names.txt").write_text("cat\ndog\ncow\n")
    (tmp_path / "tiny.cfg").write_text(
        "[net]\nchannels=3\nheight=32\nwidth=32\n[convolutional]\nfilters=8\nsize=16\nstride=16\n"
        "[yolo]\nmask=0\nanchors=16,16\nclasses=3\n"
    )
    weights = np.zeros(8 + 8 * 3 * 256, "<f4")
    weights[[4, 6]] = 5  # of objectness and the second class
    (tmp_path / "tiny.weights").write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + weights.tobytes())
    return tmp_path


NETWORK = ["--model", "resnet20", "--weights", "w.npz", "--num-classes", "3", "--names", "names.txt"]


def test_a_network_of_the_registry_predicts_and_explains(files, capsys):
    assert main(["predict", "a.png", *NETWORK, "--top", "1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    best = found["classes"][0]["class"]
    assert best in ("cat", "dog", "cow")
    assert main(["predict", "a.png", *NETWORK]) == 0
    assert capsys.readouterr().out.startswith(f"a.png  {best} ")
    for method in ("gradcam", "cam", "guided"):
        assert main(["explain", "a.png", *NETWORK, "--method", method, "--out", f"{method}.png"]) == 0
        assert f"a.png  {best} " in capsys.readouterr().out
        assert np.asarray(image.open(f"{method}.png")).std() > 5
    assert main(["explain", "a.png", *NETWORK, "--target", "cow", "--layer", "layer2", "--out", "b.png"]) == 0
    assert "cow" in capsys.readouterr().out


def test_yolo_detects(files, capsys):
    assert main(["detect", "a.png", "--yolo", "tiny.cfg", "--names", "names.txt", "--out", "b.png"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 4  # a cell each
    assert rows[0][1:] in [["0", "0", "25", "20", "dog", "0.987"], ["25", "0", "25", "20", "dog", "0.987"]]
    assert image.open("b.png").size == (50, 40)
    assert main(["detect", "a.png", "--yolo", "tiny.cfg", "--threshold", "0.99", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"image": "a.png", "detections": []}]


def test_ultraface_detects(files, capsys):
    einkorn.manual_seed(0)
    np.savez("faces.npz", **models.UltraFace().state_dict())
    assert main(["detect", "a.png", "--faces", "faces.npz", "--threshold", "0", "--out", "b.png"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows
    assert {row[5] for row in rows} == {"face"}
    assert image.open("b.png").size == (50, 40)
    assert main(["detect", "a.png", "--faces", "faces.npz", "--threshold", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"image": "a.png", "detections": []}]


def test_style_is_painted(files, capsys):
    image.fromarray(np.random.default_rng(1).integers(0, 99, (30, 44, 3), dtype=np.uint8)).save("s.png")
    words = ["style", "a.png", "s.png", *NETWORK, "--steps", "3", "--size", "32", "--out", "p.png"]
    assert main(words) == 0
    assert image.open("p.png").size == (32, 26)
    assert "loss" in capsys.readouterr().out
    arrays = {}
    for i, layer in enumerate(models.FastStyle()._layers()):
        arrays[f"Variable_{3 * i}" if i else "Variable"] = layer.conv.weight.numpy().transpose(2, 3, 1, 0)
        arrays[f"Variable_{3 * i + 1}"] = layer.norm.bias.numpy()
        arrays[f"Variable_{3 * i + 2}"] = layer.norm.weight.numpy()
    np.savez("fast.npz", **arrays)
    assert main(["style", "a.png", "fast.npz", "--size", "40", "--out", "q.png"]) == 0
    assert image.open("q.png").size == (40, 32)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "a.png"], "a model and at least one image are expected"),
        (["predict", "a.png", "--model", "resnet20"], "--weights is not given: resnet20"),
        (["predict", "a.png", "--model", "none", "--weights", "w.npz"], "none is no network"),
        (["explain", "a.png"], "--model is not given"),
        (["explain", "a.png", *NETWORK, "--target", "horse"], "--target is 'horse'"),
        (["explain", "a.png", *NETWORK, "--method", "guided", "--layer", "layer1"], "--layer goes with"),
        (["style", "a.png", "a.png", *NETWORK, "--size", "3"], "--size is 3"),
        (
            ["predict", "a.png", *NETWORK[:4]],
            "w.npz has the last layer for another number of classes than 10",
        ),
        (["predict", "a.png", *NETWORK[:6], "--names", "tiny.cfg"], "tiny.cfg has 12 names, the network 3"),
        (["explain", "a.png", *NETWORK, "--out", "b.xyz"], "b.xyz has the ending 'xyz', expected one of"),
        (["style", "a.png", "a.png", *NETWORK, "--out", "b"], "b has the ending '', expected one of"),
        (["detect", "a.png", "--yolo", "tiny.cfg", "--threshold", "nan"], "--threshold is nan"),
        (["detect", "a.png", "--yolo", "none.cfg"], "none.cfg: cannot be read"),
        (["detect", "a.png", "--faces", "none.onnx"], "none.onnx: there is no such file"),
        (["detect", "a.png", "--faces", "w.npz"], "w.npz: does not fit ultraface"),
    ],
)
def test_errors_are_one_line(words, said, files, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
