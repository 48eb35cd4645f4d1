"""Networks that tell how sure they are: dropout left on, weights with distributions, ensembles, SWAG.

Each way gives several predictions for a row, [samples, rows, classes]. What they have in common is in
``mean_probability``, how sure they are together in ``predictive_entropy``, and how far they differ in
``mutual_information``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

_HOMES = {
    "plots": "",
    "DeepEnsemble": "ensemble",
    "BayesConv2d": "layers",
    "BayesLinear": "layers",
    "Normal": "layers",
    "ScaleMixture": "layers",
    "kl_loss": "layers",
    "set_kl_weight": "layers",
    "sample_outputs": "stochastic",
    "sample_probabilities": "stochastic",
    "sampling": "stochastic",
    "SWAG": "swag",
    "expected_entropy": "uncertainty",
    "mean_probability": "uncertainty",
    "mutual_information": "uncertainty",
    "predictive_entropy": "uncertainty",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.bayes import plots
    from einkorn.bayes.ensemble import DeepEnsemble
    from einkorn.bayes.layers import BayesConv2d, BayesLinear, Normal, ScaleMixture, kl_loss, set_kl_weight
    from einkorn.bayes.stochastic import sample_outputs, sample_probabilities, sampling
    from einkorn.bayes.swag import SWAG
    from einkorn.bayes.uncertainty import (
        expected_entropy,
        mean_probability,
        mutual_information,
        predictive_entropy,
    )

__getattr__, __dir__ = later(__name__, _HOMES)
