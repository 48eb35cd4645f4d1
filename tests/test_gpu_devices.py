"""Several GPUs, streams, events, pinned memory and torch's tensors, where a stand-in takes CuPy's place."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from typing import Any

import gpu_stand_in
import numpy as np
import pytest

import einkorn
from einkorn import cuda, nn
from einkorn.data import DataLoader


class Kernels(types.ModuleType):
    """In the place of ``einkorn._cuda``: writes down what was launched where."""

    def __init__(self, versions: tuple[int, int] = (13000, 13000)) -> None:
        super().__init__("einkorn._cuda")
        self.__spec__ = importlib.machinery.ModuleSpec("einkorn._cuda", None)
        self.versions = lambda: versions
        self.went: list[tuple[str, int]] = []
        self.place = -1

    def set_stream(self, handle: int, device: int) -> None:
        self.place = device

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "no_kernel":
            raise AttributeError(name)
        kernel = getattr(einkorn.engines.cpu(), name)

        def launch(*args: Any) -> Any:
            self.went.append((name, self.place))
            for given in args:
                for a in given if isinstance(given, (list, tuple)) else (given,):
                    assert not isinstance(a, np.ndarray), f"{name}: an array of the CPU"
                    if isinstance(a, gpu_stand_in.GpuArray):
                        assert a.device.id == self.place, f"{name}: an array of another card"
            return kernel(*gpu_stand_in.near(args))

        return launch


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    """Two cards, under the engine as it is."""
    einkorn.engines.cpu()
    gpu_stand_in.install(monkeypatch, engine=False, cards=2)
    return _engine(monkeypatch, Kernels())


def _engine(monkeypatch: pytest.MonkeyPatch, made: Kernels) -> Kernels:
    monkeypatch.setitem(sys.modules, "einkorn._cuda", made)
    monkeypatch.setattr(einkorn, "_cuda", made, raising=False)
    monkeypatch.delitem(sys.modules, "einkorn.engines.cuda", raising=False)
    monkeypatch.delattr(einkorn.engines, "cuda", raising=False)
    monkeypatch.setitem(sys.modules, "einkorn.engines.cuda", importlib.import_module("einkorn.engines.cuda"))
    return made


def test_what_computes_on_arrays_of_another_gpu_goes_there(kernels: Kernels) -> None:
    """Results, gradients and updates are where the arguments are; the current device stays."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to("cuda:1")
    optimizer = einkorn.optim.Adam(model.parameters())
    x = einkorn.randn(5, 3, device="cuda:1")
    kernels.went.clear()
    loss = einkorn.ops.cross_entropy(model(x), einkorn.tensor([0, 1, 1, 0, 1], device="cuda:1"))
    loss.backward()
    optimizer.step()
    assert len(kernels.went) > 8
    assert {place for _, place in kernels.went} == {1}
    assert {str(p.grad.device) for p in model.parameters()} == {"cuda:1"}
    assert str(loss.device) == "cuda:1"
    assert cuda.current_device() == 0
    with pytest.raises(einkorn.DeviceError, match="on cuda:0"):
        einkorn.ops.add(x, einkorn.randn(5, 3, device="cuda:0"))


def test_a_training_on_another_gpu_is_wholly_there(kernels: Kernels) -> None:
    X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    histories = []
    for device in ("cpu", "cuda:1"):
        einkorn.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        model.compile("adam", "mse", metrics=["mae"])
        histories.append(model.fit(X, X[:, :1], 8, 2, 0, validation_split=0.2, device=device).history)
        histories.append([model.evaluate(X, X[:, :1], verbose=0), model.predict(X).tolist()])
    assert histories[:2] == histories[2:]
    assert {place for _, place in kernels.went} == {1}
    assert cuda.current_device() == 0


def test_lists_of_arrays_of_two_gpus_are_refused(kernels: Kernels) -> None:
    """What takes all parameters in one launch looks into its lists."""
    models = [nn.Linear(3, 2).to(f"cuda:{i}") for i in (0, 1)]
    parameters = [p for model in models for p in model.parameters()]
    for p in parameters:
        p.grad = p.detach().clone()
    optim = einkorn.optim
    kernels.went.clear()
    for make in (optim.SGD, optim.Adam, optim.RMSprop):
        with pytest.raises(einkorn.DeviceError, match=r"one of the arrays number \d is on cuda:1, expected"):
            make(parameters, lr=0.1).step()
    with pytest.raises(einkorn.DeviceError, match="tensor_norms: one of the arrays"):
        nn.utils.clip_grad_norm_(parameters, 1.0)
    assert not {"sgd_step", "adam_step", "rmsprop_step", "tensor_norms"} & {name for name, _ in kernels.went}


