"""The networks of images: counts, torchvision's outputs and gradients, files, folding."""

import lzma

import numpy as np
import pytest
from numpy.testing import assert_allclose
from real_tables import find

import einkorn
from einkorn import checkpoint, models, nn, optim
from einkorn.errors import ArgumentError, CheckpointError, MissingPackageError
from einkorn.models.preprocessing import CAFFE, TENSORFLOW, TORCHVISION
from einkorn.nn.parameter import deferred

# Numbers of Keras' applications with their top, moving statistics counted.
KERAS_COUNTS = {
    "densenet121": 8_062_504,
    "densenet169": 14_307_880,
    "densenet201": 20_242_984,
    "inception_resnet_v2": 55_873_736,
    "inception_v3": 23_851_784,
    "mobilenet": 4_253_864,
    "mobilenet_v2": 3_538_984,
    "resnet101": 44_707_176,
    "resnet101_v2": 44_675_560,
    "resnet152": 60_419_944,
    "resnet152_v2": 60_380_648,
    "resnet50": 25_636_712,
    "resnet50_v2": 25_613_800,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "xception": 22_910_480,
}
KERAS_ALONE = {"inception_resnet_v2", "mobilenet", "resnet101_v2", "resnet152_v2", "resnet50_v2", "xception"}
# Parameters as torchvision's documentation states them.
TORCH_COUNTS = {
    "alexnet": 61_100_840,
    "densenet161": 28_681_000,
    "inception_v3": 27_161_264,
    "mobilenet_v2": 3_504_872,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnext101_64x4d": 83_455_272,
    "resnext50_32x4d": 25_028_904,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "vgg11_bn": 132_868_840,
    "wide_resnet50_2": 68_883_240,
}


def empty(name, dtype=np.float32, **options):
    """A network without initial values, for questions of shape."""
    with deferred(10_000, 10**9, dtype):
        return models.get_model(name, **options)


def numbers(model):
    return sum(a.size for name, a in model.state_dict().items() if not name.endswith("num_batches_tracked"))


@pytest.mark.parametrize("name", KERAS_COUNTS)
def test_counts_are_those_of_keras(name):
    model = empty(name, **({} if name in KERAS_ALONE else {"keras": True}))
    assert numbers(model) == KERAS_COUNTS[name]


def test_counts_are_those_of_torchvision():
    for name, count in TORCH_COUNTS.items():
        assert sum(p.numel() for p in empty(name).parameters()) == count, name
    assert sum(p.numel() for p in empty("resnet20").parameters()) == 269_722
    assert sum(p.numel() for p in empty("plain20").parameters()) == 269_722
    assert sum(p.numel() for p in empty("resnet110").parameters()) == 1_727_962


def test_state_dicts_have_torchvisions_names_and_shapes():
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    for name in (
        "alexnet",
        "vgg13_bn",
        "resnet34",
        "wide_resnet50_2",
        "densenet161",
        "squeezenet1_0",
        *EXTRA,
    ):
        with torch.device("meta"):
            theirs = torchvision.models.get_model(name, weights=None, **EXTRA.get(name, {}))
        ours = empty(name)
        shapes = {key: tuple(a.shape) for key, a in ours.state_dict().items()}
        assert shapes == {key: tuple(a.shape) for key, a in theirs.state_dict().items()}, name
    with torch.device("meta"):
        theirs = torchvision.models.segmentation.fcn_resnet50(weights_backbone=None, aux_loss=True)
    assert set(empty("fcn_resnet50", aux_loss=True).state_dict()) == set(theirs.state_dict())


EXTRA = {"inception_v3": {"init_weights": False}}


