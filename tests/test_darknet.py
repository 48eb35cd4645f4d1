"""Darknet's files: the published yolo-fastest beside OpenCV's reader, small networks, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from real_tables import find

from einkorn import models
from einkorn.errors import CheckpointError, DataError

SMALL = """[net]
channels=3
height=8
width=8  # pixels

[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=4
size=1
activation=linear

[shortcut]
from=-2
activation=linear

[upsample]
stride=2

[route]
layers=-1,0

[convolutional]
filters=14
size=1
activation=linear

[yolo]
mask=0,1
anchors=2,3, 4,4, 9,9
classes=2
"""


def small(tmp_path, change=("", "")):
    (tmp_path / "small.cfg").write_text(SMALL.replace(*change) if change[0] else SMALL)
    return tmp_path / "small.cfg"


def test_a_small_network_is_built_and_loaded(tmp_path):
    model = models.Darknet(small(tmp_path)).eval()
    assert model.input_shape == (3, 8, 8)
    counts = [16 + 4 * 27, 4 + 16, 14 + 14 * 8]
    numbers = np.linspace(0.01, 1, sum(counts)).astype("<f4")
    path = tmp_path / "small.weights"
    path.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + numbers.tobytes())
    model.load(path)
    first = model.layers[0]
    assert_allclose(first.norm.bias.numpy(), numbers[:4])
    assert_allclose(first.norm.running_var.numpy(), numbers[12:16])
    assert_allclose(first.conv.weight.numpy().ravel(), numbers[16:124])
    assert_allclose(model.layers[2].conv.bias.numpy(), numbers[124:128])
    (raw,) = model.predict(np.zeros((2, 3, 8, 8), np.float32))
    assert raw.shape == (2, 14, 8, 8)
    rows = model.heads[0].decode(np.zeros((1, 14, 8, 8), np.float32), (8, 8))
    assert rows.shape == (1, 128, 7)
    assert_allclose(rows[0, 0], [0.5 / 8, 0.5 / 8, 2 / 8, 3 / 8, 0.5, 0.5, 0.5])
    assert_allclose(rows[0, 3, :4], [1.5 / 8, 0.5 / 8, 4 / 8, 4 / 8])
    path.write_bytes(path.read_bytes() + b"1234")
    with pytest.raises(CheckpointError, match="holds 1084 bytes of weights, the network has 1080"):
        model.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[upsample]", "[crnn]"), r"\[crnn\]: expected one of convolutional"),
        (("filters=14", "filters=15"), r"\[yolo\]: 15 channels, expected 2 anchors of 7"),
        (("layers=-1,0", "layers=-1,9"), r"\[route\]: layers is '-1,9'"),
        (("size=3", "size=x"), r"\[convolutional\]: size is 'x', expected a whole number"),
        (("activation=leaky", "activation=loggy"), r"activation is 'loggy'"),
        (("mask=0,1", "mask=0,3"), r"\[yolo\]: mask is '0,3'"),
        (("stride=2\n\n[conv", "stride=3\n\n[conv"), r"\[maxpool\]: size 2, stride 3"),
        (("[net]", "[maxpool]"), r"begins with no \[net\]"),
        (("mask=0,1", "mask"), r"line 38 is 'mask'"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        models.Darknet(small(tmp_path, change))


def test_yolo_fastest_sees_what_opencv_sees():
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip("this OpenCV reads no darknet files")
    cfg, weights = find("models/yolo-fastest-1.1.cfg"), find("models/yolo-fastest-1.1.weights")
    model = models.Darknet(cfg, weights)
    names = models.read_class_names(find("models/coco.names"))
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    picture = cv2.imread(str(find("images/dog.jpg")))[:, :, ::-1]
    x = cv2.dnn.blobFromImage(np.ascontiguousarray(picture), 1 / 255, (320, 320))
    net.setInput(x)
    theirs = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    maps = model.predict(x)
    ours = np.concatenate([h.decode(m, (320, 320))[0] for h, m in zip(model.heads, maps, strict=True)])
    assert_allclose(ours[:, :5], theirs[:, :5], atol=1e-4)
    scores = ours[:, 5:] * ours[:, 4:5]
    scores[scores <= 0.2] = 0  # OpenCV gives these as zeros
    told = (np.abs(scores - 0.2) > 1e-3) & ((theirs[:, 5:] > 0) | (scores > 0))
    assert_allclose(scores[told], theirs[:, 5:][told], atol=1e-4)
    ((boxes, scores, labels),) = model.detect(np.ascontiguousarray(picture))
    assert boxes.shape == (len(scores), 4)
    assert {names[label] for label in labels} >= {"dog"}