def test_a_model_goes_from_gpu_to_gpu(kernels: Kernels) -> None:
    X = np.random.default_rng(0).standard_normal((16, 3)).astype(np.float32)
    c = einkorn.tensor(X, device="cuda:0")
    there = c.to("cuda:1")
    assert (str(c.device), str(there.device)) == ("cuda:0", "cuda:1")
    assert not np.shares_memory(c._data.near, there._data.near)
    model = nn.Linear(3, 1).to("cuda:0")
    model.compile("adam", "mse")
    model.fit(X, X[:, :1], 8, 1, 0, device="cuda:0")
    kernels.went.clear()
    model.fit(X, X[:, :1], 8, 1, 0, device="cuda:1")
    assert {place for _, place in kernels.went} == {1}
    assert str(model.weight.device) == "cuda:1"


@pytest.mark.usefixtures("kernels")
def test_the_current_device_is_chosen() -> None:
    assert (cuda.is_available(), cuda.device_count()) == (True, 2)
    with cuda.device(1):
        assert cuda.current_device() == 1
        assert str(einkorn.zeros(2, device="cuda").device) == "cuda:1"
        with cuda.device("cuda:0"):
            assert cuda.current_device() == 0
    assert cuda.current_device() == 0
    cuda.set_device("cuda:1")
    assert cuda.current_device() == 1
    assert cuda.get_device_name() == "Card 1"
    assert cuda.get_device_name("cuda:0") == "Card 0"
    assert cuda.get_device_capability(0) == (9, 0)
    assert (cuda.memory_allocated(), cuda.memory_reserved(1)) == (512, 1024)
    assert cuda.mem_get_info() == (1 << 30, 1 << 32)
    cuda.synchronize()
    cuda.empty_cache()
    for name, error, words in (
        (2, einkorn.DeviceError, "device is 2, but there are 2 GPUs"),
        ("cpu", einkorn.ArgumentError, "device is 'cpu', expected the number of a GPU"),
        ("gpu", einkorn.ArgumentError, "device is 'gpu', expected the number of a GPU"),
    ):
        with pytest.raises(error, match=words):
            cuda.set_device(name)


@pytest.mark.usefixtures("kernels")
def test_streams_and_events() -> None:
    side, outer = cuda.Stream(priority=-1), cuda.current_stream()
    assert outer == cuda.default_stream()
    with cuda.stream(side) as entered:
        assert entered is side
        assert cuda.current_stream() == side
        done = side.record_event()
    assert cuda.current_stream() == outer
    outer.wait_event(done)
    assert gpu_stand_in.Stream.null.waits == [done._event]
    outer.wait_stream(side)
    assert len(gpu_stand_in.Stream.null.waits) == 2
    begin, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    begin.record()
    end.record(side)
    end.wait(outer)
    end.synchronize()
    assert end.query()
    assert side.query()
    assert isinstance(begin.elapsed_time(end), float)
    assert len({outer, side, cuda.default_stream()}) == 2
    with pytest.raises(einkorn.ArgumentError, match=r"stream is a int, expected einkorn.cuda.Stream"):
        cuda.stream(3)  # type: ignore[arg-type]


def test_pinned_memory(kernels: Kernels) -> None:
    """Copies from it go on beside the caller, and hold what they read; others wait."""
    t = einkorn.arange(6).float()
    assert not t.is_pinned()
    pinned = t.pin_memory()
    assert pinned.is_pinned()
    assert pinned.reshape(2, 3)[1:].is_pinned()
    assert pinned.pin_memory() is pinned
    from einkorn import _pinned

    for waits in (True, False):
        before = gpu_stand_in.Stream.null.work
        there = pinned.to("cuda", non_blocking=not waits)
        assert gpu_stand_in.Stream.null.work == before + 1
        np.testing.assert_array_equal(there.cpu().numpy(), t.numpy())
        assert len(_pinned._going) == (not waits)
    assert pinned.cuda(non_blocking=True).pin_memory().is_cuda
    _pinned._going.clear()
    loader = DataLoader((np.arange(10.0), np.arange(10)), 4, pin_memory=True)
    batches = list(loader)
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert all(_pinned.is_pinned(a) for batch in batches for a in batch)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), np.arange(10.0))
    with pytest.raises(einkorn.ArgumentError, match="pin_memory is 'yes'"):
        DataLoader(np.arange(3), pin_memory="yes")  # type: ignore[arg-type]


