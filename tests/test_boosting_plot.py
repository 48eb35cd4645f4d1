"""Pictures of models: what is drawn, where, and what is refused."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from einkorn import boosting
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError, EinkornError

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
from matplotlib.figure import Figure  # noqa: E402

LEAF = -1


def trees(width: int = 1) -> Trees:
    """Two trees over three features: a split by number and one by category, then a single leaf.

    ::

        x0 <= 0.5, gain 4 ── yes ── x2 in {1, 33}, gain 2 (missing left) ── yes ── leaf
                          └─ no ─── leaf                                └─ no ─── leaf
    """
    values = np.linspace(-1, 1, 6)
    return Trees(
        offsets=np.array([0, 5, 6], np.int64),
        outputs=np.full(2, 0 if width == 1 else -1, np.int32),
        feature=np.array([0, 2, LEAF, LEAF, LEAF, LEAF], np.int32),
        threshold=np.array([0.5, *[np.nan] * 5]),
        left=np.array([1, 3, -1, -1, -1, -1], np.int32),
        right=np.array([2, 4, -1, -1, -1, -1], np.int32),
        missing_left=np.array([0, 1, 0, 0, 0, 0], np.uint8),
        category_offset=np.array([-1, 0, -1, -1, -1, -1], np.int32),
        category_words=np.array([0, 2, 0, 0, 0, 0], np.int32),
        categories=np.array([1 << 1, 1 << 1], np.uint32),
        value=np.stack([values, *(values[::-1] * (k + 1) for k in range(width - 1))], axis=1),
        gain=np.array([4.0, 2, 0, 0, 0, 0]),
        cover=np.array([20.0, 12, 8, 5, 7, 20]),
        count=np.array([20, 12, 8, 10, 2, 20], np.int64),
        n_features=3,
        n_outputs=width,
        base=np.zeros(width),
    )


def words(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.fixture
def ax() -> Any:
    return Figure().subplots()


def test_tree_says_what_its_nodes_ask(ax: Any) -> None:
    assert boosting.plot_tree(trees(), feature_names=["age", "b", "colour"], ax=ax) is ax
    text = words(ax)
    assert sorted(word for word in text if "\n" not in word) == ["no", "no", "yes", "yes, missing"]
    boxes = [word for word in text if "\n" in word]
    assert boxes[0] == "age ≤ 0.5\ngain 4, n 20\nvalue -1"
    assert boxes[1].startswith("colour in {1, 33}\ngain 2, n 12\n")
    assert "value 0.2\nn 10, cover 5" in boxes  # cover only where it is not the count


def test_tree_layout(ax: Any) -> None:
    """Columns by depth, yes above no, parents between their children, no two boxes in one place."""
    boosting.plot_tree(trees(), ax=ax)
    place = {
        text.get_text().split("\n")[0]: text.get_position() for text in ax.texts if "\n" in text.get_text()
    }
    assert place["x0 ≤ 0.5"] == (0, 1.25)
    assert place["x2 in {1, 33}"] == (1, 0.5)
    assert (place["value 0.2"], place["value 0.6"]) == ((2, 0), (2, 1))
    assert place["value -0.2"] == (1, 2)
    low, high = ax.get_ylim()
    assert low > high  # the first leaf is the highest


def test_tree_of_one_leaf_and_cut_trees(ax: Any) -> None:
    boosting.plot_tree(trees(), index=-1, ax=ax)
    assert words(ax) == ["value 1\nn 20"]
    cut = boosting.plot_tree(trees(), max_depth=0, ax=Figure().subplots())
    assert words(cut) == ["x0 ≤ 0.5\ngain 4, n 20\nvalue -1 …"]


def test_tree_with_a_number_per_class(ax: Any) -> None:
    boosting.plot_tree(trees(3), class_names=["a", "b", "c"], ax=ax)
    boxes = [word for word in words(ax) if "\n" in word]
    assert boxes[0].split("\n")[-1] == "c: 2"


def chain(depth: int) -> Trees:
    """A tree in which every left child is a leaf."""
    n = 2 * depth + 1
    inner = np.arange(n) % 2 == 0
    inner[-1] = False
    step = np.where(inner, np.arange(n), -1)
    return Trees(
        offsets=np.array([0, n], np.int64),
        outputs=np.zeros(1, np.int32),
        feature=np.where(inner, 0, LEAF).astype(np.int32),
        threshold=np.where(inner, 0.5, np.nan),
        left=np.where(inner, step + 1, -1).astype(np.int32),
        right=np.where(inner, step + 2, -1).astype(np.int32),
        missing_left=np.zeros(n, np.uint8),
        category_offset=np.full(n, -1, np.int32),
        category_words=np.zeros(n, np.int32),
        categories=np.empty(0, np.uint32),
        value=np.linspace(-1, 1, n)[:, None],
        gain=np.ones(n),
        cover=np.ones(n),
        count=np.ones(n, np.int64),
        n_features=1,
        n_outputs=1,
        base=np.zeros(1),
    )


def test_deep_trees_are_no_recursion() -> None:
    from einkorn.boosting import _draw_tree

    root = _draw_tree.lay_out(chain(1699), 0, None)
    boxes = list(root.walk())
    assert [box.node for box in boxes] == list(range(2 * 1699 + 1))  # parents first, the left child next
    assert boxes[-1].depth == 1699


def test_a_tree_of_any_depth_is_drawn(tmp_path: Any) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = []
    for depth in (4, 1699):
        ax = boosting.plot_tree(chain(depth))
        assert len([word for word in words(ax) if "\n" in word]) == 2 * depth + 1
        sizes.append(ax.figure.get_size_inches())
        if depth == 4:
            ax.figure.savefig(tmp_path / "tree.png")
        pyplot.close(ax.figure)
    assert sizes[0].tolist() == [15.0, pytest.approx(2.8)]
    # at 120 dots an inch: fewer than the 2^16 pixels a side that the renderer takes, and not gigabytes
    assert max(sizes[1]) * 120 < 1 << 16
    assert np.prod(sizes[1] * 120) * 4 < 4e8


NAMES = ["net $$", "a_{b} $\\frac$", "$x^2$", "50% \\ (€)"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are(name: str, tmp_path: Any) -> None:
    """A dollar sign begins no formula, which half of one could not even be parsed as."""
    from sklearn.tree import DecisionTreeClassifier

    figure = Figure(figsize=(16, 12))
    axes = figure.subplots(2, 3).ravel()
    names = [name, f"{name} 2", f"{name} 3"]
    boosting.plot_tree(trees(3), feature_names=names, class_names=names, ax=axes[0])
    boosting.plot_importance(trees(), feature_names=names, ax=axes[1])
    boosting.plot_staged_error(Staged(), np.zeros((2, 1)), np.zeros(2), metric_name=name, ax=axes[2])
    X = np.array([[0.0, 1, 2], [1, 0, 2], [2, 2, 2]])
    model = DecisionTreeClassifier().fit(X, names)
    boosting.plot_decision_surface(model, X, names, feature_names=names, resolution=3, ax=axes[3])
    figure.savefig(tmp_path / "all.png")
    assert list(bars(axes[1]))[-1] == name
    assert axes[2].get_ylabel() == axes[3].get_xlabel() == name
    drawn = [*axes[0].texts, *axes[1].get_yticklabels(), axes[2].yaxis.label, axes[3].xaxis.label]
    drawn += [axes[3].yaxis.label, *axes[3].get_legend().get_texts()]
    assert not any(text.get_parse_math() for text in drawn if name in text.get_text())


def test_features_of_one_name_have_a_bar_each(ax: Any) -> None:
    boosting.plot_importance(trees(), feature_names=["same", "same", "same"], ax=ax)
    assert [round(bar.get_width(), 3) for bar in ax.patches] == [0, 0.333, 0.667]
    assert len({bar.get_y() for bar in ax.patches}) == 3


def test_losses_that_are_all_nan(ax: Any) -> None:
    model = SimpleNamespace(train_score_=[np.nan] * 2, validation_score_=[np.nan] * 2)
    assert boosting.plot_staged_error(model, ax=ax) is ax


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": 2}, r"index is 2, expected from -2 to 1"),
        ({"max_depth": -1}, r"max_depth is -1"),
        ({"feature_names": ["a"]}, r"feature_names has 1, expected 3"),
    ],
)
def test_plot_tree_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^plot_tree: {message}"):
        boosting.plot_tree(trees(), **options)


def test_models_without_trees_are_refused() -> None:
    for model in (object(), SimpleNamespace(estimators_=[object()]), SimpleNamespace(estimators_=[])):
        with pytest.raises(ArgumentError, match=r"^plot_tree: model is \w+, expected a fitted estimator"):
            boosting.plot_tree(model)
    with pytest.raises(ArgumentError, match=r"class_names has 2, expected 3"):
        boosting.plot_tree(trees(3), class_names=["a", "b"])


def bars(ax: Any) -> dict[str, float]:
    names = [label.get_text() for label in ax.get_yticklabels()]
    return dict(zip(names, (bar.get_width() for bar in ax.patches), strict=True))


def test_importance(ax: Any) -> None:
    boosting.plot_importance(trees(), feature_names=["a", "b", "c"], ax=ax)
    assert bars(ax) == pytest.approx({"b": 0, "c": 1 / 3, "a": 2 / 3})
    assert list(bars(ax)) == ["b", "c", "a"]  # from the bottom up
    counted = boosting.plot_importance(trees(), "split", top=2, ax=Figure().subplots())
    assert bars(counted) == {"x0": 1, "x2": 1}


def test_importance_of_an_estimator_and_by_permutation(ax: Any) -> None:
    from sklearn.linear_model import LinearRegression

    model = SimpleNamespace(feature_importances_=np.array([0.1, 0.9]), feature_names_in_=["left", "right"])
    assert list(bars(boosting.plot_importance(model, ax=ax))) == ["left", "right"]
    X = np.random.default_rng(0).standard_normal((80, 3))
    linear = LinearRegression().fit(X, X[:, 1])
    drawn = boosting.plot_importance(linear, "permutation", X=X, y=X[:, 1], ax=Figure().subplots())
    assert list(bars(drawn))[-1] == "x1"
    assert len(drawn.containers) > 1  # error bars, too


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cover"}, r"kind is 'cover', expected 'gain', 'split' or 'permutation'"),
        ({"kind": "permutation"}, r"kind is 'permutation', which needs X and y"),
        ({"top": 0}, r"top is 0"),
        ({"feature_names": ["a"]}, r"feature_names has 1, expected 3"),
    ],
)
def test_plot_importance_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^plot_importance: {message}"):
        boosting.plot_importance(trees(), **options)


class Staged:
    """A classifier whose answer changes by round: all 0, then X's first column, then all 1."""

    classes_ = np.array([0, 1])

    def staged_predict(self, X: Any) -> Any:
        yield np.zeros(len(X), int)
        yield X[:, 0].astype(int)
        yield np.ones(len(X), int)


