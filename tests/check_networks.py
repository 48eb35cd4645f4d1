"""Every network that torchvision or Keras has, beside theirs: ``python tests/check_networks.py [NAME ...]``.

The same random weights on both sides: outputs in float32 and float64, and one training step in float64, its
loss and all gradients. A line for each network, the largest error relative to the largest value; the end
tells what lies above 1e-4 (float32) or 1e-9 (float64). All of them take some 20 minutes of one core and 6 GB;
the tests run those that are quick.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import torch
from test_networks import KERAS_ALONE, train_step
from test_networks_keras import network_of_keras

import einkorn
from einkorn import models, ops
from einkorn.models.keras_weights import read_keras

BOUNDS = {"float32": 1e-4, "float64": 1e-9, "loss": 1e-9, "gradients": 1e-9}
#: Keras's name and the side of its pictures: networks of five halvings need a few pixels left to normalise.
KERAS = {
    "mobilenet": ("MobileNet", 48),
    "mobilenet_v2": ("MobileNetV2", 48),
    "resnet50": ("ResNet50", 48),
    "resnet50_v2": ("ResNet50V2", 48),
    "densenet121": ("DenseNet121", 48),
    "xception": ("Xception", 71),
    "inception_v3": ("InceptionV3", 75),
    "inception_resnet_v2": ("InceptionResNetV2", 75),
    "vgg16": ("VGG16", 224),
    "vgg19": ("VGG19", 224),
    "resnet101": ("ResNet101", 40),
    "resnet101_v2": ("ResNet101V2", 40),
    "densenet169": ("DenseNet169", 40),
    "densenet201": ("DenseNet201", 40),
    "resnet152": ("ResNet152", 40),
    "resnet152_v2": ("ResNet152V2", 40),
}


def error(found: Any, wanted: Any) -> float:
    found, wanted = np.asarray(found), np.asarray(wanted)
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-3))


def beside_torchvision(name: str) -> dict[str, float]:
    theirs, ours, x, y = train_step(torch, name, 96 if name == "inception_v3" else 64, 4)
    theirs.eval()
    ours.eval()
    if name == "inception_v3":  # its second head takes larger pictures
        theirs.AuxLogits = ours.AuxLogits = None
        theirs.aux_logits = False
    with torch.no_grad(), einkorn.no_grad():
        wanted = theirs(torch.from_numpy(x)).numpy()
        errors = {"float64": error(ours(x).numpy(), wanted)}
        ours.float()
        errors["float32"] = error(ours(x.astype(np.float32)).numpy(), wanted)
    ours.double()
    ours.load_state_dict(theirs.state_dict())
    theirs.train()
    ours.train()
    loss = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    own = ops.cross_entropy(ours(x), y)
    own.backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters() if p.grad is not None}
    errors["loss"] = error(own.item(), loss.item())
    errors["gradients"] = max(error(p.grad.numpy(), gradients[k]) for k, p in ours.named_parameters())
    return errors


def beside_keras(name: str) -> dict[str, float]:
    import keras

    keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else it computes in float32
    theirs, size = KERAS[name]
    options = {} if name in KERAS_ALONE else {"keras": True}
    errors = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "w.weights.h5"
        for dtype in ("float32", "float64"):
            keras.config.set_floatx(dtype)
            keras.config.set_dtype_policy(dtype)
            network, rng = network_of_keras(keras, theirs, size)
            network.save_weights(file)
            ours = models.get_model(name, num_classes=10, **options)
            ours = ours.double() if dtype == "float64" else ours
            ours.load_state_dict(read_keras(ours, file), strict=False)
            x = rng.normal(size=(2 if size > 99 else 4, 3, size, size)).astype(dtype)
            wanted = network(torch.from_numpy(x.transpose(0, 2, 3, 1)), training=False).detach().numpy()
            ours.eval()
            with einkorn.no_grad():
                errors[dtype] = error(ours(x).numpy(), wanted)
        for layer in network.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        for module in ours.modules():
            if type(module).__name__ == "Dropout":
                module.p = 0.0
        ours.train()
        y = rng.integers(0, 10, len(x))
        scores = network(torch.from_numpy(x.transpose(0, 2, 3, 1)), training=True)
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(y))
        loss.backward()
        own = ops.cross_entropy(ours(x), y)
        own.backward()
        for weight in network.trainable_weights:  # Keras's file brings its gradients to our names and layout
            weight.assign(weight.value.grad.clone())
        network.save_weights(file)
        gradients = read_keras(ours, file)
    errors["loss"] = error(own.item(), loss.item())
    errors["gradients"] = max(error(p.grad.numpy(), gradients[k]) for k, p in ours.named_parameters())
    return errors


def networks() -> Iterator[tuple[str, str]]:
    try:
        import torchvision
    except ImportError:
        print("torchvision is not there")
    else:
        theirs = set(torchvision.models.list_models())
        yield from (("torchvision", name) for name in models.list_models() if name in theirs)
    try:
        import keras  # noqa: F401
    except ImportError:
        print("Keras is not there")
    else:
        yield from (("Keras", name) for name in KERAS)


def main() -> int:
    torch.set_num_threads(1)
    above = []
    for peer, name in networks():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        errors = beside_torchvision(name) if peer == "torchvision" else beside_keras(name)
        print(f"{peer:12} {name:20}", *(f"{what} {errors[what]:.1e} " for what in BOUNDS), flush=True)
        above += [f"{peer} {name}: {what}" for what in BOUNDS if not errors[what] < BOUNDS[what]]
    print("above the bounds:", ", ".join(above) or "none")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