def test_without_a_gpu_nothing_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    t = einkorn.zeros(3)
    assert t.pin_memory() is t
    (batch,) = DataLoader(np.arange(3), 3, pin_memory=True)
    np.testing.assert_array_equal(batch, np.arange(3))


def test_batches_are_sent_during_the_step_before(kernels: Kernels) -> None:
    """Inputs come from pinned memory by another stream, for which the step's own waits."""
    X = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
    made = gpu_stand_in.Stream.made
    model = nn.Linear(3, 1)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], 8, 2, 0, device="cuda")
    assert gpu_stand_in.Stream.made == made + 2  # one for each pass
    assert len(gpu_stand_in.Stream.null.waits) == 6
    taken, asked = [], []

    def batches() -> Any:
        for i in range(3):
            asked.append(i)
            yield (X[8 * i : 8 * i + 8],), i, None

    from einkorn._pinned import ahead

    for inputs, target, _ in ahead(batches()):
        taken.append(target)
        assert asked == [0, 1, 2][: target + 2]
        assert isinstance(inputs[0], gpu_stand_in.GpuArray)
        np.testing.assert_array_equal(inputs[0].get(), X[8 * target : 8 * target + 8])
    assert taken == [0, 1, 2]


def test_indices_are_looked_at_unless_told_otherwise(kernels: Kernels) -> None:
    weight, bad = einkorn.randn(4, 2, device="cuda"), einkorn.tensor([0, 9], device="cuda")
    good = einkorn.tensor([0, 3], device="cuda")
    assert cuda.is_checked()
    with pytest.raises(einkorn.IndexRangeError, match="input has row 9 at 1, expected 0 to 3"):
        einkorn.ops.embedding(bad, weight)
    kernels.went.clear()
    cuda.set_checked(False)
    try:
        einkorn.ops.embedding(good, weight)
        assert [name for name, _ in kernels.went] == ["embedding_forward"]
    finally:
        cuda.set_checked(True)
    with pytest.raises(einkorn.ArgumentError, match="on is 1, expected True or False"):
        cuda.set_checked(1)  # type: ignore[arg-type]


# --- torch ------------------------------------------------------------------------------------


class TorchTensor:
    """A tensor of torch's on a GPU, as far as it is looked at."""

    def __init__(self, array: np.ndarray, dtype: str = "", requires_grad: bool = False) -> None:
        self.shared, self.shape, self.requires_grad = array, array.shape, requires_grad
        self.dtype = _TorchType(f"torch.{dtype or array.dtype}")
        self.device = _TorchDevice("cuda", 0)

    def detach(self) -> TorchTensor:
        return self

    def element_size(self) -> int:
        return self.shared.itemsize

    def view(self, dtype: str) -> TorchTensor:
        kind = dtype.removeprefix("torch.")
        return TorchTensor(self.shared.view(np.int16), kind)

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def __dlpack__(self, **_: Any) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


class _TorchType(str):
    is_complex = False

    @property
    def is_floating_point(self) -> bool:
        return "float" in self


class _TorchDevice(types.SimpleNamespace):
    def __init__(self, kind: str, index: int) -> None:
        super().__init__(type=kind, index=index)

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"


TorchTensor.__module__ = "torch"