def test_staged_error(ax: Any) -> None:
    X = np.array([[0.0], [1], [1], [1]])
    y = np.array([0, 1, 1, 1])
    boosting.plot_staged_error(Staged(), X, y, X_val=X[:2], y_val=y[:2], ax=ax)
    training, validation, *_ = ax.get_lines()
    np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(training.get_ydata(), [0.75, 0, 0.25])
    np.testing.assert_allclose(validation.get_ydata(), [0.5, 0, 0.5])
    assert "lowest: 0 in round 2" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert ax.get_ylabel() == "share of wrong rows"


def test_recorded_losses_and_other_metrics(ax: Any) -> None:
    model = SimpleNamespace(train_score_=[3.0, 2.0, 1.0], validation_score_=[3.0, 2.5, 2.75])
    boosting.plot_staged_error(model, ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[1].get_ydata(), [3.0, 2.5, 2.75])
    assert ax.get_ylabel() == "loss"

    def bias(y: Any, predicted: Any) -> float:
        return float(np.mean(predicted - y))

    drawn = boosting.plot_staged_error(
        Staged(), np.zeros((2, 1)), np.zeros(2), metric=bias, ax=Figure().subplots()
    )
    assert drawn.get_ylabel() == "bias"
    np.testing.assert_array_equal(drawn.get_lines()[0].get_ydata(), [0, 0, 1])


