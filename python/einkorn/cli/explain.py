"""``einkorn explain``: where in an image a network's evidence for a class lies."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn._files import save_figure
from einkorn.cli.networks import Named, add_network
from einkorn.cli.outputs import picture_file
from einkorn.cli.settings import add_settings, apply_settings

__all__ = ["add_explain", "explain"]

#: The command's words for the methods, and the functions of einkorn.explain.
METHODS = {
    "gradcam": "gradcam",
    "gradcam++": "gradcam_plus_plus",
    "cam": "cam",
    "occlusion": "occlusion",
    "gradients": "gradients",
    "smoothgrad": "smoothgrad",
    "integrated": "integrated_gradients",
    "guided": "guided_backpropagation",
    "deconvnet": "deconvnet",
}
_MAPS = ("gradcam", "gradcam++", "cam", "occlusion")
_OF_LAYERS = ("gradcam", "gradcam++", "cam")


def add_explain(commands: Any) -> None:
    """Define the command's arguments."""
    command = commands.add_parser(
        "explain",
        help="show where a network's evidence in an image lies",
        description="Draw the picture under a map of the evidence for a class, or the class's gradient.",
    )
    command.add_argument("image", metavar="IMAGE", help="image file")
    add_network(command, "a name of einkorn.models with --weights, or what `einkorn train` wrote")
    command.add_argument("--method", choices=tuple(METHODS), default="gradcam", help="default: gradcam")
    command.add_argument(
        "--target", metavar="CLASS", help="name or number (default: what the network takes the image for)"
    )
    command.add_argument("--layer", metavar="PATH", help="of the maps (default: the last stage)")
    command.add_argument("--out", default="explained.png", metavar="FILE", help="default: explained.png")
    command.add_argument("--overwrite", action="store_true", help="replace the picture if it is there")
    add_settings(command)


def explain(arguments: argparse.Namespace) -> None:
    """Explain as the command line says, and draw it."""
    from einkorn import explain as methods
    from einkorn import ops
    from einkorn.errors import ArgumentError
    from einkorn.vision.images import load_image

    apply_settings(arguments)
    if arguments.layer is not None and arguments.method not in _OF_LAYERS:
        raise ArgumentError(f"--layer goes with --method {', '.join(_OF_LAYERS)}, not {arguments.method}")
    formats = need("matplotlib.backends.backend_agg", "--out").FigureCanvasAgg.get_supported_filetypes()
    file = picture_file(arguments.out, arguments.overwrite, formats)
    network = Named(arguments, "einkorn explain IMAGE --model ...")
    image = load_image(arguments.image)
    x = network.prepare(image)
    scores = network.model.predict(x)
    target = network.number(arguments.target, scores[0])
    options = {} if arguments.layer is None else {"layer": arguments.layer}
    found = getattr(methods, METHODS[arguments.method])(network.model, x, target, **options)[0]
    if arguments.method in _MAPS:
        axes = methods.plot_heatmap(network.shown(x, image), np.maximum(found, 0))
    else:
        axes = methods.plot_gradient(found)
    chance = float(np.asarray(ops.softmax(scores, -1))[0, target])
    axes.set_title(f"{network.called(target)} {chance:.1%}", parse_math=False)
    save_figure(axes.figure, file)
    print(f"{arguments.image}  {network.called(target)} {chance:.2%}  {arguments.method}: {file}")