def train_step(torch, name, size, batch=2, **options):
    """Both networks with the same random weights, and their outputs and gradients in float64."""
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.get_model(
        name, weights=None, num_classes=10, **EXTRA.get(name, {}), **options
    )
    theirs = theirs.double()
    rng = np.random.default_rng(1)
    for key, value in theirs.state_dict().items():
        if key.endswith("running_mean") or key.endswith("bias"):
            value.copy_(torch.from_numpy(rng.normal(0, 0.1, value.shape)))
        elif key.endswith("running_var"):
            value.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, value.shape)))
    ours = empty(name, np.float64, num_classes=10, **options).double()
    ours.load_state_dict(theirs.state_dict())
    for module in (*theirs.modules(), *ours.modules()):
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    x = rng.normal(size=(batch, 3, size, size))
    return theirs, ours, x, rng.integers(0, 10, batch)


def near(found, wanted, what=""):
    """Within 1e-9 of the largest value; biases before a norm have no gradient but rounding."""
    wanted = wanted.detach().numpy()
    assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-9 * max(np.abs(wanted).max(), 1e-3), err_msg=what)


@pytest.mark.parametrize(
    ("name", "size", "batch"),
    [
        ("resnet18", 32, 4),
        ("densenet121", 32, 4),
        ("mobilenet_v2", 32, 4),
        ("squeezenet1_1", 48, 2),
        ("inception_v3", 75, 2),
    ],
)
def test_outputs_and_gradients_are_torchvisions(name, size, batch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    theirs, ours, x, y = train_step(torch, name, size, batch)
    theirs.eval(), ours.eval()
    if name == "inception_v3":  # smaller images have no place for the middle classifier
        theirs.AuxLogits = ours.AuxLogits = None
        theirs.aux_logits = False
    with torch.no_grad(), einkorn.no_grad():
        wanted = theirs(torch.from_numpy(x))
        near(ours(x), wanted, "evaluation")
        with nn.utils.folding():
            near(ours(x), wanted, "folded")
    theirs.train(), ours.train()
    wanted, found = theirs(torch.from_numpy(x)), ours(x)
    near(found, wanted, "training")
    torch.nn.functional.cross_entropy(wanted, torch.from_numpy(y)).backward()
    einkorn.ops.cross_entropy(found, y).backward()
    gradients = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        near(parameter.grad, gradients[key].grad, key)
    for key, buffer in theirs.named_buffers():
        if not key.endswith("tracked"):
            assert_allclose(ours.state_dict()[key], buffer.numpy(), rtol=1e-9, atol=1e-9, err_msg=key)


# --- the registry ---------------------------------------------------------------------------------------


def test_the_registry_builds_by_name():
    model = models.get_model("resnet20", num_classes=7)
    assert type(model) is models.CIFARResNet
    assert models.name_of(model) == "resnet20"
    assert models.config_of(model) == {"num_classes": 7}
    assert model.input_shape == (3, 32, 32)
    assert models.get_model_builder("resnet20") is models.resnet20
    assert models.list_models("resnet*_v2") == ["resnet101_v2", "resnet152_v2", "resnet50_v2"]
    assert "resnet18" not in models.list_models(exclude="resnet*")
    assert models.list_models(["resnet1?", "unet"], exclude=["*18"]) == ["unet"]
    for bad in ({"include": 3}, {"exclude": [3]}):
        with pytest.raises(ArgumentError, match="expected a pattern or several"):
            models.list_models(**bad)
    for name, words in (("segmentation", "fcn_resnet50"), ("get_weight", r"weights=path")):
        with pytest.raises(AttributeError, match=words):
            getattr(models, name)
    with pytest.raises(ArgumentError, match="name is 'resnet21', expected one of alexnet"):
        models.get_model("resnet21")
    with pytest.raises(ArgumentError, match=r"resnet20: .*depth"):
        models.get_model("resnet20", depth=3)
    with pytest.raises(ArgumentError, match="num_classes is 0"):
        models.resnet20(num_classes=0)
    with pytest.raises(ArgumentError, match="keras is True, expected False"):
        models.resnet18(keras=True)
    with pytest.raises(ArgumentError, match="resnet20: there is no argument classes: num_classes is"):
        models.resnet20(classes=3)
    with pytest.raises(ArgumentError, match="no argument pretrained: weights is a file, nothing is downl"):
        models.resnet50(pretrained=True)
    for weights in ("imagenet", "IMAGENET1K_V2", "DEFAULT"):
        with pytest.raises(CheckpointError, match="no such file: nothing is downloaded, weights is a file"):
            models.resnet50(weights=weights)
    with pytest.raises(ArgumentError, match=r"UNet: width is 2\.5, expected an integer"):
        models.unet(width=2.5)
    with pytest.raises(ArgumentError, match="ESPCN: upscale_factor is '3'"):
        models.ESPCN("3")
    with pytest.raises(ArgumentError, match="FastStyle: weights is int, expected a file"):
        models.FastStyle(3)
    for bad in ({"image_size": "64"}, {"image_size": 50}, {"anchors": [1, 2, 3]}, {"anchors": []}):
        with pytest.raises(ArgumentError, match=f"TinyYolo: {next(iter(bad))} is"):
            models.TinyYolo(3, **bad)
    with pytest.raises(ArgumentError, match="Localizer: num_classes is '3'"):
        models.Localizer("3")
    with pytest.raises(einkorn.ShapeError, match=r"\(16, 32, 32\), expected 4 dimensions"):
        models.resnet20()(np.zeros((3, 32, 32), np.float32))
    with pytest.raises(ArgumentError, match="replace_stride_with_dilation"):
        models.resnet50(replace_stride_with_dilation=[True])


def test_a_network_is_saved_and_rebuilt(tmp_path):
    model = models.unet(num_classes=3, width=2, depth=2)
    einkorn.save(model, tmp_path / "unet.safetensors")
    again = einkorn.load(tmp_path / "unet.safetensors")
    assert again.config == {"num_classes": 3, "width": 2, "depth": 2}
    assert again.name == "unet"
    x = np.random.default_rng(0).normal(size=(2, 3, 13, 10)).astype(np.float32)
    assert_allclose(again.predict(x), model.predict(x))
    assert again.predict(x).shape == (2, 3, 13, 10)


def test_fcn_gives_scores_of_every_pixel():
    model = empty("fcn_resnet50", num_classes=4, aux_loss=True).eval()
    einkorn.nn.init.zeros_(model.classifier[4].weight)
    einkorn.nn.init.ones_(model.classifier[4].bias)
    with einkorn.no_grad():
        found = model(np.zeros((1, 3, 40, 33), np.float32))
    assert {key: scores.shape for key, scores in found.items()} == dict.fromkeys(
        ("out", "aux"), (1, 4, 40, 33)
    )


# --- weights of others ----------------------------------------------------------------------------------


def test_weights_are_read_and_reported(tmp_path):
    source = models.resnet20(num_classes=10)
    arrays = {f"module.{name}": array for name, array in source.state_dict().items()}
    arrays.pop("module.bn1.num_batches_tracked")
    np.savez(tmp_path / "all.npz", **arrays, extra=np.zeros(2))
    same = models.resnet20(tmp_path / "all.npz")
    assert same.weights_report.unexpected == ("extra",)
    assert not same.weights_report.missing
    assert str(same.weights_report) == "115 of 115 arrays were read; unexpected: extra"
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    assert_allclose(same.predict(x), source.predict(x))

    five = models.resnet20(weights=tmp_path / "all.npz", num_classes=5)  # a head of its own
    assert five.weights_report.mismatched == ("linear.weight", "linear.bias")
    assert_allclose(five.conv1.weight.numpy(), source.conv1.weight.numpy())
    assert five.predict(x).shape == (1, 5)
    before = five.conv1.weight.numpy().copy()
    with pytest.raises(CheckpointError, match=r"does not fit resnet20: .*mismatched: linear.weight"):
        models.load_pretrained(five, tmp_path / "all.npz")
    assert_allclose(five.conv1.weight.numpy(), before)
    with pytest.raises(CheckpointError, match=r"does not fit resnet32: .*missing: layer1.3"):
        models.resnet32(weights=tmp_path / "all.npz")
    report = models.load_pretrained(models.resnet32(), tmp_path / "all.npz", strict=False)
    assert len(report.matched) == 115
    assert len(report.missing) == 60


def test_densenets_of_older_torchvision_are_read(tmp_path):
    source = empty("densenet121", num_classes=2)
    for array in source.state_dict().values():
        array[...] = 1
    renamed = {}
    for name, array in source.state_dict().items():
        for kind in ("norm", "conv"):
            for number in "12":
                name = (
                    name.replace(f".{kind}{number}.", f".{kind}.{number}.") if "denselayer" in name else name
                )
        renamed[name] = array
    assert "features.denseblock1.denselayer1.norm.1.weight" in renamed
    checkpoint._write(tmp_path / "old.safetensors", renamed, {"format": "pt"})
    model = models.densenet121(tmp_path / "old.safetensors", num_classes=2)
    assert not model.weights_report.missing
    assert not model.weights_report.unexpected


def test_pickles_and_damaged_files_are_refused(tmp_path):
    (tmp_path / "a.th").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    with pytest.raises(CheckpointError, match=r"holds a pickle.*unpickles nothing.*save_file"):
        models.resnet20(weights=tmp_path / "a.th")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not one")
    with pytest.raises(CheckpointError, match="no readable npz"):
        models.resnet20(weights=tmp_path / "a.npz")
    with pytest.raises(CheckpointError, match="there is no such file"):
        models.resnet20(weights=tmp_path / "none.npz")
    for arrays in ({}, True):
        with pytest.raises(ArgumentError, match=r"path is (dict|bool), expected a file"):
            models.resnet20(weights=arrays)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    with pytest.raises((CheckpointError, MissingPackageError), match=r"no readable HDF5|needs h5py"):
        models.resnet50(weights=tmp_path / "a.h5", keras=True)


def write_keras(path, model, layout):
    """The weights of ``model`` as Keras writes them, with the names of its applications."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        layers = []
        for name, module in model.named_modules():
            if type(module).__name__ == "Conv2d":
                arrays = [module.weight.numpy().transpose(2, 3, 1, 0)]
            elif type(module).__name__ == "Linear":
                arrays = [module.weight.numpy().T]
            elif type(module).__name__ == "BatchNorm2d":
                arrays = [module.weight, module.bias, module.running_mean, module.running_var]
            else:
                continue
            if type(module).__name__ != "BatchNorm2d":
                arrays.append(module.bias.numpy())
            layers.append((model.keras_name(name), [np.asarray(a) for a in arrays]))
        if layout == "old":
            file.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for at, (name, arrays) in enumerate(layers):
            if layout == "old":
                group = file.create_group(name)
                names = [f"{name}/w{i}:0" for i in range(len(arrays))]
                group.attrs["weight_names"] = [each.encode() for each in names]
            else:
                group = file.create_group(f"layers/layer_{at}/vars")
                group.attrs["name"] = name
                names = [str(i) for i in range(len(arrays))]
            for each, array in zip(names, arrays, strict=True):
                group.create_dataset(each, data=array)


@pytest.mark.parametrize("layout", ["old", "new"])
def test_weights_of_keras_are_read(tmp_path, layout):
    source = empty("resnet50", num_classes=3, keras=True)
    rng = np.random.default_rng(0)
    for array in source.state_dict().values():
        array[...] = rng.integers(0, 100, array.shape)
    write_keras(tmp_path / "w.h5", source, layout)
    model = models.resnet50(tmp_path / "w.h5", num_classes=3, keras=True)
    assert len(model.weights_report.matched) == 320
    assert not model.weights_report.unexpected
    for name, array in source.state_dict().items():
        if not name.endswith("tracked"):
            assert np.array_equal(model.state_dict()[name], array), name
    with pytest.raises(CheckpointError, match="does not fit vgg11"):
        models.load_pretrained(empty("vgg11"), tmp_path / "w.h5")


def test_class_names_are_read(tmp_path):
    (tmp_path / "synset.txt").write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish\n\nperson\n")
    assert models.read_class_names(tmp_path / "synset.txt") == ["tench", "goldfish", "person"]
    with pytest.raises(einkorn.errors.DataError, match="cannot be read"):
        models.read_class_names(tmp_path / "none.txt")


def test_resnet20_of_others_reaches_its_published_accuracy():
    path = find("models/resnet20_cifar10.npz")
    with lzma.open(find("cifar10/test_batch_first1000.bin.xz")) as file:
        records = np.frombuffer(file.read(), np.uint8).reshape(1000, 3073)
    model = models.resnet20(weights=path)
    assert not model.weights_report.missing
    assert not model.weights_report.unexpected
    x = model.preprocessing.normalize(records[:, 1:].reshape(1000, 3, 32, 32))
    assert (model.predict(x).argmax(1) == records[:, 0]).mean() == 0.915


# --- preprocessing --------------------------------------------------------------------------------------


def test_pictures_are_prepared_as_the_publishers_did():
    pytest.importorskip("PIL")
    picture = np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)
    found = CAFFE.sized(40)(picture)
    assert found.shape == (1, 3, 40, 40)
    exact = np.full((40, 40, 3), (200, 100, 50), np.uint8)
    assert_allclose(
        CAFFE.sized(40)(exact)[0, :, 0, 0], [50 - 103.939, 100 - 116.779, 200 - 123.68], rtol=1e-5
    )
    assert_allclose(TENSORFLOW.sized(40)(exact)[0, :, 0, 0], np.array([200, 100, 50]) / 127.5 - 1, rtol=1e-5)
    for way in (CAFFE, TENSORFLOW, TORCHVISION):
        assert np.array_equal(way.sized(40).restore(way.sized(40)(exact))[0], exact)
    assert TORCHVISION.sized(299).resize == 342
    assert models.resnet50_v2(num_classes=2).preprocessing == TENSORFLOW
    with pytest.raises(einkorn.ShapeError, match=r"float64 \(3, 4, 4\)"):
        TORCHVISION(np.zeros((3, 4, 4)))


def test_pictures_of_all_kinds_are_the_same_picture(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    rgb, alpha = rng.integers(0, 256, (33, 21, 3), np.uint8), rng.integers(0, 256, (33, 21, 1), np.uint8)
    way = TORCHVISION.sized(16)
    rgba = np.concatenate([rgb, alpha], 2)
    image.fromarray(rgba).save(tmp_path / "a.png")
    for each in (rgba, image.fromarray(rgba), tmp_path / "a.png", [rgba], rgba[None]):
        assert np.array_equal(way(each), way(rgb))
    gray = rgb[..., :1]
    deep = image.fromarray(gray[..., 0].astype(np.uint16) * 257)  # 16 bits, from 0 to 65535
    deep.save(tmp_path / "b.png")
    for each in (gray, gray[..., 0], image.fromarray(gray[..., 0]), deep, tmp_path / "b.png"):
        assert np.array_equal(way(each), way(np.repeat(gray, 3, 2)))
    for mode in ("I", "F"):
        with pytest.raises(einkorn.errors.DataError, match=f"mode '{mode}', numbers of 32 bits"):
            way(image.new(mode, (5, 5)))


def test_long_strips_are_not_enlarged_whole():
    image = pytest.importorskip("PIL.Image")
    strip = np.random.default_rng(0).integers(0, 256, (12, 700, 3), np.uint8)
    way = TORCHVISION.sized(32)  # the shorter side 37
    whole = np.asarray(image.fromarray(strip).resize((2158, 37), image.Resampling.BILINEAR))
    assert np.abs(way.restore(way(strip))[0].astype(int) - whole[2:34, 1063:1095]).max() <= 1
    for each in (strip.transpose(1, 0, 2), np.zeros((1, 300_000, 3), np.uint8)):
        assert way(each).shape == (1, 3, 32, 32)


def test_pictures_are_prepared_as_torchvision_does():
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("torchvision")
    from torchvision.transforms._presets import ImageClassification

    for size in ((50, 71), (71, 50), (33, 200)):
        picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        wanted = ImageClassification(crop_size=40, resize_size=46)(image.fromarray(picture)).numpy()
        found = models.Preprocessing(40, 46)(picture)[0]
        assert_allclose(found, wanted, atol=1e-5)


# --- folding and fusing ---------------------------------------------------------------------------------


def test_folding_changes_nothing_but_rounding():
    rng = np.random.default_rng(0)
    for name in ("resnet20", "plain20"):
        model = models.get_model(name).double()
        for key, array in model.state_dict().items():
            if "running" in key:
                array[...] = rng.uniform(0.5, 1.5, array.shape)
        x = rng.normal(size=(9, 3, 16, 16))
        model.eval()
        with einkorn.no_grad():
            plain = model(x).numpy()
            with nn.utils.folding():
                assert_allclose(model(x).numpy(), plain, rtol=1e-10)
                model.train()
                assert model(x).shape == (9, 10)
        assert_allclose(model.eval().predict(x), plain, rtol=1e-10)


def test_hooks_see_what_runs_fused():
    model = models.resnet20().eval()
    seen = []
    relu = model.layer1[0].relu
    relu.register_forward_hook(lambda module, args, out: seen.append(args[0].numpy().min()))
    model(np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32))
    assert len(seen) == 2
    assert min(seen) < 0  # before the activation


def test_a_network_learns():
    einkorn.manual_seed(0)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 32)
    x = rng.normal(size=(32, 3, 8, 8)).astype(np.float32) + 2 * y.reshape(-1, 1, 1, 1).astype(np.float32)
    model = models.resnet20(num_classes=2)
    model.compile(optim.SGD(model.parameters(), lr=0.05, momentum=0.9), "cross_entropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=4, batch_size=16, verbose=0)
    assert history.history["accuracy"][-1] == 1.0


# --- few pixels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("height", "width", "product"), [(2, 3, True), (1, 1, True), (3, 3, False)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_pointwise_convolution_of_few_pixels_is_a_product(dtype, height, width, product, bias, monkeypatch):
    from einkorn.nn import _folding

    taken = []
    plain = _folding._product
    monkeypatch.setattr(_folding, "_product", lambda *given: taken.append(1) or plain(*given))
    rng = np.random.default_rng(0)
    conv, norm = nn.Conv2d(24, 5, 1, bias=bias).to(dtype).eval(), nn.BatchNorm2d(5).to(dtype).eval()
    norm.running_mean[...] = 0.3
    x = rng.normal(size=(1, 24, height, width)).astype(dtype)
    layers = {"relu": nn.ReLU(), "silu": nn.SiLU(), "none": None}
    with einkorn.no_grad():
        wanted = norm(conv(einkorn.Tensor(x))).numpy()
        for name, layer in layers.items():
            expected = wanted if layer is None else np.asarray(layer(wanted))
            for fold in (False, True):
                with nn.utils.folding() if fold else einkorn.no_grad():
                    found = _folding.convolve(einkorn.Tensor(x), conv, norm, layer).numpy()
                assert found.dtype == dtype
                assert_allclose(found, expected, atol=2e-5 if dtype == np.float32 else 1e-13, err_msg=name)
        assert bool(taken) is product
        taken.clear()
        _folding.convolve(einkorn.Tensor(np.concatenate([x, x])), conv, norm)  # of several images
    assert _folding.convolve(einkorn.Tensor(x), conv, norm).requires_grad  # recorded
    assert not taken
