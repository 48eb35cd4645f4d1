// How a recurrent layer walks its steps on the GPU. What a cell does with its sums is the cell's own (lstm.cu, gru.cu, rnn.cu).
//
//   a step is a launch, or two with a projection: the product with the recurrent weight and, in the same launch, the cell on its
//   sums, so that sums never go to memory
//
//      256 threads: kRows x kUnits elements of h       shared memory   | kDepth of h for kRows rows |
//      a thread has one element, and the sums          and             | kDepth of W for kUnits units and all gates |
//      of all gates for it
//
// Forward reads h of the step before from `out` (or h0), backward the gates' gradients of the step after from scratch. Steps are
// ordered by the stream, which records well as a CUDA graph; nothing waits for other blocks. Sums go along the units in order.
//
// Roofline: 2 G H P FLOP a row and step; weights once a step from L2. LSTM, H = 512, 64 sequences: 134 MFLOP a step, at 60 TFLOP/s 2.2
// us, beside 3 us for a launch: steps are bound by launching up to about that size. Layers of few units walk all steps in one launch
// (persistent_cuda.h).
// Plan: forward_step: 64 registers (double: 80), 4 blocks of 256 threads an SM, 8 bytes spilled
// Plan: backward_step: 64 registers, 4 blocks of 256 threads an SM

#pragma once

#include <math.h>

#include "kernels/cuda_sums.h"
#include "kernels/rnn/rnn.h"

namespace einkorn::cuda {

constexpr int kRows = 8, kUnits = 32, kDepth = 32;  // of a block; threads are [kRows][kUnits]

template <class T>
__device__ __forceinline__ T logistic(T x) {
  return 1 / (1 + ::exp(-x));
}

// The rows of the steps, in the order of the walk.
struct Walk {
  const int64_t* offsets;  // [steps + 1], the first row of each step; null: `batch` rows each
  int64_t steps, batch;
  bool backwards;  // from the last step to the first

