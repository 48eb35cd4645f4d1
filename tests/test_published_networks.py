"""Networks with published weights, beside OpenCV's reader or the definition written out in torch."""

import struct

import numpy as np
import pytest
from numpy.testing import assert_allclose
from real_tables import find

from einkorn import models
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.ops import box_iou


def photograph(size, name="images/dog.jpg"):
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(find(name)).convert("RGB").resize(size))


def test_espcn_gives_what_opencv_gives(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = find("models/super_resolution.onnx")
    model = models.ESPCN(3, path)
    assert sum(p.numel() for p in model.parameters()) == 59_657
    y = photograph((224, 224)).mean(2).astype(np.float32)[None, None] / 255
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(y)
    assert_allclose(model.predict(y), net.forward(), atol=2e-5)
    picture = photograph((40, 30))
    large = model.enlarge(picture)
    assert large.shape == (90, 120, 3)
    assert np.abs(large.reshape(30, 3, 40, 3, 3).mean((1, 3)) - picture).mean() < 12
    np.savez(tmp_path / "w.npz", **model.state_dict())
    assert_allclose(models.ESPCN(3, tmp_path / "w.npz").predict(y), model.predict(y))
    with pytest.raises(CheckpointError, match="does not fit espcn"):
        models.ESPCN(2, path)


def test_ultraface_finds_the_faces_that_onnxruntime_finds():
    ort = pytest.importorskip("onnxruntime")
    path = find("models/ultraface-RFB-320.onnx")
    model = models.UltraFace(path)
    assert not model.weights_report.missing
    assert sum(p.numel() for p in model.parameters()) == 276_292
    files = [find(f"faces/photos/{name}.jpg") for name in ("2007_007763", "2008_001322", "ultraface_2")]
    x = model.prepare(files)
    session = ort.InferenceSession(str(path))
    scores, boxes = (
        np.concatenate(parts)
        for parts in zip(*[session.run(None, {"input": row[None]}) for row in x], strict=True)
    )
    own = model.predict(x)
    assert_allclose(own[0], scores, atol=1e-5)
    assert_allclose(own[1], boxes, atol=1e-5)
    for (corners, sure), rows, places in zip(model.detect(files, 0.7), scores, boxes, strict=True):
        assert len(corners) in (7, 3, 25)
        assert (np.diff(sure) <= 0).all()
        best = int(rows[:, 1].argmax())  # the surest face is always kept
        size = corners[0] / places[best]
        assert_allclose(size, [size[0], size[1]] * 2, rtol=1e-4)
        assert_allclose(sure[0], rows[best, 1], atol=1e-5)
        ratios = np.asarray(box_iou(corners, corners)) - np.eye(len(corners))
        assert ratios.max() <= 0.3


def test_ultraface_of_other_sizes_and_without_faces():
    model = models.UltraFace(image_size=(70, 131))
    scores, boxes = model.predict(np.zeros((2, 3, 70, 131), np.float32))
    assert scores.shape == (2, 9 * 17 * 3 + 5 * 9 * 2 + 3 * 5 * 2 + 2 * 3 * 3, 2)
    assert boxes.shape == (*scores.shape[:2], 4)
    for picture in (np.zeros((1, 1, 3), np.uint8), np.full((9, 700), 200, np.uint8)):
        ((found, sure),) = model.detect(picture, 1.01)
        assert found.shape == (0, 4)
        assert sure.shape == (0,)
    assert model.detect([]) == []
    for size in ((63, 320), 240, (240.0, 320.0), (1, 2, 3)):
        with pytest.raises(ArgumentError, match="image_size"):
            models.UltraFace(image_size=size)
    with pytest.raises(CheckpointError, match="does not fit ultraface"):
        models.UltraFace(find("models/super_resolution.onnx"))


def test_fast_style_is_the_published_network():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    path = find("models/fast_style_wave.npz")
    with np.load(path) as file:
        arrays = [torch.from_numpy(file[f"Variable_{i}" if i else "Variable"]) for i in range(48)]
    model = models.FastStyle(path)
    assert sum(p.numel() for p in model.parameters()) == 1_677_638

    def same(x, kernel, stride):
        pads = []
        for n in (x.shape[3], x.shape[2]):
            total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
            pads += [total // 2, total - total // 2]
        return f.pad(x, pads)

    def layer(x, at, stride=1, act=True, up=False):
        weight, shift, scale = arrays[at : at + 3]
        weight = weight.permute(3, 2, 0, 1)
        if up:
            x = f.conv_transpose2d(x, weight, stride=2)[:, :, : 2 * x.shape[2], : 2 * x.shape[3]]
        else:
            x = f.conv2d(same(x, weight.shape[2], stride), weight, stride=stride)
        x = f.instance_norm(x, weight=scale, bias=shift, eps=1e-3)
        return x.relu() if act else x

    picture = photograph((60, 44))
    x = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        y = layer(layer(layer(x, 0), 3, 2), 6, 2)
        for block in range(5):
            y = y + layer(layer(y, 9 + 6 * block), 12 + 6 * block, act=False)
        y = layer(layer(y, 39, up=True), 42, up=True)
        wanted = (layer(y, 45, act=False).tanh() * 150 + 127.5).numpy()
    assert_allclose(model.predict(x.numpy()), wanted, atol=0.02)
    painted = model.paint(picture)
    assert painted.shape == (44, 60, 3)
    assert_allclose(painted, np.clip(wanted[0].transpose(1, 2, 0), 0, 255), atol=0.6)


def test_squeezenet_of_ncnn_knows_the_photographs():
    model = models.squeezenet1_1()
    files = [find(f"models/squeezenet_v1.1.ncnn.{ending}") for ending in ("param", "bin")]
    models.load_ncnn(model, *files)
    names = models.read_class_names(find("models/imagenet_synset_words.txt"))
    pictures = [find(f"images/{name}.jpg") for name in ("eagle", "dog")]
    eagle, dog = model.predict(model.preprocessing(pictures))
    assert names[eagle.argmax()] in ("bald eagle", "kite")
    assert {names[i] for i in np.argsort(-dog)[:5]} & {"malamute", "Eskimo dog", "Siberian husky"}
    with pytest.raises(CheckpointError, match="26 convolutions do not fit the model's 26"):
        models.load_ncnn(models.squeezenet1_0(), *files)


def message(*fields):
    """A protocol buffer of (number, value): integers and bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += bytes([number << 3, value])
        else:
            out += bytes([number << 3 | 2, len(value)]) + value
    return out


def test_arrays_of_onnx_files(tmp_path):
    path = tmp_path / "m.onnx"
    floats = np.arange(6, dtype="<f4")
    raw = message((1, 2), (1, 3), (2, 1), (8, b"w"), (9, floats.tobytes()))
    plain = message((1, 2), (2, 1), (4, struct.pack("<2f", 1.5, -2)), (8, b"b"))
    path.write_bytes(message((1, 3), (7, message((5, raw), (5, plain)))))
    found = models.read_onnx_arrays(path)
    assert_allclose(found["w"], floats.reshape(2, 3))
    assert_allclose(found["b"], [1.5, -2])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="a field ends beyond the file"):
        models.read_onnx_arrays(path)
    path.write_bytes(message((7, message((5, message((1, 9), (2, 1), (8, b"w"), (9, b"1234")))))))
    with pytest.raises(CheckpointError, match=r"w has 1 numbers for shape \(9,\)"):
        models.read_onnx_arrays(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no graph"):
        models.read_onnx_arrays(path)


def test_damaged_files_of_ncnn_are_refused(tmp_path):
    param, weights = tmp_path / "m.param", tmp_path / "m.bin"
    param.write_text("7767517\n2 2\nInput data 0 1 data\nConvolution conv 1 1 data out 0=2 1=1 5=1 6=6\n")
    numbers = np.arange(6, dtype="<f4").tobytes()
    weights.write_bytes(struct.pack("<I", 0) + numbers + struct.pack("<2f", 7, 8))
    weight, bias = models.read_ncnn(param, weights)["conv"]
    assert_allclose(weight, [[0, 1, 2], [3, 4, 5]])
    assert_allclose(bias, [7, 8])
    whole = weights.read_bytes()
    for broken, words in (
        (whole[:-2], "layer"),
        (whole + b"1234", "40 bytes"),
        (b"\1" + whole[1:], "tag 0x1"),
    ):
        weights.write_bytes(broken)
        with pytest.raises(CheckpointError, match=words):
            models.read_ncnn(param, weights)
    param.write_text("hello\n")
    with pytest.raises(CheckpointError, match="expected ncnn's 7767517"):
        models.read_ncnn(param, weights)
