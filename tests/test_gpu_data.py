"""Datasets, batches and transforms of a GPU that is not there: the CPU's numbers, and nothing leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gpu_stand_in
import numpy as np
import pytest
from gpu_stand_in import GpuArray, near

import einkorn
from einkorn import nn
from einkorn.data import ConcatDataset, DataLoader, StackDataset, Subset, TensorDataset, augment, random_split

RNG = np.random.default_rng(5)
X = RNG.standard_normal((23, 3)).astype(np.float32)
Y = RNG.integers(0, 4, 23)
Place = Callable[[np.ndarray], Any]


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> gpu_stand_in.Engine:
    einkorn.engines.cpu()
    return gpu_stand_in.install(monkeypatch, cards=2)


@pytest.fixture
def stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Nothing may come to the CPU; what gathers is written down."""
    gathers: list[str] = []
    attribute = GpuArray.__getattr__

    def spied(self: GpuArray, name: str) -> Any:
        if name in ("take", "copy"):
            gathers.append(name)
        return attribute(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(GpuArray, "__getattr__", spied)
        patch.setattr(GpuArray, "get", lambda self, stream=None: pytest.fail("an array came to the CPU"))
        yield gathers


def there(a: np.ndarray) -> Any:
    return GpuArray(a.copy())


class Rows:
    """A dataset of the user's, whose rows are Tensors and labels numbers."""

    def __init__(self, place: Place) -> None:
        self.x, self.y = einkorn.Tensor(place(X)), place(Y)

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return {"x": self.x[i], "y": self.y[i], "number": i}


def _tensors(place: Place) -> TensorDataset:
    return TensorDataset(einkorn.Tensor(place(X)), place(Y))


def _parts(place: Place) -> ConcatDataset:
    return ConcatDataset([TensorDataset(place(a), place(b)) for a, b in ((X[:9], Y[:9]), (X[9:], Y[9:]))])


def _seeded(seed: int) -> Any:
    return einkorn.random.Generator(seed)


LOADERS: dict[str, Callable[[Place], Any]] = {
    "in order": lambda put: DataLoader(_tensors(put), 5),
    "shuffled": lambda put: DataLoader(_tensors(put), 5, shuffle=True, seed=1, drop_last=True),
    "tuple": lambda put: DataLoader((put(X), put(Y)), 4),
    "one array": lambda put: DataLoader(put(X), 4, shuffle=True, seed=2),
    "one Tensor": lambda put: DataLoader(einkorn.Tensor(put(X)), 23),
    "a row at a time": lambda put: DataLoader(_tensors(put), None),
    "sampler": lambda put: DataLoader(_tensors(put), 4, sampler=[22, 3, 3, -1, 0]),
    "batch sampler": lambda put: DataLoader(_tensors(put), batch_sampler=[[5, 2], [1], [-23, 22, 7]]),
    "weights": lambda put: DataLoader(
        _tensors(put), 6, sampler=einkorn.data.WeightedRandomSampler(Y + 0.5, 12, generator=_seeded(3))
    ),
    "collated by default": lambda put: DataLoader(_tensors(put), 5, collate_fn=einkorn.data.default_collate),
    "collated": lambda put: DataLoader(_tensors(put), 5, collate_fn=lambda rows: [row[0] for row in rows]),
    "subset": lambda put: DataLoader(Subset(_tensors(put), [4, 4, 1, 20]), 3, shuffle=True, seed=1),
    "split": lambda put: DataLoader(random_split(_tensors(put), [0.5, 0.5], _seeded(4))[1], 4),
    "joined": lambda put: DataLoader(_parts(put), 7, shuffle=True, seed=2),
    "part of joined": lambda put: DataLoader(Subset(_parts(put), [22, 8, 9, 0, 3]), 2),
    "joined by rows": lambda put: DataLoader(ConcatDataset([_tensors(put), Subset(_tensors(put), [2])]), 6),
    "beside each other": lambda put: DataLoader(StackDataset(a=_tensors(put), b=_parts(put)), 6),
    "rows of the user's": lambda put: DataLoader(Rows(put), 6, shuffle=True, seed=7),
    "threads": lambda put: DataLoader(_tensors(put), 5, num_workers=2, threads=True),
    "iterable": lambda put: DataLoader(_Stream(put), 5),
}


class _Stream(einkorn.data.IterableDataset):
    def __init__(self, put: Place) -> None:
        self.rows = _tensors(put)

    def __iter__(self) -> Iterator[Any]:
        return (self.rows[i] for i in range(11))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of a batch, and what they are called in the innermost dict."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, name)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _leaves(part, key)
    else:
        yield key, value


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_batches_stay_where_the_rows_are(make: Any, request: pytest.FixtureRequest) -> None:
    expected = [list(_leaves(batch)) for batch in make(lambda a: a)]
    request.getfixturevalue("stays")
    got = [list(_leaves(batch)) for batch in make(there)]
    assert [len(batch) for batch in got] == [len(batch) for batch in expected]
    for batch, wanted in zip(got, expected, strict=True):
        for (key, a), (_, b) in zip(batch, wanted, strict=True):
            assert isinstance(a, GpuArray) or key == "number"
            np.testing.assert_array_equal(near(a), b)
            assert near(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("name", ["in order", "shuffled", "sampler", "batch sampler", "subset", "split"])
def test_a_batch_is_one_launch_for_each_array(name: str, stays: list[str]) -> None:
    loader = LOADERS[name](there)
    stays.clear()
    batches = sum(1 for _ in loader)
    assert len(stays) == 2 * batches


def test_a_batch_belongs_to_who_takes_it() -> None:
    data = _tensors(there)
    for shuffle in (False, True):
        for x, _ in DataLoader(data, 5, shuffle=shuffle):
            x[...] = 0.0
    np.testing.assert_array_equal(data.arrays[0].near, X)


def test_rows_by_number() -> None:
    data = _tensors(there)
    for index in (slice(1, 4), [0, -1, 5], np.array([2, 3]), einkorn.tensor([4]), Y > 1, there(Y[:2]), 3):
        np.testing.assert_array_equal(data[index][0].near, X[near(getattr(index, "_data", index))])
    assert data[[]][0].shape == (0, 3)
    for index in ([0, 23], np.array([-24]), 23):
        with pytest.raises(IndexError):
            data[index]
    with pytest.raises(einkorn.ArgumentError, match="index has the type float64, expected numbers of rows"):
        data[[0.5]]
    with pytest.raises(einkorn.IndexRangeError, match="index 23 is out of range for 23 rows"):
        list(DataLoader(data, 2, sampler=[0, 23]))


def test_rows_of_another_card() -> None:
    with gpu_stand_in.Device(1):
        data = TensorDataset(einkorn.Tensor(X).to("cuda"), GpuArray(Y, 1))
    for shuffle in (False, True):
        for x, y in DataLoader(Subset(data, [3, 1, 2]), 2, shuffle=shuffle):
            assert (x.device.id, y.device.id) == (1, 1)
    rows = [GpuArray(X[0]), GpuArray(X[1], 1)]
    with pytest.raises(einkorn.DeviceError, match="row 1 is on cuda:1 and the first of its batch on cuda:0"):
        einkorn.data.default_collate(rows)


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, [1]), lambda d: ConcatDataset([d, d])])
def test_processes_do_not_share_a_card(wrap: Any) -> None:
    with pytest.raises(
        einkorn.DeviceError, match="num_workers is 2 and the dataset's arrays are on cuda:0, which processes"
    ):
        DataLoader(wrap(_tensors(there)), 4, num_workers=2)


