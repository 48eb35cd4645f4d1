"""CascadeDetector: OpenCV's files and detections, images as they come, the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_haar import FACES, image_of, random_cascade

import einkorn
from einkorn.cli import main
from einkorn.errors import ArgumentError, CheckpointError, DataError, DTypeError, ShapeError
from einkorn.vision import CascadeDetector, plot_detections
from einkorn.vision.images import load_image, to_gray

FIELDS = random_cascade().__dataclass_fields__


def photo(name: str) -> np.ndarray:
    path = FACES / "photos" / "gray_u8.npz"
    if not path.exists():
        pytest.skip(f"no photographs at {path}")
    with np.load(path) as photos:
        return photos[name]


def published(name: str) -> Path:
    path = FACES / f"haarcascade_frontalface_{name}.xml"
    if not path.exists():
        pytest.skip(f"no cascade at {path}")
    return path


def assert_same_cascade(a: einkorn.ops.HaarCascade, b: einkorn.ops.HaarCascade) -> None:
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), err_msg=field)


@pytest.mark.parametrize("kind", ["stumps", "trees", "tilted"])
def test_files_keep_every_bit(tmp_path: Path, kind: str) -> None:
    cascade = random_cascade(1, trees=kind == "trees", tilted=kind == "tilted")
    path = tmp_path / "cascade.xml"
    CascadeDetector(cascade).save(path)
    assert_same_cascade(CascadeDetector.load(path).cascade, cascade)
    assert [p.name for p in tmp_path.iterdir()] == ["cascade.xml"]


def test_files_of_published_cascades(tmp_path: Path) -> None:
    for name in ("default", "alt"):
        detector = CascadeDetector.load(published(name))
        detector.save(tmp_path / "again.xml")
        assert_same_cascade(CascadeDetector.load(tmp_path / "again.xml").cascade, detector.cascade)


OLD = """<?xml version="1.0"?>
<opencv_storage><mine type_id="opencv-haar-classifier"><size>10 12</size><stages>
<_><trees>
  <_><_><feature><rects><_>1 2 6 6 -1.</_><_>3 2 2 6 3.</_></rects><tilted>0</tilted></feature>
     <threshold>-0.5</threshold><left_val>-1.</left_val><right_node>1</right_node></_>
     <_><feature><rects><_>5 0 2 2 -1.</_><_>5 0 1 2 2.</_></rects><tilted>1</tilted></feature>
     <threshold>0.25</threshold><left_val>0.5</left_val><right_val>0.75</right_val></_></_></trees>
  <stage_threshold>0.125</stage_threshold><parent>-1</parent><next>-1</next></_>
<_><trees>
  <_><_><feature><rects><_>0 0 4 4 -1.</_><_>0 0 4 2 2.</_></rects><tilted>0</tilted></feature>
     <threshold>0.5</threshold><left_val>1.</left_val><right_val>0.</right_val></_></_></trees>
  <stage_threshold>0.5</stage_threshold><parent>0</parent><next>-1</next></_>
