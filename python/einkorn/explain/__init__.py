"""Seeing inside networks of images: where their evidence lies, what they look for, how they are fooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.explain.NAME, and the module it lives in.
_HOMES = {
    "activation_maximization": "fooling",
    "cam": "activation_maps",
    "deconvnet": "pixels",
    "deletion_curve": "faithful",
    "fgsm": "fooling",
    "gradcam": "activation_maps",
    "gradcam_plus_plus": "activation_maps",
    "gradients": "pixels",
    "guided_backpropagation": "pixels",
    "insertion_curve": "faithful",
    "integrated_gradients": "pixels",
    "occlusion": "pixels",
    "pgd": "fooling",
    "plot_gradient": "plot",
    "plot_heatmap": "plot",
    "plot_image": "plot",
    "smoothgrad": "pixels",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.explain.activation_maps import cam, gradcam, gradcam_plus_plus
    from einkorn.explain.faithful import deletion_curve, insertion_curve
    from einkorn.explain.fooling import activation_maximization, fgsm, pgd
    from einkorn.explain.pixels import (
        deconvnet,
        gradients,
        guided_backpropagation,
        integrated_gradients,
        occlusion,
        smoothgrad,
    )
    from einkorn.explain.plot import plot_gradient, plot_heatmap, plot_image

__getattr__, __dir__ = later(__name__, _HOMES)
