"""Figures of how good predictions are, entered batch by batch and exact over all rows.

``compile(metrics=["auc", einkorn.metrics.F1Score("macro")])``, or by hand: ``update_state(y_true, y_pred)``
for each batch, and ``result()``. Names and arguments are Keras', values scikit-learn's.
"""

from einkorn._near import finding
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
from einkorn.metrics.text import BLEU, ChrF, Perplexity

__all__ = [
    "AUC",
    "BLEU",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ChrF",
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

_SKLEARN = "sklearn.metrics has it, for arrays"
_HERE = "einkorn.metrics.{} enters batches; {}".format
# scikit-learn's names, and what to use here.
_INSTEAD = {
    **dict.fromkeys(
        (
            "adjusted_mutual_info_score",
            "adjusted_rand_score",
            "auc",
            "average_precision_score",
            "balanced_accuracy_score",
            "brier_score_loss",
            "calinski_harabasz_score",
            "class_likelihood_ratios",
            "classification_report",
            "cohen_kappa_score",
            "completeness_score",
            "consensus_score",
            "coverage_error",
            "d2_absolute_error_score",
            "d2_brier_score",
            "d2_log_loss_score",
            "d2_pinball_score",
            "d2_tweedie_score",
            "davies_bouldin_score",
            "dcg_score",
            "det_curve",
            "euclidean_distances",
            "explained_variance_score",
            "fowlkes_mallows_score",
            "hamming_loss",
            "hinge_loss",
            "homogeneity_completeness_v_measure",
            "homogeneity_score",
            "label_ranking_average_precision_score",
            "label_ranking_loss",
            "matthews_corrcoef",
            "max_error",
            "mean_gamma_deviance",
            "mean_pinball_loss",
            "mean_poisson_deviance",
            "mean_tweedie_deviance",
            "median_absolute_error",
            "multilabel_confusion_matrix",
            "mutual_info_score",
            "ndcg_score",
            "normalized_mutual_info_score",
            "pairwise_distances",
            "rand_score",
            "silhouette_samples",
            "silhouette_score",
            "v_measure_score",
        ),
        _SKLEARN,
    ),
    "accuracy_score": _HERE("Accuracy", _SKLEARN),
    "zero_one_loss": _HERE("Accuracy", _SKLEARN),
    "confusion_matrix": _HERE("ConfusionMatrix", _SKLEARN),
    "precision_score": _HERE("Precision", _SKLEARN),
    "recall_score": _HERE("Recall", _SKLEARN),
    "f1_score": _HERE("F1Score", _SKLEARN),
    "fbeta_score": _HERE("F1Score", _SKLEARN),
    "precision_recall_fscore_support": _HERE("Precision, Recall and F1Score", _SKLEARN),
    "jaccard_score": _HERE("MeanIoU", _SKLEARN),
    "roc_auc_score": _HERE("AUC", _SKLEARN),
    "top_k_accuracy_score": _HERE("SparseTopKCategoricalAccuracy", _SKLEARN),
    "log_loss": "einkorn.keras.metrics.SparseCategoricalCrossentropy enters batches; " + _SKLEARN,
    "r2_score": _HERE("R2Score", _SKLEARN),
    "mean_squared_error": _HERE("MeanSquaredError", _SKLEARN),
    "root_mean_squared_error": _HERE("RootMeanSquaredError", _SKLEARN),
    "mean_absolute_error": _HERE("MeanAbsoluteError", _SKLEARN),
    "mean_absolute_percentage_error": _HERE("MeanAbsolutePercentageError", _SKLEARN),
    "mean_squared_log_error": _HERE("MeanSquaredLogarithmicError", _SKLEARN),
    **dict.fromkeys(
        ("ConfusionMatrixDisplay", "RocCurveDisplay", "PrecisionRecallDisplay", "DetCurveDisplay"),
        "einkorn.training.plots draws confusion matrices and curves",
    ),
    **dict.fromkeys(
        ("make_scorer", "get_scorer", "get_scorer_names", "check_scoring"),
        "sklearn.metrics has it: einkorn.training.sklearn's estimators are scored by scikit-learn",
    ),
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