def test_rows_that_a_process_makes_on_a_card_are_refused() -> None:
    loader = DataLoader(Rows(there), 4, num_workers=1)
    with pytest.raises(einkorn.DeviceError, match="a worker process made rows on cuda:0, which processes do"):
        list(loader)


# --- training -------------------------------------------------------------------------------------


def _model(device: str) -> Any:
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4)).to(device)
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    return model


def _fitted(device: str, put: Place, **options: Any) -> list[Any]:
    model = _model(device)
    einkorn.manual_seed(1)
    history = model.fit(put(X), put(Y), 5, 2, 0, **options)
    figures = model.evaluate(put(X), put(Y), batch_size=7)
    return [history.history, figures, model.predict(put(X), batch_size=6), model.predict_on_batch(put(X[:3]))]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"validation_split": 0.25},
        {"sample_weight": np.linspace(0, 1, 23)},
        {"class_weight": {0: 2.0}},
    ],
)
def test_a_training_with_arrays_of_the_card(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _fitted("cuda", lambda a: a, **options)
    get = GpuArray.get

    def spied(self: GpuArray, stream: Any = None) -> np.ndarray:
        assert self.shape[1:] != (3,), "inputs came to the CPU"
        return get(self, stream)

    with monkeypatch.context() as patch:
        patch.setattr(GpuArray, "get", spied)
        got = _fitted("cuda", there, **options)
    assert got[:2] == expected[:2]
    for a, b in zip(got[2:], expected[2:], strict=True):
        np.testing.assert_array_equal(a, b)
    here = _fitted("cpu", there, **options)  # a model of the CPU brings them to itself
    np.testing.assert_allclose(here[2], expected[2], atol=1e-5)


def test_a_training_with_a_loader_of_the_card() -> None:
    found = []
    for put in (there, lambda a: a):
        model = _model("cuda")
        data = random_split(_tensors(put), [18, 5], _seeded(0))
        model.fit(
            DataLoader(data[0], 4, shuffle=True, seed=0),
            epochs=2,
            verbose=0,
            validation_data=DataLoader(data[1], 5),
        )
        found.append([model.evaluate(data[1]), model.predict(DataLoader(_tensors(put), 6)).tolist()])
        model.train_on_batch(put(X), put(Y))
    assert found[0] == found[1]


def test_mixed_batches_stay(stays: list[str]) -> None:
    pictures = RNG.random((5, 2, 4, 6)).astype(np.float32)
    for make in (einkorn.data.MixUp, einkorn.data.CutMix):
        wanted = make(num_classes=4, seed=3)(pictures, Y[:5])
        got = make(num_classes=4, seed=3)(there(pictures), Y[:5])
        for a, b in zip(got, wanted, strict=True):
            assert isinstance(a, GpuArray)
            np.testing.assert_allclose(a.near, b, rtol=1e-6)


# --- transforms -----------------------------------------------------------------------------------

PICTURES = RNG.integers(0, 256, (6, 3, 12, 14), np.uint8)
TRANSFORMS: dict[str, Callable[[], augment.Transform]] = {
    "CenterCrop": lambda: augment.CenterCrop(8, seed=1),
    "ColorJitter": lambda: augment.ColorJitter(0.3, 0.2, 0.4, 0.1, seed=1),
    "Compose": lambda: augment.Compose(
        [
            augment.RandomCrop(10, padding=2),
            augment.RandomHorizontalFlip(),
            augment.RandomApply([augment.ColorJitter(0.5), augment.RandomRotation(20)], 0.6),
            augment.ElasticTransform(20.0, 2.0),
            augment.RandomVerticalFlip(),
            augment.RandomErasing(0.7, value="random"),
            augment.GaussianBlur(3),
            augment.ToDtype(scale=True),
            augment.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
        ],
        seed=1,
    ),
    "ElasticTransform": lambda: augment.ElasticTransform(30.0, 3.0, seed=1),
    "GaussianBlur": lambda: augment.GaussianBlur(5, (0.5, 2.0), seed=1),
    "GaussianNoise": lambda: augment.GaussianNoise(sigma=0.1, seed=1),
    "Normalize": lambda: augment.Compose(
        [augment.ToDtype(scale=True), augment.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])]
    ),
    "Pad": lambda: augment.Pad(2, padding_mode="reflect", seed=1),
    "RandAugment": lambda: augment.RandAugment(3, seed=1),
    "RandomAdjustSharpness": lambda: augment.RandomAdjustSharpness(2.0, seed=1),
    "RandomAffine": lambda: augment.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10, seed=1),
    "RandomApply": lambda: augment.RandomApply([augment.RandomErasing(1.0)], seed=1),
    "RandomAutocontrast": lambda: augment.RandomAutocontrast(seed=1),
    "RandomChoice": lambda: augment.RandomChoice(
        [augment.RandomHorizontalFlip(1.0), augment.ElasticTransform(20.0, 2.0), augment.RandomInvert(1.0)],
        seed=1,
    ),
    "RandomCrop": lambda: augment.RandomCrop(9, seed=1),
    "RandomEqualize": lambda: augment.RandomEqualize(seed=1),
    "RandomErasing": lambda: augment.RandomErasing(0.8, value=[9.0, 8.0, 7.0], seed=1),
    "RandomGrayscale": lambda: augment.RandomGrayscale(0.5, seed=1),
    "RandomHorizontalFlip": lambda: augment.RandomHorizontalFlip(seed=1),
    "RandomInvert": lambda: augment.RandomInvert(seed=1),
    "RandomPerspective": lambda: augment.RandomPerspective(0.4, 0.8, seed=1),
    "RandomPosterize": lambda: augment.RandomPosterize(3, seed=1),
    "RandomResizedCrop": lambda: augment.RandomResizedCrop(8, seed=1),
    "RandomRotation": lambda: augment.RandomRotation(30, seed=1),
    "RandomSolarize": lambda: augment.RandomSolarize(0.4, seed=1),
    "RandomVerticalFlip": lambda: augment.RandomVerticalFlip(seed=1),
    "Rescale": lambda: augment.Rescale(1 / 255, seed=1),
    "Resize": lambda: augment.Resize(7, seed=1),
    "SaltAndPepperNoise": lambda: augment.SaltAndPepperNoise(0.2, seed=1),
    "ToDtype": lambda: augment.ToDtype(scale=True, seed=1),
    "TrivialAugmentWide": lambda: augment.TrivialAugmentWide(seed=1),
}
#: The base, and what gives NumPy's batches as Keras' does.
ELSEWHERE = {
    "Transform", "DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator", "ImageDataGenerator",
    "plot_augmented",
}  # fmt: skip