</stages></mine></opencv_storage>"""


def test_old_format(tmp_path: Path) -> None:
    path = tmp_path / "old.xml"
    path.write_text(OLD)
    c = CascadeDetector.load(path).cascade
    assert (c.height, c.width) == (12, 10)
    assert c.stage_trees.tolist() == [0, 1, 2]
    assert c.tree_nodes.tolist() == [0, 2, 3]
    assert c.left.tolist() == [0, 0, 0]
    assert c.right.tolist() == [1, 0, 0]
    assert c.left_value.tolist() == [-1, 0.5, 1]
    assert c.right_value.tolist() == [0, 0.75, 0]
    assert c.tilted.tolist() == [0, 1, 0]
    assert c.rects[0].tolist() == [[1, 2, 6, 6], [3, 2, 2, 6], [0, 0, 0, 0]]
    assert c.weights[0].tolist() == [-1, 3, 0]
    assert c.stage_threshold.tolist() == [0.125, 0.5]


BOMB = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
HOSTILE = {
    "entities": (OLD.replace("<opencv_storage>", BOMB + "<opencv_storage>"), "document type"),
    "outside": (
        OLD.replace("<opencv_storage>", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><opencv_storage>'),
        "document type",
    ),
    "deep": ("<opencv_storage>" + "<a>" * 50000, "deeper"),
    "cut": (OLD[:700], "well-formed"),
    "empty": ("", "well-formed"),
    "binary": ("\0\1\2", "well-formed"),
    "another document": ("<html><body/></html>", "expected <opencv_storage>"),
    "another classifier": (OLD.replace("opencv-haar", "opencv-ml"), "holds no"),
    "rectangle": (OLD.replace("1 2 6 6 -1.", "5 2 6 6 -1."), "outside of the window"),
    "negative rectangle": (OLD.replace("1 2 6 6 -1.", "-1 2 6 6 -1."), "outside of the window"),
    "tilted rectangle": (OLD.replace("5 0 2 2 -1.", "1 0 2 2 -1."), "outside of the window"),
    "huge rectangle": (OLD.replace("1 2 6 6 -1.", "1 2 6 1e20 -1."), "whole number"),
    "half a pixel": (OLD.replace("1 2 6 6 -1.", "1 2 6.5 6 -1."), "whole number"),
    "four numbers": (OLD.replace("1 2 6 6 -1.", "1 2 6 6"), "4 numbers, expected 5"),
    "words": (OLD.replace("1 2 6 6 -1.", "1 2 6 six -1."), "expected numbers"),
    "infinite": (OLD.replace("0.125", "inf"), "not finite"),
    "loop": (OLD.replace("<right_node>1", "<right_node>0"), "cannot be"),
    "child": (OLD.replace("<right_node>1", "<right_node>9"), "cannot be"),
    "no leaf": (OLD.replace("<right_val>0.75</right_val>", ""), "no <right_val>"),
    "window": (OLD.replace("10 12", "1000 1200"), "window"),
    "small window": (OLD.replace("10 12", "1 1"), "window"),
    "tree of stages": (OLD.replace("<parent>0", "<parent>-1"), "not a chain"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    text, message = HOSTILE[name]
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        CascadeDetector.load(path)
    assert "bad.xml" in str(caught.value)


def test_other_features_and_leaves_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cascade.xml"
    CascadeDetector(random_cascade()).save(path)
    good = path.read_text()
    for old, new, message in (
        ("HAAR", "LBP", "type 'LBP'"),
        ("<internalNodes>0 -1 ", "<internalNodes>0 -2 ", "leaf 2"),
        ("<internalNodes>0 -1 ", "<internalNodes>0 -1 1 ", "four for each node"),
        ("<stages>", "<other>", "well-formed"),
    ):
        path.write_text(good.replace(old, new))
        with pytest.raises(DataError, match=message):
            CascadeDetector.load(path)


def test_missing_file() -> None:
    with pytest.raises(DataError, match=r"nowhere\.xml: cannot be read"):
        CascadeDetector.load("nowhere.xml")


def by_position(boxes: object) -> list:
    return sorted(np.array(boxes, int).reshape(-1, 4).tolist())


@pytest.mark.parametrize("cascade", ["default", "alt"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_neighbors": 0},
        {"scale_factor": 1.3, "min_neighbors": 1},
        {"min_size": 60, "max_size": (200, 180)},
        {"min_size": (70, 70), "max_size": 70},
        {"min_size": 5000},
    ],
    ids=str,
)
def test_detections_are_those_of_opencv(engine: str, cascade: str, options: dict) -> None:
    cv2 = pytest.importorskip("cv2")
    path = published(cascade)
    theirs = cv2.CascadeClassifier(str(path))
    image = photo("2008_002470" if engine == "native" else "2008_007676")
    names = {"scale_factor": "scaleFactor", "min_neighbors": "minNeighbors", "min_size": "minSize"}
    names["max_size"] = "maxSize"
    renamed = {names[k]: (v, v) if "size" in k and isinstance(v, int) else v for k, v in options.items()}
    expected = theirs.detectMultiScale(image, **renamed)
    found = CascadeDetector.load(path).detect(image, **options)
    assert by_position(found) == by_position(expected)


@pytest.mark.parametrize("name", ["2007_007763", "2008_001009", "2008_004176", "2009_004587", "ultraface_3"])
def test_more_photographs(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    for cascade in ("default", "alt"):
        path = published(cascade)
        boxes, scores = CascadeDetector.load(path).detect(photo(name), return_scores=True)
        theirs, counts = cv2.CascadeClassifier(str(path)).detectMultiScale2(photo(name))
        assert len(boxes) > 0
        assert by_position(boxes) == by_position(theirs)
        assert sorted(scores.tolist()) == sorted(np.array(counts).tolist())


@pytest.mark.parametrize("kind", ["stumps", "trees", "tilted"])
def test_saved_cascades_detect_the_same_in_opencv(tmp_path: Path, kind: str) -> None:
    cv2 = pytest.importorskip("cv2")
    detector = CascadeDetector(random_cascade(7, trees=kind == "trees", tilted=kind == "tilted"))
    path = tmp_path / "cascade.xml"
    detector.save(path)
    theirs = cv2.CascadeClassifier(str(path))
    assert not theirs.empty()
    for shape in ((90, 80), (131, 200)):
        image = image_of(*shape)
        expected = theirs.detectMultiScale(image, minNeighbors=0)
        assert len(expected) > 100
        assert by_position(detector.detect(image, min_neighbors=0)) == by_position(expected)


def test_old_files_detect_the_same_in_opencv(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "old.xml"
    path.write_text(
        OLD.replace("<threshold>-0.5", "<threshold>0.01").replace("<threshold>0.5", "<threshold>0.0")
    )
    theirs = cv2.CascadeClassifier(str(path))
    assert not theirs.empty()
    image = image_of(100, 120)
    expected = theirs.detectMultiScale(image, minNeighbors=0)
    assert len(expected) > 100
    assert by_position(CascadeDetector.load(path).detect(image, min_neighbors=0)) == by_position(expected)


def test_images_of_every_kind(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rgb = np.stack([image_of(90, 80, seed) for seed in range(3)], axis=2)
    detector = CascadeDetector(random_cascade(2))
    expected = detector.detect(rgb, min_neighbors=0)
    assert len(expected) > 0
    assert expected.dtype == np.int32
    picture = image.fromarray(rgb)
    picture.save(tmp_path / "a.png")
    for same in (picture, tmp_path / "a.png", str(tmp_path / "a.png"), np.asfortranarray(rgb), to_gray(rgb)):
        np.testing.assert_array_equal(detector.detect(same, min_neighbors=0), expected)
    gray = to_gray(rgb)
    np.testing.assert_array_equal(to_gray(gray[:, :, None]), gray)
    np.testing.assert_array_equal(to_gray(image.fromarray(gray)), gray)
    np.testing.assert_array_equal(
        detector.detect(gray[::-1], min_neighbors=0), detector.detect(gray[::-1].copy(), 1.1, 0)
    )
    both = detector.detect_batch([rgb, gray], min_neighbors=0)
    assert len(both) == 2
    np.testing.assert_array_equal(both[0], expected)


def test_gray_is_that_of_opencv(backend: str) -> None:
    cv2 = pytest.importorskip("cv2")
    rgb = np.random.default_rng(0).integers(0, 256, (123, 77, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_gray(rgb), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    assert to_gray(rgb[:0]).shape == (0, 77)


def test_tiny_images(backend: str) -> None:
    detector = CascadeDetector(random_cascade())
    for shape in ((0, 0), (0, 9), (1, 1), (11, 10), (12, 9), (12, 10), (13, 11)):
        boxes, scores = detector.detect(image_of(*shape), min_neighbors=0, return_scores=True)
        assert boxes.shape == (len(scores), 4)
        assert shape >= (12, 10) or len(boxes) == 0


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (np.zeros((50, 50)), {}, DTypeError, "dtype float64"),
        (np.zeros((50, 50), np.uint16), {}, DTypeError, "dtype uint16"),
        (None, {}, DTypeError, "NoneType"),
        ([[1]], {}, DTypeError, "list"),
        (np.zeros((50, 50, 4), np.uint8), {}, ShapeError, r"\(50, 50, 4\)"),
        (np.zeros(50, np.uint8), {}, ShapeError, "shape"),
        ("nowhere.png", {}, DataError, "nowhere.png"),
        (__file__, {}, DataError, "cannot be read as an image"),
        (np.zeros((50, 50), np.uint8), {"scale_factor": 1.0}, ArgumentError, "scale_factor"),
        (np.zeros((50, 50), np.uint8), {"scale_factor": np.nan}, ArgumentError, "scale_factor"),
        (np.zeros((50, 50), np.uint8), {"scale_factor": 1.0000001}, ArgumentError, "more than 2000 sizes"),
        (np.zeros((50, 50), np.uint8), {"min_neighbors": -1}, ArgumentError, "min_neighbors"),
        (np.zeros((50, 50), np.uint8), {"min_neighbors": 1.5}, ArgumentError, "min_neighbors"),
        (np.zeros((50, 50), np.uint8), {"min_size": "big"}, ArgumentError, "min_size"),
        (np.zeros((50, 50), np.uint8), {"min_size": -3}, ArgumentError, "min_size"),
        (np.zeros((50, 50), np.uint8), {"max_size": (1, 2, 3)}, ArgumentError, "max_size"),
        (np.zeros((50, 50), np.uint8), {"max_size": 0}, ArgumentError, "max_size"),
    ],
)
def test_refused(image: object, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CascadeDetector(random_cascade()).detect(image, **options)


def test_without_a_cascade(tmp_path: Path) -> None:
    detector = CascadeDetector()
    assert detector.n_stages == 0
    assert repr(detector) == "CascadeDetector()"
    for call in (
        lambda: detector.detect(np.zeros((9, 9), np.uint8)),
        lambda: detector.save(tmp_path / "a.xml"),
    ):
        with pytest.raises(ArgumentError, match="no cascade"):
            call()
    with pytest.raises(ArgumentError, match="HaarCascade"):
        CascadeDetector("cascade.xml")


def test_a_saved_cascade_is_as_readable_as_other_files(tmp_path: Path) -> None:
    """What a killed save left goes with the next one, here too."""
    (tmp_path / "plain").write_text("")
    (tmp_path / ".a.xml.0123abcd.tmp").write_text("left")
    CascadeDetector(random_cascade(2)).save(tmp_path / "a.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xml", "plain"]
    assert (tmp_path / "a.xml").stat().st_mode == (tmp_path / "plain").stat().st_mode
    with pytest.raises(CheckpointError, match="No such file"):
        CascadeDetector(random_cascade(2)).save(tmp_path / "none" / "a.xml")


def test_plot() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    boxes = np.array([[3, 4, 20, 21], [30, 10, 15, 15]])
    axes = plot_detections(image_of(50, 60), boxes, scores=[4, 9])
    assert [(p.get_width(), p.get_height()) for p in axes.patches] == [(20, 21), (15, 15)]
    assert [t.get_text() for t in axes.texts] == ["4", "9"]
    mine = Figure().add_subplot()
    assert plot_detections(np.zeros((9, 9, 3), np.uint8), [], mine) is mine
    with pytest.raises(ShapeError, match="boxes"):
        plot_detections(image_of(5, 5), [[1, 2, 3]])
    with pytest.raises(ShapeError, match="scores"):
        plot_detections(image_of(5, 5), boxes, scores=[1])
    with pytest.raises(DTypeError, match="float64"):
        plot_detections(np.zeros((5, 5)), boxes)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[str, list[str]]:
    image = pytest.importorskip("PIL.Image")
    CascadeDetector(random_cascade(2)).save(tmp_path / "cascade.xml")
    names = []
    for i in range(2):
        names.append(str(tmp_path / f"{i}.png"))
        image.fromarray(image_of(60, 70, i)).save(names[-1])
    return str(tmp_path / "cascade.xml"), names


def test_command(pictures: tuple[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cascade, names = pictures
    assert main(["detect", names[0], "--cascade", cascade, "--min-neighbors", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    boxes, scores = CascadeDetector.load(cascade).detect(names[0], min_neighbors=1, return_scores=True)
    assert lines == [
        " ".join(map(str, [names[0], *b, n])) for b, n in zip(boxes.tolist(), scores.tolist(), strict=True)
    ]
    pytest.importorskip("matplotlib")
    out = tmp_path / "out.png"
    assert main(["detect", names[0], "--cascade", cascade, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["image"] == names[0]
    assert load_image(out).shape[:2] == (100, 100)
    assert main(["detect", *names, "--cascade", cascade, "--out", str(tmp_path / "folder"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["0.png", "1.png"]


def test_command_says_that_there_is_nothing(
    pictures: tuple[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    plain = str(tmp_path / "plain.png")
    image.fromarray(np.zeros((5, 5), np.uint8)).save(plain)  # smaller than the cascade's window
    assert main(["detect", plain, "--cascade", pictures[0]]) == 0
    assert capsys.readouterr().out == f"{plain}: nothing found\n"
    assert main(["detect", plain, "--cascade", pictures[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"image": plain, "detections": []}]


def test_command_replaces_no_picture_and_finds_out_before_the_work(
    pictures: tuple[str, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib")
    cascade, names = pictures
    out, folder = str(tmp_path / "out.png"), str(tmp_path / "folder")
    for images, place in (names[:1], out), (names, folder):
        command = ["detect", *images, "--cascade", cascade, "--out", place]
        assert main(command) == 0
        with monkeypatch.context() as patch:
            patch.setattr(CascadeDetector, "load", lambda _: pytest.fail("the work has begun"))
            assert main(command) == 2
            assert "--overwrite" in capsys.readouterr().err
        assert main([*command, "--overwrite"]) == 0
    monkeypatch.setattr(CascadeDetector, "load", lambda _: pytest.fail("the work has begun"))
    for images, place, message in [
        (names[:1], "a.exe", "has the ending 'exe', expected one of"),
        (names[:1], "/proc/a.png", "cannot be written"),
        (names[:1], folder + "/no/a.png", "there is no folder"),
        (names, "/proc/folder", "no such folder can be made"),
        (names, out, "no such folder can be made"),
    ]:
        assert main(["detect", *images, "--cascade", cascade, "--out", place]) == 2
        assert message in capsys.readouterr().err


def test_command_leaves_no_folder_behind_when_it_fails(
    pictures: tuple[str, list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    folder = tmp_path / "a" / "b"
    assert main(["detect", *pictures[1], "--cascade", "none.xml", "--out", str(folder)]) == 2
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "nowhere.png: cannot be read"),
        (["IMAGE", "--cascade", "nowhere.xml"], "nowhere.xml: cannot be read"),
        (["IMAGE", "--cascade", "IMAGE"], "well-formed"),
        (["IMAGE", "--scale-factor", "0.5"], "scale_factor is 0.5"),
        (["IMAGE", "IMAGE", "--out", "folder"], "same name"),
        (["IMAGE", "--out", "no/such/folder/a.png"], "No such file"),
    ],
)
def test_command_errors(
    pictures: tuple[str, list[str]], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cascade, names = pictures
    given = [names[0] if a == "IMAGE" else a for a in arguments]
    if "--cascade" not in given:
        given += ["--cascade", cascade]
    assert main(["detect", *given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("einkorn detect: error: ")
    assert message in error