def test_plot_staged_error_refuses() -> None:
    with pytest.raises(ArgumentError, match=r"^plot_staged_error: the model kept no losses"):
        boosting.plot_staged_error(SimpleNamespace())
    with pytest.raises(ArgumentError, match=r"^plot_staged_error: validation rows need both X and y"):
        boosting.plot_staged_error(Staged(), X_val=np.zeros((2, 1)))
    with pytest.raises(ArgumentError, match=r"^plot_staged_error: SimpleNamespace has no rounds"):
        boosting.plot_staged_error(SimpleNamespace(), np.zeros((2, 1)), np.zeros(2))


@pytest.mark.parametrize("kind", ["probability", "decision", "regression"])
def test_decision_surface(kind: str, ax: Any) -> None:
    from sklearn import linear_model

    X = np.random.default_rng(0).standard_normal((60, 3))
    X[0, 2] = np.nan  # medians pass over what is missing
    y = (X[:, 0] > X[:, 1]).astype(int)
    if kind == "regression":
        model: Any = linear_model.LinearRegression().fit(np.nan_to_num(X), X[:, 0])
    else:
        of_kind = linear_model.LogisticRegression if kind == "probability" else linear_model.RidgeClassifier
        model = of_kind().fit(np.nan_to_num(X), y)
    boosting.plot_decision_surface(model, X, y, resolution=20, ax=ax)
    image = np.asarray(ax.images[0].get_array())
    assert image.shape[:2] == (20, 20)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x0", "x1")
    top_left, bottom_right = image[-1, 0], image[0, -1]
    if kind == "regression":
        assert top_left < bottom_right
    else:
        assert top_left[2] > top_left[0]  # class 0 is blue,
        assert bottom_right[0] > bottom_right[2]  # class 1 orange