def test_all_transforms_are_here() -> None:
    assert set(TRANSFORMS) | ELSEWHERE == set(augment.__all__)


@pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("kind", ["bytes", "floats", "channels last", "Tensor", "one picture"])
def test_transforms_of_pictures_on_the_card(
    make: Any, kind: str, request: pytest.FixtureRequest, card: gpu_stand_in.Engine
) -> None:
    pictures = PICTURES if kind == "bytes" else PICTURES.astype(np.float32) / 255
    transform = make()
    if kind == "channels last":
        pictures, transform.channels_last = np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)), True
    if kind == "one picture":
        pictures = pictures[2]
    wanted = transform(pictures, epoch=3)
    request.getfixturevalue("stays")
    before = card.launches
    given = there(pictures)
    got = transform(einkorn.Tensor(given) if kind == "Tensor" else given, epoch=3)
    if kind == "Tensor":
        assert isinstance(got, einkorn.Tensor)
        got = got._data
    assert isinstance(got, GpuArray)
    assert card.launches > before or np.array_equal(wanted, pictures)
    np.testing.assert_array_equal(got.near, wanted)
    assert got.dtype == wanted.dtype


@pytest.mark.parametrize("name", ["Compose", "RandomResizedCrop", "RandomHorizontalFlip", "ElasticTransform"])
def test_what_goes_along_is_moved_alike(name: str) -> None:
    boxes = np.array([[[1, 2, 7, 8], [0, 0, 3, 3]]] * 6, np.float32)
    points = [np.array([[1.0, 2.0]] * n, np.float32) for n in range(1, 7)]
    masks = RNG.integers(0, 3, (6, 12, 14))
    transform = TRANSFORMS[name]()
    wanted = transform(PICTURES, boxes=boxes, masks=masks, points=points)
    for on in ((), ("boxes",), ("masks", "points"), ("boxes", "masks", "points")):
        given: dict[str, Any] = {"boxes": boxes, "masks": masks, "points": points}
        for key in on:
            given[key] = [there(a) for a in points] if key == "points" else there(given[key])
        got = transform(there(PICTURES), **given)
        for key, a, b in zip(("x", "boxes", "masks", "points"), got, wanted, strict=True):
            for one, other in zip(a, b, strict=True) if key == "points" else [(a, b)]:
                assert isinstance(one, GpuArray) == (key == "x" or key in on)
                np.testing.assert_array_equal(near(one), other)


