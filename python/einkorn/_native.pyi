"""Kernels of the native engine. Written by .ci/make_stubs; None stands for an absent optional array."""

from typing import Any

import numpy

_Array = numpy.ndarray[Any, Any] | None

def _cgroup_limits(root: str = "") -> dict[str, Any]:
    """
    CPUs and bytes that the control groups below `root` grant this process; 0 where unlimited.
    """

def _quick(kernel: str, *operands: Any) -> numpy.ndarray[Any, Any] | None:
    """
    The result of an elementwise kernel in a new array, or None where the call needs a closer look.
    """

def absolute(out: _Array, x: _Array) -> None: ...
def absolute_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def acos(out: _Array, x: _Array) -> None: ...
def acosh(out: _Array, x: _Array) -> None: ...
def adaboost_update(
    stats: _Array,
    weights: _Array,
    signed_weights: _Array,
    target: _Array,
    x: _Array,
    predicted: _Array,
    threshold: float,
    missing_left: bool,
    left: int,
    right: int,
    classes: int,
    learning_rate: float,
    source: int,
    source_factor: float,
    error_floor: float,
) -> None: ...
def adadelta_step(
    params: Any,
    grads: Any,
    square_avgs: Any,
    acc_deltas: Any,
    rate: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None: ...
def adagrad_step(
    params: Any,
    grads: Any,
    sums: Any,
    rate: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    within: bool,
) -> None: ...
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
    maximize: bool,
    step: int,
) -> None: ...
def adamax_step(
    params: Any,
    grads: Any,
    exp_avgs: Any,
    exp_infs: Any,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    within: bool,
) -> None: ...
def adaptive_avg_pool2d_backward(gx: _Array, gy: _Array) -> None: ...
def adaptive_avg_pool2d_forward(out: _Array, x: _Array) -> None: ...
def add(out: _Array, a: _Array, b: _Array) -> None: ...
def argmax(out: _Array, x: _Array) -> None: ...
def asin(out: _Array, x: _Array) -> None: ...
def asinh(out: _Array, x: _Array) -> None: ...
def atan(out: _Array, x: _Array) -> None: ...
def atan2(out: _Array, a: _Array, b: _Array) -> None: ...
def atanh(out: _Array, x: _Array) -> None: ...
def attention_backward(
    gq: _Array,
    gk: _Array,
    gv: _Array,
    gbias: _Array,
    g: _Array,
    out: _Array,
    lse: _Array,
    q: _Array,
    k: _Array,
    v: _Array,
    bias: _Array,
    keep: _Array,
    slopes: _Array,
    scale: float,
    low: int,
    high: int,
    dropout: float,
    seed: int,
    offset: int,
) -> None: ...
def attention_forward(
    out: _Array,
    lse: _Array,
    q: _Array,
    k: _Array,
    v: _Array,
    bias: _Array,
    keep: _Array,
    slopes: _Array,
    scale: float,
    low: int,
    high: int,
    dropout: float,
    seed: int,
    offset: int,
) -> None: ...
def augment_color(
    out: _Array,
    x: _Array,
    kinds: _Array,
    values: _Array,
    scale: _Array,
    shift: _Array,
    limit: float,
    last: bool,
) -> None: ...
def augment_erase(out: _Array, x: _Array, boxes: _Array, filler: _Array, values: _Array) -> None: ...
def augment_filter(
    out: _Array,
    x: _Array,
    rows: _Array,
    columns: _Array,
    keep: _Array,
    gain: _Array,
    edges: bool,
    limit: float,
) -> None: ...
def augment_mirror(out: _Array, x: _Array, across: _Array, down: _Array, last: bool) -> None: ...
def augment_noise(
    out: _Array, x: _Array, rows: _Array, amount: _Array, salt: _Array, seed: int, kind: int, limit: float
) -> None: ...
def augment_warp(
    out: _Array,
    x: _Array,
    matrix: _Array,
    window: _Array,
    field: _Array,
    fill: _Array,
    scale: _Array,
    shift: _Array,
    mode: int,
    border: int,
    taps: int,
) -> None: ...
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
def batch_norm_backward(
    gx: _Array,
    gresidual: _Array,
    gweight: _Array,
    gbias: _Array,
    g: _Array,
    y: _Array,
    x: _Array,
    mean: _Array,
    rstd: _Array,
    weight: _Array,
    training: bool,
    activation: int,
) -> None: ...
def batch_norm_forward(
    out: _Array,
    mean: _Array,
    rstd: _Array,
    running_mean: _Array,
    running_var: _Array,
    x: _Array,
    residual: _Array,
    weight: _Array,
    bias: _Array,
    momentum: float,
    eps: float,
    training: bool,
    activation: int,
) -> None: ...
def bce_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bce_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bce_with_logits_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bce_with_logits_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def bin_columns(
    codes: _Array, x: _Array, edges: _Array, offsets: _Array, categorical: _Array, missing_code: int
) -> None: ...
def bin_edges(edges: _Array, counts: _Array, x: _Array, rows: _Array, weight: _Array) -> None: ...
def boost_loss(
    gradient: _Array,
    hessian: _Array,
    loss: _Array,
    raw: _Array,
    target: _Array,
    weight: _Array,
    kind: int,
    parameter: float,
    scale: float,
) -> None: ...
def bootstrap_counts(counts: _Array, seeds: _Array, draws: int) -> None: ...
def box_iou(out: _Array, a: _Array, b: _Array, ratio: int) -> None: ...
def box_nms(keep: _Array, boxes: _Array, starts: _Array, threshold: float) -> None: ...
def box_soft_nms(
    order: _Array,
    scores_out: _Array,
    boxes: _Array,
    scores: _Array,
    starts: _Array,
    threshold: float,
    sigma: float,
    least: float,
    gaussian: bool,
) -> None: ...
def cascade_scan(
    boxes: _Array,
    count: _Array,
    image: _Array,
    levels: _Array,
    scales: _Array,
    rects: _Array,
    weights: _Array,
    tilted: _Array,
    feature: _Array,
    threshold: _Array,
    left: _Array,
    right: _Array,
    left_value: _Array,
    right_value: _Array,
    tree_nodes: _Array,
    stage_trees: _Array,
    stage_threshold: _Array,
    window_height: int,
    window_width: int,
) -> None: ...
def ceil(out: _Array, x: _Array) -> None: ...
def celu(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def celu_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def clamp_indices(out: _Array, position: _Array, index: _Array, low: int, high: int, ignore: int) -> None: ...
def classify(out: _Array, x: _Array, kind: int) -> None: ...
def clip(out: _Array, x: _Array, low: float, high: float) -> None: ...
def clip_norm_step(params: Any, total: _Array, max_norm: float) -> None: ...
def clip_value_step(params: Any, limit: float) -> None: ...
def code_rows(by_row: _Array, codes: _Array, n_bins: _Array) -> int: ...
def compare(out: _Array, a: _Array, b: _Array, kind: int) -> None: ...
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
def conv2d_transpose(
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
def copysign(out: _Array, a: _Array, b: _Array) -> None: ...
def cos(out: _Array, x: _Array) -> None: ...
def cosh(out: _Array, x: _Array) -> None: ...
def count_bins(out: _Array, x: _Array, low: float, high: float) -> None: ...
def count_nonzero(out: _Array, x: _Array) -> None: ...
def count_values(out: _Array, index: _Array) -> None: ...
def cpu_info() -> dict[str, Any]:
    """
    What the machine is: CPU, instruction sets, caches, memory; sizes in bytes.
    """

def crf_backward(
    gemissions: _Array,
    gtransitions: _Array,
    gstart: _Array,
    gend: _Array,
    gloss: _Array,
    log_alpha: _Array,
    emissions: _Array,
    transitions: _Array,
    start: _Array,
    end: _Array,
    lengths: _Array,
    tags: _Array,
) -> None: ...
def crf_forward(
    loss: _Array,
    log_alpha: _Array,
    emissions: _Array,
    transitions: _Array,
    start: _Array,
    end: _Array,
    lengths: _Array,
    tags: _Array,
) -> None: ...
def crf_viterbi(
    best: _Array,
    score: _Array,
    emissions: _Array,
    transitions: _Array,
    start: _Array,
    end: _Array,
    lengths: _Array,
) -> None: ...
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
def ctc_backward(
    glog_probs: _Array,
    gloss: _Array,
    log_alpha: _Array,
    log_probs: _Array,
    targets: _Array,
    starts: _Array,
    input_lengths: _Array,
    target_lengths: _Array,
    blank: int,
    zero_infinity: bool,
) -> None: ...
def ctc_beam(
    labels: _Array,
    label_counts: _Array,
    scores: _Array,
    log_probs: _Array,
    language: _Array,
    input_lengths: _Array,
    beams: int,
    blank: int,
) -> None: ...
def ctc_forward(
    loss: _Array,
    log_alpha: _Array,
    log_probs: _Array,
    targets: _Array,
    starts: _Array,
    input_lengths: _Array,
    target_lengths: _Array,
    blank: int,
    zero_infinity: bool,
) -> None: ...
def cumprod(out: _Array, x: _Array, reverse: bool) -> None: ...
def cumprod_grad(gx: _Array, g: _Array, x: _Array) -> None: ...
def cumsum(out: _Array, x: _Array, reverse: bool) -> None: ...
def cumulative_extreme(out: _Array, index: _Array, x: _Array, smallest: bool) -> None: ...
def default_num_threads() -> int:
    """
    EINKORN_NUM_THREADS when it is set, otherwise the number of usable cores.
    """

def divide(out: _Array, a: _Array, b: _Array) -> None: ...
def divide_floor(out: _Array, a: _Array, b: _Array) -> None: ...
def divide_trunc(out: _Array, a: _Array, b: _Array) -> None: ...
def dropout(out: _Array, x: _Array, seed: int, offset: int, p: float) -> None: ...
def elu(out: _Array, x: _Array, alpha: float) -> None: ...
def elu_grad(gx: _Array, g: _Array, s: _Array, alpha: float) -> None: ...
def embedding_backward(
    gweight: _Array,
    gather_rows: _Array,
    gather_count: _Array,
    g: _Array,
    index: _Array,
    bag: _Array,
    factor: _Array,
    place: _Array,
    rows: int,
    padding: int,
    by_frequency: bool,
) -> None: ...
def embedding_bag_factor_grad(
    gfactor: _Array, g: _Array, weight: _Array, index: _Array, bag: _Array, padding: int
) -> None: ...
def embedding_bag_forward(
    out: _Array,
    bag_size: _Array,
    place: _Array,
    weight: _Array,
    index: _Array,
    offsets: _Array,
    factor: _Array,
    padding: int,
    mode: int,
) -> None: ...
def embedding_forward(out: _Array, weight: _Array, index: _Array) -> None: ...
def embedding_put(table: _Array, values: _Array, index: _Array) -> None: ...
def embedding_renorm(weight: _Array, index: _Array, max_norm: float, p: float) -> None: ...
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
def erfc(out: _Array, x: _Array) -> None: ...
def exp(out: _Array, x: _Array) -> None: ...
def exp2(out: _Array, x: _Array) -> None: ...
def expm1(out: _Array, x: _Array) -> None: ...
def fill(out: _Array, value: float) -> None: ...
def first_out_of_range(index: _Array, low: int, high: int, ignore: int) -> int: ...
def floor(out: _Array, x: _Array) -> None: ...
def fma_peak(out: _Array, iterations: int) -> None: ...
def fmod(out: _Array, a: _Array, b: _Array) -> None: ...
def fold(
    x: _Array,
    columns: _Array,
    stride_d: int,
    stride_h: int,
    stride_w: int,
    pad_d: int,
    pad_h: int,
    pad_w: int,
    dilation_d: int,
    dilation_h: int,
    dilation_w: int,
) -> None: ...
def frac(out: _Array, x: _Array) -> None: ...
def ftrl_step(
    params: Any,
    grads: Any,
    accumulators: Any,
    linears: Any,
    rate: float,
    power: float,
    l1: float,
    l2: float,
    weight_decay: float,
    maximize: bool,
) -> None: ...
def gather(out: _Array, x: _Array, index: _Array, axis: int) -> None: ...
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

def glove_train(
    table: _Array,
    squares: _Array,
    stats: _Array,
    row: _Array,
    column: _Array,
    count: _Array,
    order: _Array,
    count_max: float,
    alpha: float,
    rate: float,
) -> None: ...
def greater(out: _Array, a: _Array, b: _Array) -> None: ...
def greater_equal(out: _Array, a: _Array, b: _Array) -> None: ...
def grid_sample_backward(
    gx: _Array, ggrid: _Array, gy: _Array, x: _Array, grid: _Array, mode: int, padding: int, align: bool
) -> None: ...
def grid_sample_forward(
    out: _Array, x: _Array, grid: _Array, mode: int, padding: int, align: bool
) -> None: ...
def group_rectangles(
    out: _Array,
    neighbors: _Array,
    count: _Array,
    boxes: _Array,
    order: _Array,
    min_neighbors: int,
    eps: float,
) -> None: ...
def grow_forest(
    node_count: _Array,
    feature: _Array,
    threshold: _Array,
    left: _Array,
    right: _Array,
    missing_left: _Array,
    value: _Array,
    gain: _Array,
    cover: _Array,
    count: _Array,
    codes: _Array,
    target: _Array,
    weight: _Array,
    counts: _Array,
    class_weight: _Array,
    offsets: _Array,
    low: _Array,
    high: _Array,
    seeds: _Array,
    classes: int,
    criterion: int,
    random_thresholds: bool,
    max_features: int,
    max_depth: int,
    max_leaf_nodes: int,
    min_samples_split: int,
    min_samples_leaf: int,
    min_weight_leaf: float,
    min_impurity_decrease: float,
) -> None: ...
def gru_backward(
    ggates: _Array,
    gcells: _Array,
    gh0: _Array,
    g: _Array,
    gh_n: _Array,
    out: _Array,
    gates: _Array,
    cells: _Array,
    h0: _Array,
    weight: _Array,
    batch_sizes: _Array,
    reverse: bool,
) -> None: ...
def gru_forward(
    out: _Array,
    h_n: _Array,
    gates: _Array,
    cells: _Array,
    input: _Array,
    input_weight: _Array,
    bias: _Array,
    h0: _Array,
    weight: _Array,
    bias_n: _Array,
    batch_sizes: _Array,
    reverse: bool,
) -> None: ...
def haar_features(
    out: _Array, sums: _Array, scale: _Array, rects: _Array, weights: _Array, height: int, width: int
) -> None: ...
def haar_patch_sums(sums: _Array, scale: _Array, image: _Array) -> None: ...
def hardshrink(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardshrink_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardsigmoid(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardsigmoid_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardswish(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardswish_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardtanh(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def hardtanh_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def histogram(out: _Array, codes: _Array, gradients: _Array, hessians: _Array, rows: _Array) -> None: ...
def histogram_subtract(out: _Array, a: _Array, b: _Array) -> None: ...
def hypot(out: _Array, a: _Array, b: _Array) -> None: ...
def integral_image(sums: _Array, squares: _Array, tilted: _Array, image: _Array) -> None: ...
def isas() -> list[str]:
    """
    Instruction sets built into this library that this machine has, slowest first.
    """

def kernels() -> dict[str, Any]:
    """
    Name and element types of every kernel that this module has.
    """

def kl_div_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def kl_div_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def kl_div_log_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def kl_div_log_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def l1_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def l1_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def lamb_step(
    params: Any,
    grads: Any,
    exp_avgs: Any,
    exp_avg_sqs: Any,
    updates: Any,
    of_mean: float,
    root: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None: ...
def leaf_quantile(
    out: _Array,
    target: _Array,
    raw: _Array,
    leaf: _Array,
    weight: _Array,
    alpha: float,
    delta: float,
    absolute: bool,
) -> None: ...
def leaky_relu(out: _Array, x: _Array, alpha: float) -> None: ...
def leaky_relu_grad(gx: _Array, g: _Array, s: _Array, alpha: float) -> None: ...
def lerp_step(params: Any, others: Any, weight: float) -> None: ...
def lion_step(
    params: Any,
    grads: Any,
    exp_avgs: Any,
    rate: float,
    beta1: float,
    beta2: float,
    shrink: float,
    maximize: bool,
) -> None: ...
def local_response_norm_backward(
    gx: _Array, g: _Array, x: _Array, scale: _Array, size: int, alpha: float, beta: float
) -> None: ...
def local_response_norm_forward(
    out: _Array, scale: _Array, x: _Array, size: int, alpha: float, beta: float, k: float
) -> None: ...
def log(out: _Array, x: _Array) -> None: ...
def log10(out: _Array, x: _Array) -> None: ...
def log1p(out: _Array, x: _Array) -> None: ...
def log2(out: _Array, x: _Array) -> None: ...
def log_cumsum_exp(out: _Array, x: _Array, reverse: bool) -> None: ...
def log_sigmoid(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def log_sigmoid_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def log_softmax_backward(gx: _Array, g: _Array, y: _Array) -> None: ...
def log_softmax_forward(out: _Array, x: _Array) -> None: ...
def logaddexp(out: _Array, a: _Array, b: _Array) -> None: ...
def lstm_backward(
    ggates: _Array,
    gout: _Array,
    gh0: _Array,
    gc0: _Array,
    g: _Array,
    gh_n: _Array,
    gc_n: _Array,
    gates: _Array,
    cells: _Array,
    c0: _Array,
    weight: _Array,
    projection: _Array,
    batch_sizes: _Array,
    reverse: bool,
) -> None: ...
def lstm_forward(
    out: _Array,
    h_n: _Array,
    c_n: _Array,
    gates: _Array,
    cells: _Array,
    hidden: _Array,
    input: _Array,
    input_weight: _Array,
    bias: _Array,
    h0: _Array,
    c0: _Array,
    weight: _Array,
    projection: _Array,
    batch_sizes: _Array,
    reverse: bool,
) -> None: ...
def matmul(
    out: _Array, a: _Array, b: _Array, bias: _Array, alpha: float, beta: float, activation: int
) -> None: ...
def matmul_bf16(
    out: _Array, a: _Array, b: _Array, bias: _Array, alpha: float, beta: float, activation: int
) -> None: ...
def matmul_int8(
    out: _Array,
    a: _Array,
    a_scale: _Array,
    a_zero: _Array,
    b: _Array,
    b_scale: _Array,
    b_sums: _Array,
    bias: _Array,
    activation: int,
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
def mish(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def mish_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def moments_step(
    params: Any,
    grads: Any,
    exp_avgs: Any,
    exp_avg_sqs: Any,
    of_grad: float,
    of_mean: float,
    root: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    shrink: float,
    adaptive: bool,
    maximize: bool,
) -> None: ...
def mse_backward(gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def mse_forward(loss: _Array, x: _Array, target: _Array, scale: float) -> None: ...
def multiply(out: _Array, a: _Array, b: _Array) -> None: ...
def narrow_bf16(out: _Array, x: _Array) -> None: ...
def negative(out: _Array, x: _Array) -> None: ...
def nll_backward(
    gx: _Array, gloss: _Array, target: _Array, row_weight: _Array, total_weight: _Array, reduction: int
) -> None: ...
def nll_forward(
    loss: _Array,
    losses: _Array,
    row_weight: _Array,
    total_weight: _Array,
    x: _Array,
    target: _Array,
    class_weight: _Array,
    ignore_index: int,
    reduction: int,
) -> None: ...
def normal(out: _Array, seed: int, offset: int, mean: float, std: float) -> None: ...
def permutation(out: _Array, seed: int, offset: int) -> None: ...
def pool_gather(out: _Array, x: _Array, indices: _Array) -> None: ...
def pool_scatter(out: _Array, x: _Array, indices: _Array, add: bool) -> None: ...
def power(out: _Array, a: _Array, b: _Array) -> None: ...
def presort(order: _Array, columns: _Array, missing: _Array, x: _Array) -> None: ...
def quantize_rows_s8(q: _Array, scale: _Array, x: _Array) -> None: ...
def quantize_rows_u8(q: _Array, scale: _Array, zero: _Array, x: _Array) -> None: ...
def reciprocal(out: _Array, x: _Array) -> None: ...
def reduce_max(out: _Array, x: _Array) -> None: ...
def reduce_min(out: _Array, x: _Array) -> None: ...
def reduce_prod(out: _Array, x: _Array) -> None: ...
def reduce_sum(out: _Array, x: _Array, scale: float) -> None: ...
def relu(out: _Array, x: _Array) -> None: ...
def relu_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def remainder(out: _Array, a: _Array, b: _Array) -> None: ...
def resample(
    out: _Array, x: _Array, rows: _Array, row_weights: _Array, columns: _Array, column_weights: _Array
) -> None: ...
def resize_exact(out: _Array, image: _Array) -> None: ...
def rgb_to_gray(out: _Array, image: _Array) -> None: ...
def rmsprop_step(
    params: Any,
    grads: Any,
    square_avgs: Any,
    grad_avgs: Any,
    momenta: Any,
    rate: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    maximize: bool,
    within: bool,
) -> None: ...
def rnn_backward(
    ggates: _Array,
    gh0: _Array,
    g: _Array,
    gh_n: _Array,
    out: _Array,
    weight: _Array,
    batch_sizes: _Array,
    reverse: bool,
    relu: bool,
) -> None: ...
def rnn_forward(
    out: _Array,
    h_n: _Array,
    gates: _Array,
    input: _Array,
    input_weight: _Array,
    bias: _Array,
    h0: _Array,
    weight: _Array,
    batch_sizes: _Array,
    reverse: bool,
    relu: bool,
) -> None: ...
def round(out: _Array, x: _Array) -> None: ...
def row_norm_backward(
    gx: _Array,
    gweight: _Array,
    gbias: _Array,
    g: _Array,
    y: _Array,
    x: _Array,
    mean: _Array,
    rstd: _Array,
    weight: _Array,
    addend: _Array,
    groups: int,
    run: int,
    activation: int,
) -> None: ...
def row_norm_forward(
    out: _Array,
    total: _Array,
    mean: _Array,
    rstd: _Array,
    x: _Array,
    residual: _Array,
    weight: _Array,
    bias: _Array,
    groups: int,
    run: int,
    eps: float,
    activation: int,
) -> None: ...
def rprop_step(
    params: Any,
    grads: Any,
    prevs: Any,
    step_sizes: Any,
    eta_minus: float,
    eta_plus: float,
    least: float,
    most: float,
    maximize: bool,
) -> None: ...
def rsqrt(out: _Array, x: _Array) -> None: ...
def scatter(out: _Array, src: _Array, index: _Array, axis: int, mode: int) -> None: ...
def search_sorted(out: _Array, sorted: _Array, values: _Array, right: bool) -> None: ...
def selu(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def selu_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
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
    maximize: bool,
    first_step: bool,
) -> None: ...
def sigmoid(out: _Array, x: _Array) -> None: ...
def sigmoid_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def sign(out: _Array, x: _Array) -> None: ...
def silu(out: _Array, x: _Array) -> None: ...
def silu_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def sin(out: _Array, x: _Array) -> None: ...
def sinh(out: _Array, x: _Array) -> None: ...
def smooth_l1_backward(
    gx: _Array, gloss: _Array, x: _Array, target: _Array, scale: float, beta: float
) -> None: ...
def smooth_l1_forward(loss: _Array, x: _Array, target: _Array, scale: float, beta: float) -> None: ...
def softmax_backward(gx: _Array, g: _Array, y: _Array) -> None: ...
def softmax_forward(out: _Array, x: _Array) -> None: ...
def softplus(out: _Array, x: _Array) -> None: ...
def softplus_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def softplus_scaled(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def softplus_scaled_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def softshrink(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def softsign(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def softsign_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def sort(values: _Array, index: _Array, x: _Array, descending: bool) -> None: ...
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

def stump_search(
    place: _Array,
    sums: _Array,
    order: _Array,
    missing: _Array,
    weights: _Array,
    target: _Array,
    classes: int,
    criterion: int,
) -> None: ...
def stump_search_binned(
    place: _Array,
    sums: _Array,
    codes: _Array,
    bins: _Array,
    missing_code: int,
    weights: _Array,
    target: _Array,
    classes: int,
    criterion: int,
) -> None: ...
def subtract(out: _Array, a: _Array, b: _Array) -> None: ...
def tan(out: _Array, x: _Array) -> None: ...
def tanh(out: _Array, x: _Array) -> None: ...
def tanh_grad(gx: _Array, g: _Array, s: _Array) -> None: ...
def tanhshrink(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def tanhshrink_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def tensor_norms(norms: _Array, tensors: Any, power: float) -> None: ...
def threshold(out: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def threshold_grad(gx: _Array, g: _Array, x: _Array, alpha: float, beta: float) -> None: ...
def topk(values: _Array, index: _Array, x: _Array, k: int, largest: bool) -> None: ...
def tree_apply_codes(
    leaf: _Array,
    codes: _Array,
    feature: _Array,
    code: _Array,
    left: _Array,
    right: _Array,
    missing_left: _Array,
    categories: _Array,
    categorical: _Array,
) -> None: ...
def tree_grow(
    feature: _Array,
    code: _Array,
    left: _Array,
    right: _Array,
    missing_left: _Array,
    categories: _Array,
    value: _Array,
    gain: _Array,
    cover: _Array,
    count: _Array,
    leaf: _Array,
    codes: _Array,
    by_row: _Array,
    n_bins: _Array,
    categorical: _Array,
    gradients: _Array,
    hessians: _Array,
    rows: _Array,
    features: _Array,
    monotone: _Array,
    groups: _Array,
    by_depth: bool,
    max_depth: int,
    min_samples: int,
    min_weight: float,
    alpha: float,
    l2: float,
    min_gain: float,
    step: float,
    rate: float,
    by_level: float,
    by_node: float,
    seed: int,
    tree: int,
    cat_smooth: float,
    cat_l2: float,
    max_categories: int,
    onehot: int,
    wide: bool,
) -> int: ...
def tree_predict(
    out: _Array,
    leaves: _Array,
    x: _Array,
    base: _Array,
    used: _Array,
    trees: _Array,
    nodes: _Array,
    node_leaf: _Array,
    leaf_node: _Array,
    leaf_value: _Array,
    split_place: _Array,
    split_threshold: _Array,
    split_mask: _Array,
    sets: _Array,
    first: int,
    last: int,
    accumulate: bool,
) -> None: ...
def tree_shap(
    out: _Array,
    x: _Array,
    expected: _Array,
    offsets: _Array,
    outputs_of: _Array,
    feature: _Array,
    threshold: _Array,
    left: _Array,
    right: _Array,
    missing_left: _Array,
    category_offset: _Array,
    category_words: _Array,
    categories: _Array,
    value: _Array,
    share: _Array,
    points: _Array,
    largest: int,
    deepest: int,
) -> None: ...
def tree_update(scores: _Array, leaf: _Array, value: _Array) -> None: ...
def trunc(out: _Array, x: _Array) -> None: ...
def trust_step(params: Any, updates: Any, param_norms: _Array, update_norms: _Array, rate: float) -> None: ...
def unfold(
    columns: _Array,
    x: _Array,
    stride_d: int,
    stride_h: int,
    stride_w: int,
    pad_d: int,
    pad_h: int,
    pad_w: int,
    dilation_d: int,
    dilation_h: int,
    dilation_w: int,
) -> None: ...
def uniform(out: _Array, seed: int, offset: int, low: float, high: float) -> None: ...
def weigh_values(out: _Array, index: _Array, weights: _Array) -> None: ...
def where(out: _Array, condition: _Array, a: _Array, b: _Array) -> None: ...
def widen_bf16(out: _Array, x: _Array) -> None: ...
def window_max(out: _Array, indices: _Array, x: _Array, begin: _Array, end: _Array) -> None: ...
def word2vec_train(
    vectors: _Array,
    outputs: _Array,
    stats: _Array,
    tokens: _Array,
    starts: _Array,
    keep: _Array,
    chance: _Array,
    alias: _Array,
    paths: _Array,
    nodes: _Array,
    codes: _Array,
    part_starts: _Array,
    parts: _Array,
    words: int,
    window: int,
    negatives: int,
    first: int,
    rate_first: float,
    rate_last: float,
    seed: int,
    cbow: bool,
    mean: bool,
    full: bool,
) -> None: ...