def test_decision_surface_keeps_column_names(ax: Any) -> None:
    pandas = pytest.importorskip("pandas")
    from sklearn.linear_model import LinearRegression

    frame = pandas.DataFrame({"a": [0.0, 1, 2], "b": [1.0, 0, 1]})
    model = LinearRegression().fit(frame, [0, 1, 2])
    boosting.plot_decision_surface(model, frame, features=(1, 0), resolution=3, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "a")


def test_plot_decision_surface_refuses() -> None:
    X = np.zeros((4, 2))
    with pytest.raises(ArgumentError, match=r"^plot_decision_surface: features is \(0, 2\), X has shape"):
        boosting.plot_decision_surface(None, X, features=(0, 2))
    with pytest.raises(ArgumentError, match=r"^plot_decision_surface: resolution is 1"):
        boosting.plot_decision_surface(None, X, resolution=1)


@pytest.mark.parametrize(
    "name", ["AdaBoost", "GradientBoosting", "RandomForest", "ExtraTrees", "DecisionTree"]
)
@pytest.mark.parametrize("ending", ["Classifier", "Regressor"])
def test_every_estimator_is_drawn(name: str, ending: str) -> None:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    y = (y > 140).map({False: "low", True: "high"}) if ending == "Classifier" else y
    options = {} if name == "DecisionTree" else {"n_estimators": 3}
    model = getattr(boosting, name + ending)(**options, random_state=0).fit(X, y)
    drawn = boosting.plot_tree(model, -1, max_depth=2, ax=Figure().subplots())
    assert words(drawn)[-1]
    assert any(word.split(" ≤")[0] in X.columns for word in words(drawn))
    for kind in ("gain", "split"):
        assert set(bars(boosting.plot_importance(model, kind, ax=Figure().subplots()))) == set(X.columns)
    surface = boosting.plot_decision_surface(model, X, y, resolution=5, ax=Figure().subplots())
    assert surface.get_xlabel() == "age"
    if name in ("AdaBoost", "GradientBoosting"):
        ax = boosting.plot_staged_error(model, X, y, ax=Figure().subplots())
        assert len(ax.get_lines()[0].get_ydata()) == 3


def test_a_figure_is_made_where_no_axes_are_given() -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    small = boosting.plot_tree(trees(), index=1)
    large = boosting.plot_tree(trees())
    assert large.figure.get_size_inches()[0] > small.figure.get_size_inches()[0]
    pyplot.close("all")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(EinkornError, match=r"^plot_tree needs matplotlib: pip install 'einkorn\[plot\]'$"):
        boosting.plot_tree(trees())