  __device__ __forceinline__ int64_t first(int64_t index) const {
    const int64_t at = backwards ? steps - 1 - index : index;
    return offsets != nullptr ? offsets[at] : at * batch;
  }
  // Of the index-th step walked; outside of the walk it has no rows.
  __device__ __forceinline__ int64_t count(int64_t index) const {
    if (index < 0 || index >= steps) return 0;
    const int64_t at = backwards ? steps - 1 - index : index;
    return offsets != nullptr ? offsets[at + 1] - offsets[at] : batch;
  }
};

template <int>  // a template, so that every file may have it
__global__ void copy_sizes(int64_t* to, const int64_t* sizes, int64_t steps) {
  grid_stride(steps + 1, [&](int64_t t) { to[t] = t < steps ? sizes[t] : 0; });
}

// offsets: room for steps + 1 numbers.
template <class T>
Walk make_walk(const char* name, const RecurrentLayer<T>& l, bool backwards, int64_t* offsets) {
  if (l.batch_sizes == nullptr) return {nullptr, l.steps, l.batch, backwards};
  launch_over(name, copy_sizes<0>, l.steps + 1, offsets, l.batch_sizes, l.steps);
  launch(name, scan_rows<0>, 1, kBlock, 0, offsets, 1, l.steps + 1);
  return {offsets, l.steps, l.batch, backwards};
}

// Where a thread of a block works.
struct Element {
  int64_t row, unit;  // of the step, of the columns
  int64_t first_row, first_unit;
};

__device__ __forceinline__ Element element_of(int64_t task, int64_t columns) {
  const int64_t across = (columns + kUnits - 1) / kUnits, down = task / across;
  const int64_t first_row = down * kRows, first_unit = (task - down * across) * kUnits;
  return {first_row + threadIdx.x / kUnits, first_unit + threadIdx.x % kUnits, first_row, first_unit};
}

inline int64_t tasks_of(int64_t rows, int64_t columns) {
  return pieces_of(rows, kRows) * pieces_of(columns, kUnits);
}

// sums[g] += sum over k of a[row][k] b(g, unit, k): a has `rows` rows, those of the block from first_row on, b `columns` columns.
// along_k says whether neighbours in memory of b go along k or along its columns. All threads of the block call it.
template <int kGates, class T, class B>
__device__ __forceinline__ void multiply(T (&sums)[kGates], const Element& at, const T* a, int64_t rows, int64_t depth,
                                         int64_t columns, bool along_k, const B& b) {
  __shared__ T left[kRows][kDepth];
  __shared__ T right[kGates][kDepth][kUnits + 1];
  const int t = static_cast<int>(threadIdx.x), r = t / kUnits, u = t % kUnits;
  for (int64_t begin = 0; begin < depth; begin += kDepth) {
    const int steps = depth - begin < kDepth ? static_cast<int>(depth - begin) : kDepth;
    const int64_t row = at.first_row + t / kDepth, k = begin + t % kDepth;
    left[t / kDepth][t % kDepth] = row < rows && k < depth ? a[row * depth + k] : T{0};
#pragma unroll
    for (int g = 0; g < kGates; ++g)
      for (int i = t; i < kDepth * kUnits; i += kBlock) {
        const int d = along_k ? i % kDepth : i / kUnits, c = along_k ? i / kDepth : i % kUnits;
        const bool inside = begin + d < depth && at.first_unit + c < columns;
        right[g][d][c] = inside ? b(g, at.first_unit + c, begin + d) : T{0};
      }
    __syncthreads();
    for (int d = 0; d < steps; ++d)
#pragma unroll
      for (int g = 0; g < kGates; ++g) sums[g] += left[r][d] * right[g][d][u];
    __syncthreads();
  }
}

// into[r] = from[r], or zeros.
template <class T>
__global__ void set_rows(T* into, const T* from, int64_t size) {
  grid_stride(size, [&](int64_t i) { into[i] = from == nullptr ? T{0} : from[i]; });
}

// --- forward ------------------------------------------------------------------------------------

template <class T>
struct ForwardStep {
  Walk walk;
  int64_t number;  // of the step, in the order of the walk
  const T* h;      // of the sequences before the step [batch, P]
  T* next;         // after it
  T* unprojected;  // with a projection: what it is applied to [batch, H]
};

// A cell gives
//   kGates
//   T forward(x, row, sequence, unit, sums, h)                 h of the step from the sums; h is the former one's element
//   void backward(x, row, before, sequence, unit, gh, flow, step, carry)   gradients of the gates, to x.ggates and, `step` apart, to
//                                                              flow; what of gh goes past the product, to *carry
template <class Cell, class T>
__global__ void __launch_bounds__(kBlock) forward_step(Recurrent<T> x, ForwardStep<T> s) {
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, across = (H + kUnits - 1) / kUnits;
  const int64_t count = s.walk.count(s.number), left = s.walk.count(s.number + 1);
  const bool projects = l.projection != nullptr, from_nothing = s.number == 0 && l.h0 == nullptr;
  for (int64_t task = blockIdx.x; task < (count + kRows - 1) / kRows * across; task += gridDim.x) {
    const Element at = element_of(task, H);
    T sums[Cell::kGates] = {};
    if (!from_nothing)
      multiply(sums, at, s.h, count, P, H, true,
               [&](int g, int64_t unit, int64_t k) { return l.weight[(g * H + unit) * P + k]; });
    if (at.row >= count || at.unit >= H) continue;
    const int64_t row = s.walk.first(s.number) + at.row, place = at.row * H + at.unit;
    const T h = Cell::forward(x, row, at.row, at.unit, sums, projects ? T{0} : s.h[place]);
    if (projects) {
      s.unprojected[place] = h;
      if (x.hidden != nullptr) x.hidden[row * H + at.unit] = h;
      continue;
    }
    s.next[place] = h;
    x.out[row * H + at.unit] = h;
    if (at.row >= left) x.h_n[place] = h;
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) project_step(Recurrent<T> x, ForwardStep<T> s) {
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, across = (P + kUnits - 1) / kUnits;
  const int64_t count = s.walk.count(s.number), left = s.walk.count(s.number + 1);
  for (int64_t task = blockIdx.x; task < (count + kRows - 1) / kRows * across; task += gridDim.x) {
    const Element at = element_of(task, P);
    T sums[1] = {};
    multiply(sums, at, s.unprojected, count, H, P, true,
             [&](int, int64_t column, int64_t k) { return l.projection[column * H + k]; });
    if (at.row >= count || at.unit >= P) continue;
    const int64_t place = at.row * P + at.unit;
    x.out[(s.walk.first(s.number) + at.row) * P + at.unit] = sums[0];
    s.next[place] = sums[0];
    if (at.row >= left) x.h_n[place] = sums[0];
  }
}

// Defined in persistent_cuda.h: all steps in one launch, where the layer is small enough.
template <class Cell, class T>
bool persist_forward(const char* name, const Recurrent<T>& x, const Walk& walk);
template <class Cell, class T>
bool persist_backward(const char* name, const RecurrentGrad<T>& x, const Walk& walk);

template <class Cell, class T>
void recurrent_forward(const char* name, const Recurrent<T>& x) {
  if (x.input.given) throw CudaError(std::string(name) + ": makes no input of the gates, a product before it does");
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, batch = l.batch;
  launch_over(name, set_rows<T>, batch * P, x.h_n, l.h0, batch * P);
  if (x.c_n != nullptr) launch_over(name, set_rows<T>, batch * H, x.c_n, l.c0, batch * H);
  if (l.steps == 0 || batch == 0 || (H == 0 && P == 0)) return;
  const bool projects = l.projection != nullptr;
  const StreamScratch offsets(static_cast<size_t>(l.steps + 1) * sizeof(int64_t));
  const Walk walk = make_walk(name, l, l.reverse, offsets.as<int64_t>());
  if (persist_forward<Cell>(name, x, walk)) return;
  const StreamScratch scratch(static_cast<size_t>(batch * (2 * P + (projects ? H : 0))) * sizeof(T));
  T* const states[2] = {scratch.as<T>(), scratch.as<T>() + batch * P};
  // Both, because a sequence that joins later begins with its h0.
  for (T* state : states) launch_over(name, set_rows<T>, batch * P, state, l.h0, batch * P);
  ForwardStep<T> step = {};
  step.walk = walk;
  step.unprojected = states[1] + batch * P;
  for (step.number = 0; step.number < l.steps; ++step.number) {
    step.h = states[step.number & 1];
    step.next = states[(step.number + 1) & 1];
    if (H > 0) launch(name, forward_step<Cell, T>, blocks_for(tasks_of(batch, H)), kBlock, 0, x, step);
    if (projects && P > 0) launch(name, project_step<T>, blocks_for(tasks_of(batch, P)), kBlock, 0, x, step);
  }
}

// --- backward -----------------------------------------------------------------------------------

template <class T>
struct BackwardStep {
  Walk walk;
  int64_t number;  // of the step, in the order of the walk
  const T* flow;   // gradients of the gates of the step walked before [batch, G H]
  T* next;         // of this step's
  T* total;        // with a projection: of h [batch, P]
};

// The row of the step that is walked next, or -1: the sequence has none.
__device__ __forceinline__ int64_t row_before(const Walk& walk, int64_t index, int64_t sequence) {
  return sequence < walk.count(index + 1) ? walk.first(index + 1) + sequence : -1;
}

// The gradient of h of this step, from all that read it; of a sequence that has no step left, the gradient of h0.
template <class Cell, class T>
__global__ void __launch_bounds__(kBlock) backward_step(RecurrentGrad<T> x, BackwardStep<T> s) {
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, across = (P + kUnits - 1) / kUnits;
  const int64_t count = s.walk.count(s.number), flowing = s.walk.count(s.number - 1);
  const int64_t rows = count > flowing ? count : flowing;
  const bool projects = l.projection != nullptr;
  for (int64_t task = blockIdx.x; task < (rows + kRows - 1) / kRows * across; task += gridDim.x) {
    const Element at = element_of(task, P);
    T sums[1] = {};
    multiply(sums, at, s.flow, flowing, Cell::kGates * H, P, false,
             [&](int, int64_t column, int64_t k) { return l.weight[k * P + column]; });
    if (at.row >= rows || at.unit >= P) continue;
    T* const carry = x.gh0 + at.row * P + at.unit;
    T gh = sums[0] + *carry;
    if (at.row >= count) {
      *carry = gh;
      continue;
    }
    const int64_t row = s.walk.first(s.number) + at.row;
    if (x.g != nullptr) gh += x.g[row * P + at.unit];
    if (projects) {
      x.gout[row * P + at.unit] = gh;
      s.total[at.row * P + at.unit] = gh;
      *carry = 0;
      continue;
    }
    Cell::backward(x, row, row_before(s.walk, s.number, at.row), at.row, at.unit, gh,
                   s.next + at.row * Cell::kGates * H + at.unit, H, carry);
  }
}

template <class Cell, class T>
__global__ void __launch_bounds__(kBlock) unproject_step(RecurrentGrad<T> x, BackwardStep<T> s) {
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, across = (H + kUnits - 1) / kUnits, count = s.walk.count(s.number);
  for (int64_t task = blockIdx.x; task < (count + kRows - 1) / kRows * across; task += gridDim.x) {
    const Element at = element_of(task, H);
    T sums[1] = {};
    multiply(sums, at, s.total, count, P, H, false,
             [&](int, int64_t unit, int64_t k) { return l.projection[k * H + unit]; });
    if (at.row >= count || at.unit >= H) continue;
    T unused;
    Cell::backward(x, s.walk.first(s.number) + at.row, row_before(s.walk, s.number, at.row), at.row, at.unit, sums[0],
                   s.next + at.row * Cell::kGates * H + at.unit, H, &unused);
  }
}

template <class Cell, class T>
void recurrent_backward(const char* name, const RecurrentGrad<T>& x) {
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, batch = l.batch, depth = Cell::kGates * H;
  // gh0 and gc0 hold, for each sequence, the gradient that the steps still to be walked find.
  launch_over(name, set_rows<T>, batch * P, x.gh0, x.gh_n, batch * P);
  if (x.gc0 != nullptr) launch_over(name, set_rows<T>, batch * H, x.gc0, x.gc_n, batch * H);
  if (l.steps == 0 || batch == 0 || (H == 0 && P == 0)) return;
  const bool projects = l.projection != nullptr;
  const StreamScratch offsets(static_cast<size_t>(l.steps + 1) * sizeof(int64_t));
  const Walk walk = make_walk(name, l, !l.reverse, offsets.as<int64_t>());
  if (persist_backward<Cell>(name, x, walk)) return;
  const StreamScratch scratch(static_cast<size_t>(batch * (2 * depth + (projects ? P : 0))) * sizeof(T));
  T* const flows[2] = {scratch.as<T>(), scratch.as<T>() + batch * depth};
  BackwardStep<T> step = {};
  step.walk = walk;
  step.total = flows[1] + batch * depth;
  for (step.number = 0; step.number <= l.steps; ++step.number) {
    step.flow = flows[(step.number + 1) & 1];
    step.next = flows[step.number & 1];
    if (P > 0) launch(name, backward_step<Cell, T>, blocks_for(tasks_of(batch, P)), kBlock, 0, x, step);
    if (projects && H > 0) launch(name, unproject_step<Cell, T>, blocks_for(tasks_of(batch, H)), kBlock, 0, x, step);
  }
}

}  // namespace einkorn::cuda
