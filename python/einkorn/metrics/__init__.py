"""Figures of how good predictions are, entered batch by batch and exact over all rows.

``compile(metrics=["auc", einkorn.metrics.F1Score("macro")])``, or by hand: ``update_state(y_true, y_pred)``
for each batch, and ``result()``. Names and arguments are Keras', values scikit-learn's.
"""

from einkorn.metrics.base import Metric
from einkorn.metrics.classification import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    ConfusionMatrix,
    F1Score,
    MeanIoU,
    Precision,
    Recall,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from einkorn.metrics.detection import MeanAveragePrecision, box_iou
from einkorn.metrics.ranking import AUC, ExpectedCalibrationError, precision_recall_curve, roc_curve
from einkorn.metrics.registry import find, names
from einkorn.metrics.regression import (
    CosineSimilarity,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)
from einkorn.metrics.text import BLEU, Perplexity

__all__ = [
    "AUC",
    "BLEU",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "CosineSimilarity",
    "ExpectedCalibrationError",
    "F1Score",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanAveragePrecision",
    "MeanIoU",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "box_iou",
    "find",
    "names",
    "precision_recall_curve",
    "roc_curve",
]
