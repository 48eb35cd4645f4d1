"""The search for architectures."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import einkorn
from einkorn import data
from einkorn.errors import ArgumentError, DataError
from einkorn.training.nas import (
    OPERATIONS,
    CellNetwork,
    CellSpace,
    Node,
    RandomSearch,
    RegularizedEvolution,
    validation_accuracy,
)

RNG = np.random.default_rng(0)


def convolutions(cell):
    """A score that a search can climb: how many paths are the convolution, and how deep the nodes hang."""
    paths = sum((node[1] == "conv3x3") + (node[3] == "conv3x3") for node in cell)
    return paths + 0.1 * sum(node.first + node.second for node in cell)


def test_the_space_counts_its_cells():
    space = CellSpace(2, ("identity", "conv3x3"))
    assert len(space) == (2 * 2) ** 2 * (3 * 2) ** 2
    seen = {space.random(np.random.default_rng(i)) for i in range(6000)}
    assert len(seen) == len(space)


def test_a_child_differs_in_one_place():
    space = CellSpace(4)
    fields = set()
    for _ in range(300):
        cell = space.random(RNG)
        child = space.mutate(cell, RNG)
        space.check(child, "test")
        places = [(i, j) for i in range(4) for j in range(4) if cell[i][j] != child[i][j]]
        assert len(places) == 1
        fields.update(places)
    assert len(fields) == 16


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_makes_a_network_that_learns(operation):
    cell = (Node(0, operation, 1, operation), Node(2, operation, 0, "conv1x1"))
    einkorn.manual_seed(0)
    model = CellNetwork(cell, 2, 3, channels=4, stages=2, cells=2)
    x, y = RNG.standard_normal((12, 2, 8, 8)).astype(np.float32), np.arange(12) % 3
    model.compile("adam", "cross_entropy")
    losses = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(x).shape == (12, 3)


def test_nodes_that_none_takes_are_the_output():
    chain = (Node(0, "identity", 0, "identity"), Node(2, "identity", 2, "identity"))
    side = (Node(0, "identity", 0, "identity"), Node(1, "identity", 1, "identity"))
    assert [CellNetwork(cell, 1, 2).body[0].loose for cell in (chain, side)] == [[3], [2, 3]]


def test_evolution_climbs_higher_than_chance():
    space = CellSpace(3)
    wins = 0
    for seed in range(10):
        evolved = RegularizedEvolution(space, convolutions, population=15, sample=5, seed=seed)
        drawn = RandomSearch(space, convolutions, seed=seed)
        wins += evolved.run(150, verbose=0).score > drawn.run(150, verbose=0).score
    assert wins >= 9


def test_the_oldest_die():
    """Every parent is one of the newest so many; with the whole population as sample, it is their best."""
    search = RegularizedEvolution(CellSpace(2), convolutions, population=6, sample=6)
    search.run(60, verbose=0)
    for trial in search.history[:6]:
        assert trial.parent is None
    for trial in search.history[6:]:
        alive = search.history[trial.number - 6 : trial.number]
        assert max(t.score for t in alive) == search.history[trial.parent].score
        assert trial.number - 6 <= trial.parent < trial.number


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(kind, tmp_path, capsys):
    whole = kind(CellSpace(2), convolutions, seed=3)
    whole.run(40, verbose=0)
    calls = []

    def until_25(cell):
        calls.append(cell)
        if len(calls) > 25:
            raise KeyboardInterrupt
        return convolutions(cell)

    path = tmp_path / "search.json"
    cut = kind(CellSpace(2), until_25, seed=3)
    with pytest.raises(KeyboardInterrupt):
        cut.run(40, path, verbose=0)
    assert len(cut.history) >= 25
    again = kind(CellSpace(2), convolutions, seed=3)
    assert again.run(40, path) == again.best
    assert [trial[:4] for trial in again] == [trial[:4] for trial in whole]
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert len(lines) == 40 - len(cut.history)
    assert again.best_scores() == sorted(again.best_scores())
    assert again.best_scores()[-1] == again.best.score


def test_a_cell_is_looked_at_once():
    calls = []
    space = CellSpace(1, ("identity",))
    search = RandomSearch(space, lambda cell: calls.append(cell) or 1.0)
    search.run(50, verbose=0)
    assert len(search.history) == 50
    assert len(calls) == len(set(calls)) <= len(space) == 4


def test_files_of_other_searches_and_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "search.json"
    RandomSearch(CellSpace(2), convolutions).run(3, path, verbose=0)
    for other in (RandomSearch(CellSpace(2), convolutions, seed=1), RandomSearch(CellSpace(3), convolutions)):
        with pytest.raises(ArgumentError, match="is of a search with"):
            other.run(4, path, verbose=0)
    text = path.read_text()
    record = json.loads(text)
    record["trials"][1]["cell"][0][0] = 9
    for content, error in (
        (text[:50], DataError),
        ("[]", DataError),
        (json.dumps({**record, "trials": record["trials"][1:]}), DataError),
        (json.dumps(record), ArgumentError),
    ):
        path.write_text(content)
        with pytest.raises(error, match=r"search|cell"):
            RandomSearch(CellSpace(2), convolutions).run(4, path, verbose=0)


def test_a_search_on_the_digits(tmp_path):
    pytest.importorskip("sklearn")
    (x, y), _ = data.load_digits()
    options = {"epochs": 5, "channels": 4, "lr": 0.01}
    score = validation_accuracy(x[:500], y[:500], x[500:800], y[500:800], **options)
    einkorn.manual_seed(7)
    before = einkorn.random.get_state()
    search = RegularizedEvolution(CellSpace(2), score, population=3, sample=2)
    best = search.run(4, tmp_path / "digits.json", verbose=0)
    assert einkorn.random.get_state() == before
    assert best.score > 0.4
    assert score(best.cell) == best.score  # repeatable
    model = CellNetwork(best.cell, 1, 10)
    assert_array_equal(model.predict(x[:2]).shape, (2, 10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CellSpace(0), "nodes is 0"),
        (lambda: CellSpace(2, ("conv9x9",)), "expected some of identity"),
        (lambda: RandomSearch(3, convolutions), "expected a CellSpace"),
        (lambda: RandomSearch(CellSpace(), 3), "expected a function of a cell"),
        (lambda: RandomSearch(CellSpace(), convolutions).run(0), "budget is 0"),
        (lambda: RandomSearch(CellSpace(), convolutions).best, "no trial was made"),
        (lambda: RandomSearch(CellSpace(), lambda c: float("nan")).run(1), "evaluate gave nan"),
        (lambda: RandomSearch(CellSpace(), lambda c: None).run(1), "evaluate gave None"),
        (lambda: RegularizedEvolution(CellSpace(), convolutions, population=3, sample=4), "sample is 4"),
        (lambda: CellNetwork((), 1, 2, stages=0), "stages is 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