@pytest.fixture
def torch_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = types.ModuleType("torch")
    torch.from_dlpack = lambda array: TorchTensor(array.near)
    torch.int16, torch.bfloat16 = "int16", "bfloat16"
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.usefixtures("torch_of_a_gpu")
def test_tensors_of_torch_on_a_gpu_are_taken_without_a_copy(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
    out = einkorn.ops.relu(TorchTensor(x))
    assert isinstance(out, TorchTensor)
    np.testing.assert_array_equal(out.shared, np.maximum(x, 0))
    t = einkorn.Tensor(TorchTensor(x))
    assert t.is_cuda
    assert np.shares_memory(t._data.near, x)
    assert np.shares_memory(einkorn.from_dlpack(TorchTensor(x))._data.near, x)
    labels = TorchTensor(np.array([2, 0]))
    assert einkorn.Tensor(labels)._data.dtype == np.int64
    got = einkorn.ops.cross_entropy(TorchTensor(x), labels)
    assert got.shared == pytest.approx(einkorn.ops.cross_entropy(x, labels.shared))
    total = einkorn.ops.sum(TorchTensor(np.array([[1, 2], [3, 4]])))
    assert int(total.shared) == 10
    assert kernels.went
    with pytest.raises(einkorn.DeviceError, match="b is on cpu and a on cuda:0"):
        einkorn.ops.add(TorchTensor(x), x)
    with pytest.raises(einkorn.ArgumentError, match="pass it detached"):
        einkorn.ops.relu(TorchTensor(x, requires_grad=True))
    low = einkorn.tensor(x).bfloat16().numpy()
    out = einkorn.ops.relu(TorchTensor(low, "bfloat16"))
    assert out.dtype == "torch.bfloat16"
    np.testing.assert_array_equal(out.shared.view(np.int16), np.maximum(low, 0).view(np.int16))
    monkeypatch.setattr(sys.modules["cupy"], "__version__", "13.6.0", raising=False)
    with pytest.raises(
        einkorn.EngineError,
        match=r"x has dtype torch.bfloat16 on cuda:0, which needs CuPy 14 or later, and 13.6.0 is installed",
    ):
        einkorn.ops.relu(TorchTensor(low, "bfloat16"))


@pytest.mark.usefixtures("torch_of_a_gpu")
def test_tensors_of_torch_on_a_gpu_need_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        einkorn.EngineError, match=r"x is a torch tensor on cuda:0, which needs CuPy; run: pip"
    ):
        einkorn.ops.relu(TorchTensor(np.ones(3, np.float32)))
    with pytest.raises(einkorn.EngineError, match=r"from_dlpack: an array on a GPU needs CuPy; run: pip"):
        einkorn.from_dlpack(TorchTensor(np.ones(3, np.float32)))


@pytest.mark.usefixtures("kernels")
def test_indices_on_another_device_are_named() -> None:
    x, classes = einkorn.ones(4, 3).cuda(), einkorn.tensor([0, 1, 2, 0])
    table, rows = einkorn.ones(5, 2), einkorn.tensor([[0, 4]])
    holds = x.cpu() > 0
    F = einkorn.nn.functional
    for call, words in (
        (lambda: F.cross_entropy(x, classes), "cross_entropy: target is on cpu and input on cuda:0"),
        (
            lambda: F.cross_entropy(x.cpu(), classes.cuda()),
            "cross_entropy: target is on cuda:0 and input on cpu",
        ),
        (lambda: F.nll_loss(x, classes), "nll_loss: target is on cpu and input on cuda:0"),
        (lambda: F.embedding(rows, table.cuda()), "embedding: input is on cpu and weight on cuda:0"),
        (
            lambda: F.embedding(rows.cuda(1), table.cuda()),
            "embedding: input is on cuda:1 and weight on cuda:0",
        ),
        (lambda: F.embedding_bag(rows, table.cuda()), "embedding_bag: input is on cpu and weight on cuda:0"),
        (lambda: einkorn.where(holds, x, x), "where: condition is on cpu and a on cuda:0"),
    ):
        with pytest.raises(einkorn.DeviceError, match=words):
            call()
    assert einkorn.ops.where(True, x, x).device == "cuda:0"


@pytest.mark.usefixtures("kernels")
def test_a_stream_brings_its_device_along() -> None:
    side = cuda.Stream(device=1)
    assert side.device == "cuda:1"
    with cuda.stream(side):
        assert cuda.current_device() == 1
        assert cuda.current_stream() == side
        assert einkorn.ones(2).cuda().device == "cuda:1"
    assert cuda.current_device() == 0
    assert cuda.current_stream() == cuda.default_stream()


@pytest.mark.usefixtures("kernels")
def test_what_is_no_stream_and_no_event_is_named() -> None:
    stream, event = cuda.Stream(), cuda.Event(enable_timing=True)
    for call, words in (
        (lambda: event.elapsed_time(3), "elapsed_time: end_event is a int, expected einkorn.cuda.Event"),
        (lambda: event.record("x"), "record: stream is a str, expected einkorn.cuda.Stream"),
        (lambda: event.wait(event), "wait: stream is a Event, expected einkorn.cuda.Stream"),
        (lambda: stream.wait_stream(3), "wait_stream: stream is a int, expected einkorn.cuda.Stream"),
        (lambda: stream.wait_event(stream), "wait_event: event is a Stream, expected einkorn.cuda.Event"),
        (lambda: stream.record_event(3), "record_event: event is a int, expected einkorn.cuda.Event"),
        (lambda: cuda.stream(3), "stream: stream is a int, expected einkorn.cuda.Stream"),
    ):
        with pytest.raises(einkorn.ArgumentError, match=words):
            call()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("make", [einkorn.optim.Adam, lambda p: einkorn.optim.SGD(p, 0.1, 0.9)])
