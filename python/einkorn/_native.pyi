"""Kernels of the native engine. Written by .ci/make_stubs; None stands for an absent optional array."""

from typing import Any

import numpy

_Array = numpy.ndarray[Any, Any] | None

def _cgroup_limits(root: str = "") -> dict[str, Any]:
    """
    CPUs and bytes that the control groups below `root` grant this process; 0 where unlimited.
    """

def absolute(out: _Array, x: _Array) -> None: ...
def absolute_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def adam_step(
    params: Any,
    grads: Any,
    exp_avgs: Any,
    exp_avg_sqs: Any,
    max_exp_avg_sqs: Any,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> None: ...
def adaptive_avg_pool2d_backward(gx: _Array, gy: _Array) -> None: ...
def adaptive_avg_pool2d_forward(out: _Array, x: _Array) -> None: ...
def add(out: _Array, a: _Array, b: _Array) -> None: ...
def argmax(out: _Array, x: _Array) -> None: ...
def avg_pool2d_backward(
    gx: _Array,
    gy: _Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    count_include_pad: bool,
) -> None: ...
def avg_pool2d_forward(
    out: _Array,
    x: _Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    count_include_pad: bool,
) -> None: ...
def bce_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bce_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bce_with_logits_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bce_with_logits_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def clip(out: _Array, x: _Array, low: float, high: float) -> None: ...
def conv2d_forward(
    out: _Array,
    x: _Array,
    w: _Array,
    bias: _Array,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    activation: int,
) -> None: ...
def conv2d_input_grad(
    gx: _Array,
    gy: _Array,
    w: _Array,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
) -> None: ...
def conv2d_weight_grad(
    gw: _Array,
    gbias: _Array,
    x: _Array,
    gy: _Array,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
) -> None: ...
def copy(out: _Array, x: _Array) -> None: ...
def cos(out: _Array, x: _Array) -> None: ...
def cpu_info() -> dict[str, Any]:
    """
    What the machine is: CPU, instruction sets, caches, memory; sizes in bytes.
    """

def cross_entropy_backward(
    glogits: _Array,
    gloss: _Array,
    logits: _Array,
    target: _Array,
    lse: _Array,
    row_weight: _Array,
    total_weight: _Array,
    class_weight: _Array,
    ignore_index: int,
    label_smoothing: float,
    reduction: int,
) -> None: ...
def cross_entropy_forward(
    loss: _Array,
    losses: _Array,
    row_weight: _Array,
    total_weight: _Array,
    lse: _Array,
    logits: _Array,
    target: _Array,
    class_weight: _Array,
    ignore_index: int,
    label_smoothing: float,
    reduction: int,
) -> None: ...
def default_num_threads() -> int:
    """
    EINKORN_NUM_THREADS when it is set, otherwise the number of usable cores.
    """

def divide(out: _Array, a: _Array, b: _Array) -> None: ...
def dropout(out: _Array, x: _Array, seed: int, offset: int, p: float) -> None: ...
def elu(out: _Array, x: _Array, alpha: float) -> None: ...
def elu_grad(gx: _Array, g: _Array, s: _Array, alpha: float) -> None: ...
def empty(shape: int | tuple[int, ...], dtype: Any) -> numpy.ndarray[Any, Any]:
    """
    A C-contiguous array with undefined contents, 64-byte aligned, its memory from einkorn's cache.
    """

def empty_cache() -> None:
    """
    Return cached memory to the system.
    """

def equal(out: _Array, a: _Array, b: _Array) -> None: ...
def erf(out: _Array, x: _Array) -> None: ...
def exp(out: _Array, x: _Array) -> None: ...
def fill(out: _Array, value: float) -> None: ...
def first_out_of_range(index: _Array, low: int, high: int, ignore: int) -> int: ...
def fma_peak(out: _Array, iterations: int) -> None: ...
def gelu(out: _Array, x: _Array) -> None: ...
def gelu_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def gelu_tanh(out: _Array, x: _Array) -> None: ...
def gelu_tanh_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def get_isa() -> str:
    """
    The instruction set whose kernels run.
    """

def get_num_threads() -> int:
    """
    Threads that kernels may use, the calling one included.
    """

def greater(out: _Array, a: _Array, b: _Array) -> None: ...
def greater_equal(out: _Array, a: _Array, b: _Array) -> None: ...
def isas() -> list[str]:
    """
    Instruction sets built into this library that this machine has, slowest first.
    """

def kernels() -> dict[str, Any]:
    """
    Name and element types of every kernel that this module has.
    """

def l1_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def l1_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def leaky_relu(out: _Array, x: _Array, alpha: float) -> None: ...
def leaky_relu_grad(gx: _Array, g: _Array, s: _Array, alpha: float) -> None: ...
def log(out: _Array, x: _Array) -> None: ...
def log_softmax_backward(gx: _Array, g: _Array, y: _Array) -> None: ...
def log_softmax_forward(out: _Array, x: _Array) -> None: ...
def matmul(
    out: _Array, a: _Array, b: _Array, bias: _Array, alpha: float, beta: float, activation: int
) -> None: ...
def max_pool2d_backward(
    gx: _Array,
    gy: _Array,
    indices: _Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
) -> None: ...
def max_pool2d_forward(
    out: _Array,
    indices: _Array,
    x: _Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
) -> None: ...
def maximum(out: _Array, a: _Array, b: _Array) -> None: ...
def memory_set_limit(bytes: int | None) -> None:
    """
    Bound on allocated + cached bytes; None: all memory this process may use.
    """

def memory_stats() -> dict[str, Any]:
    """
    Bytes allocated, cached, peak, the limits, and cache hits and misses.
    """

def memory_stream(out: _Array, x: _Array) -> None: ...
def minimum(out: _Array, a: _Array, b: _Array) -> None: ...
def mse_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def mse_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def multiply(out: _Array, a: _Array, b: _Array) -> None: ...
def negative(out: _Array, x: _Array) -> None: ...
def normal(out: _Array, seed: int, offset: int, mean: float, std: float) -> None: ...
def permutation(out: _Array, seed: int, offset: int) -> None: ...
def power(out: _Array, a: _Array, b: _Array) -> None: ...
def reciprocal(out: _Array, x: _Array) -> None: ...
def reduce_max(out: _Array, x: _Array) -> None: ...
def reduce_min(out: _Array, x: _Array) -> None: ...
def reduce_sum(out: _Array, x: _Array, scale: float) -> None: ...
def relu(out: _Array, x: _Array) -> None: ...
def relu_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def set_isa(isa: str) -> None:
    """
    Run the kernels of another instruction set.
    """

def set_num_threads(threads: int) -> None:
    """
    Threads that kernels may use, the calling one included.
    """

def sgd_step(
    params: Any,
    grads: Any,
    momenta: Any,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first_step: bool,
) -> None: ...
def sigmoid(out: _Array, x: _Array) -> None: ...
def sigmoid_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def sign(out: _Array, x: _Array) -> None: ...
def silu(out: _Array, x: _Array) -> None: ...
def silu_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def sin(out: _Array, x: _Array) -> None: ...
def softmax_backward(gx: _Array, g: _Array, y: _Array) -> None: ...
def softmax_forward(out: _Array, x: _Array) -> None: ...
def softplus(out: _Array, x: _Array) -> None: ...
def softplus_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def sqrt(out: _Array, x: _Array) -> None: ...
def square(out: _Array, x: _Array) -> None: ...
def start_trace() -> None:
    """
    Write down the kernels that this thread launches from now on.
    """

def step(out: _Array, x: _Array) -> None: ...
def stop_trace() -> list[str]:
    """
    End the trace and return the names in order of launch.
    """

def subtract(out: _Array, a: _Array, b: _Array) -> None: ...
def tanh(out: _Array, x: _Array) -> None: ...
def tanh_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def uniform(out: _Array, seed: int, offset: int, low: float, high: float) -> None: ...
def where(out: _Array, condition: _Array, a: _Array, b: _Array) -> None: ...