def test_a_loader_and_a_training_transform_on_the_card() -> None:
    y = np.arange(6) % 4
    batches = []
    for put in (there, lambda a: a):
        loader = DataLoader((put(PICTURES), put(y)), 4, True, seed=0, transform=TRANSFORMS["Compose"]())
        batches.append([near(x) for _ in range(2) for x, _ in loader])
    for a, b in zip(*batches, strict=True):
        np.testing.assert_array_equal(a, b)
    figures = []
    for put in (there, lambda a: a):
        einkorn.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 14, 4)).to("cuda")
        model.compile("sgd", "cross_entropy")
        x = PICTURES.astype(np.float32) / 255
        flips = augment.RandomHorizontalFlip(seed=2)
        figures.append(model.fit(put(x), y, 3, 2, 0, transform=flips).history)
    assert figures[0] == figures[1]


def test_pictures_of_a_keras_generator_come_to_the_cpu() -> None:
    generator = augment.ImageDataGenerator(horizontal_flip=True, rotation_range=10)
    x = PICTURES.transpose(0, 2, 3, 1).astype(np.float32)
    got, wanted = (next(generator.flow(a, Y[:6], seed=3)) for a in (there(x), x))
    np.testing.assert_array_equal(got[0], wanted[0])
    np.testing.assert_array_equal(
        generator.random_transform(there(x[0]), seed=1), generator.random_transform(x[0], seed=1)
    )