def test_an_optimizer_whose_model_has_left_its_state_says_where_both_are(make: Any) -> None:
    model = nn.Linear(3, 2).cuda()
    optimizer = make(model.parameters())
    model(einkorn.ones(4, 3).cuda()).sum().backward()
    optimizer.step()
    model.cpu()
    model(einkorn.ones(4, 3)).sum().backward()
    with pytest.raises(
        einkorn.DeviceError, match=r"parameter 0 is on cpu now and its \w+ on cuda:0: make a new"
    ):
        optimizer.step()


@pytest.mark.usefixtures("kernels")
def test_several_gpus_do_not_share_a_batch() -> None:
    assert nn.DataParallel(nn.Linear(2, 2), device_ids=[0])(einkorn.ones(1, 2)).shape == (1, 2)
    with pytest.raises(einkorn.DeviceError, match=r"device_ids is \[0, 1\], expected one: batches are not"):
        nn.DataParallel(nn.Linear(2, 2), device_ids=[0, 1])


# --- what does not fit together ------------------------------------------------------------------


def test_a_driver_that_is_too_old_is_named_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch, engine=False)
    words = (
        "it was built with CUDA 13.0 and the driver takes CUDA 12.4 at most; update the driver, or reinstall"
    )
    with pytest.raises(einkorn.EngineError, match=words):
        _engine(monkeypatch, Kernels((13000, 12040)))
    for fits in ((13000, 13010), (13010, 13000), (12080, 13000), (13000, 0)):
        assert cuda.misfit(Kernels(fits)) == ""


def test_a_cupy_that_does_not_load_is_quoted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.11.2: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    words = r"device 'cuda' needs CuPy, which is installed and does not load: libnvrtc.so.11.2: cannot open"
    with pytest.raises(einkorn.EngineError, match=words):
        einkorn.zeros(2, device="cuda")
    assert not cuda.is_available()


def test_a_cupy_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch)
    for version in ("13.6.0", "14.2.0rc1"):
        monkeypatch.setattr(sys.modules["cupy"], "__version__", version, raising=False)
        assert einkorn.zeros(2, device="cuda").is_cuda
    monkeypatch.setattr(sys.modules["cupy"], "__version__", "11.6.0")
    words = (
        r"device 'cuda' needs CuPy 13 or later, and 11.6.0 is installed; run: pip install 'einkorn\[cuda\]'"
    )
    with pytest.raises(einkorn.EngineError, match=words):
        einkorn.zeros(2, device="cuda")


def test_without_a_gpu_what_is_asked_of_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch, cards=0)
    for ask in (cuda.current_device, cuda.current_stream, cuda.Stream, cuda.Event, cuda.mem_get_info):
        with pytest.raises(einkorn.DeviceError, match=r"einkorn.cuda: there are 0 GPUs"):
            ask()
    cuda.synchronize()
    cuda.empty_cache()
    assert (cuda.device_count(), cuda.memory_allocated()) == (0, 0)


def test_a_module_that_cannot_go_there_is_left_as_it_is(kernels: Kernels) -> None:
    model = nn.Linear(3, 2)
    model(einkorn.ones(1, 3)).sum().backward()
    for targets, error in (
        (("float64", "cuda:5"), einkorn.DeviceError),
        (("cuda", "int8"), einkorn.DTypeError),
    ):
        with pytest.raises(error):
            model.to(*targets)
        assert (model.weight.dtype, str(model.weight.device)) == (np.float32, "cpu")
        assert model.weight.grad is not None
    assert str(model.to(1).weight.device) == "cuda:1"
    with pytest.raises(einkorn.ArgumentError, match="device is 'cpu', expected the number of a GPU"):
        model.cuda("cpu")
    with pytest.raises(einkorn.ArgumentError, match="got True, expected a device"):
        model.to(True)
    assert model.to(einkorn.zeros(2).double()).weight.dtype == np.float64
    assert str(model.weight.device) == "cpu"
