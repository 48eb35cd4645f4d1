// Reductions on the GPU.
//
//   row way                              column way
//         n reduced, near                     K outputs, near
//       +----------------+                   +---------------+
//  kept | t0 t1 t2 ...   | a group each      | t0 t1 t2 ...  |  32 columns by 8 rows of threads,
//       | t0 t1 t2 ...   |           reduced | t32 t33 ...   |  folded through shared memory
//       +----------------+                   +---------------+
//
// The row way gives each output to 4 lanes, a warp or a block, by its length, and reads 16 bytes at a time where x's rows allow.
// Where there are too few outputs to fill a card, the reduced elements are cut into chunks that write partial results, and a
// second launch folds those. Cuts depend on the shape alone and everything is folded in order: the same bits every time.
//
// Roofline: bytes x once and out once; 1 FLOP for 4 bytes. 256 MB at 3.0 TB/s: 0.09 ms.
// Plan: reduce_rows: 64 registers, 4 blocks of 256 threads an SM
// Plan: reduce_columns: 80 registers, 3 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_group.h"
#include "kernels/cuda_pack.h"
#include "kernels/instantiate.h"
#include "kernels/reduce.h"

namespace einkorn::cuda {

namespace {

constexpr int kColumns = 32, kRows = kBlock / kColumns;
constexpr int64_t kFewColumns = 16;    // fewer near outputs than this go the row way
constexpr int64_t kManyBlocks = 2048;  // chunks are made until there are so many blocks
constexpr int64_t kChunkLoads = 8;     // a thread of a chunk makes at least so many loads

struct Sum {
  template <class T>
  static __device__ T identity() {
    return 0;
  }
  template <class T>
  static __device__ T join(T a, T b) {
    return a + b;
  }
};

struct Product {
  template <class T>
  static __device__ T identity() {
    return 1;
  }
  template <class T>
  static __device__ T join(T a, T b) {
    return a * b;
  }
};

struct Max {
  template <class T>
  static __device__ T identity() {
    return -static_cast<T>(INFINITY);
  }
  template <class T>
  static __device__ T join(T a, T b) {
    return a > b || a != a ? a : b;
  }
};

struct Min {
  template <class T>
  static __device__ T identity() {
    return static_cast<T>(INFINITY);
  }
  template <class T>
  static __device__ T join(T a, T b) {
    return a < b || a != a ? a : b;
  }
};

struct Axes {
  int ndim;
  int64_t shape[kMaxDims], strides[kMaxDims];
};

// Offset of element number i, in row-major order, `unit` elements of the last axis counting as one.
__device__ __forceinline__ int64_t offset_of(const Axes& axes, int64_t i, int unit) {
  if (axes.ndim == 1) return i * unit * axes.strides[0];
  int64_t at = 0;
  for (int d = axes.ndim - 1; d > 0; --d) {
    const int64_t size = d == axes.ndim - 1 ? axes.shape[d] / unit : axes.shape[d];
    const int64_t step = d == axes.ndim - 1 ? axes.strides[d] * unit : axes.strides[d];
    const int64_t rest = quotient(i, size);
    at += (i - rest * size) * step;
    i = rest;
  }
  return at + i * axes.strides[0];
}

template <class T>
struct Part {
  T* out;  // [chunks, outputs]
  const T* x;
  Axes kept, reduced;
  int64_t outputs, units;  // units of one output: elements, or 16-byte packs
  int64_t chunk, chunks;   // units of a chunk
  T scale, divisor;        // of what is stored
};

// A group of threads for each output and chunk.
template <class Op, int kGroup, int kPack, class T>
__global__ void reduce_rows(Part<T> k) {
  for_groups<kGroup>(k.outputs * k.chunks, [&](int64_t task, int lane, bool live) {
    const int64_t output = task % k.outputs, chunk = task / k.outputs;
    const T* const x = k.x + offset_of(k.kept, output, 1);
    const int64_t begin = chunk * k.chunk, end = begin + k.chunk < k.units ? begin + k.chunk : k.units;
    T run[4];
    for (T& r : run) r = Op::template identity<T>();
    const auto take = [&](T& r, int64_t unit) {
      const T* const from = x + offset_of(k.reduced, unit, kPack);
      if constexpr (kPack == 1) {
        r = Op::join(r, *from);
      } else {
        const Pack<T, kPack> pack = *reinterpret_cast<const Pack<T, kPack>*>(from);
        T v = pack.v[0];
        for (int j = 1; j < kPack; ++j) v = Op::join(v, pack.v[j]);
        r = Op::join(r, v);
      }
    };
    int64_t u = begin + lane;
    for (; u + 3 * kGroup < end; u += 4 * kGroup)
      for (int j = 0; j < 4; ++j) take(run[j], u + j * kGroup);
    for (; u < end; u += kGroup) take(run[0], u);
    const T folded = fold_group<kGroup>(
        Op::join(Op::join(run[0], run[1]), Op::join(run[2], run[3])), [](T a, T b) { return Op::join(a, b); },
        [](T v, int distance) { return shuffle_xor(v, distance); });
    if (live && lane == 0) k.out[task] = folded * k.scale / k.divisor;
  });
}

// 32 neighbouring packs of outputs by 8 threads that share their reduced elements.
template <class Op, int kPack, class T>
__global__ void reduce_columns(Part<T> k) {
  using Unit = Pack<T, kPack>;
  __shared__ Unit folded[kRows][kColumns];
  const auto join = [](Unit a, const Unit& b) {
    for (int e = 0; e < kPack; ++e) a.v[e] = Op::join(a.v[e], b.v[e]);
    return a;
  };
  const int64_t packs = k.outputs / kPack;
  const int column = static_cast<int>(threadIdx.x % kColumns), row = static_cast<int>(threadIdx.x / kColumns);
  const int64_t blocks = (packs + kColumns - 1) / kColumns;
  for (int64_t task = blockIdx.x; task < blocks * k.chunks; task += gridDim.x) {
    const int64_t output = task % blocks * kColumns + column, chunk = task / blocks;
    const bool live = output < packs;
    const T* const x = k.x + offset_of(k.kept, live ? output : packs - 1, kPack);
    const auto unit = [&](int64_t u) { return *reinterpret_cast<const Unit*>(x + offset_of(k.reduced, u, 1)); };
    const int64_t begin = chunk * k.chunk, end = begin + k.chunk < k.units ? begin + k.chunk : k.units;
    Unit run[4];
    for (Unit& r : run)
      for (T& v : r.v) v = Op::template identity<T>();
    int64_t u = begin + row;
    for (; u + 3 * kRows < end; u += 4 * kRows) {
      Unit next[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) next[j] = unit(u + j * kRows);
#pragma unroll
      for (int j = 0; j < 4; ++j) run[j] = join(run[j], next[j]);
    }
    for (; u < end; u += kRows) run[0] = join(run[0], unit(u));
    folded[row][column] = join(join(run[0], run[1]), join(run[2], run[3]));
    __syncthreads();
    if (row == 0 && live) {
      Unit all = folded[0][column];
      for (int r = 1; r < kRows; ++r) all = join(all, folded[r][column]);
      for (T& v : all.v) v = v * k.scale / k.divisor;
      *reinterpret_cast<Unit*>(k.out + chunk * k.outputs + output * kPack) = all;
    }
    __syncthreads();
  }
}

template <class Op, int kPack, class T>
void start_rows(const char* name, const Part<T>& k) {
  const int64_t tasks = k.outputs * k.chunks;
  if (k.chunk <= 16)
    launch_over(name, reduce_rows<Op, 4, kPack, T>, tasks * 4, k);
  else if (k.chunk <= 512)
    launch_over(name, reduce_rows<Op, kWarp, kPack, T>, tasks * kWarp, k);
  else
    launch_over(name, reduce_rows<Op, kBlock, kPack, T>, tasks * kBlock, k);
}

template <class Op, int kPack, class T>
void start_columns(const char* name, const Part<T>& k) {
  launch_over(name, reduce_columns<Op, kPack, T>, divide_up(k.outputs / kPack, kColumns) * k.chunks * kBlock, k);
}

// Whether every offset along these axes, but for the unit steps of the last one, is whole packs.
inline bool in_packs(const Axes& axes, bool near, int64_t pack) {
  const int last = axes.ndim - 1;
  bool whole = !near || (axes.strides[last] == 1 && axes.shape[last] % pack == 0);
  for (int d = 0; d < axes.ndim; ++d)
    whole = whole && (axes.shape[d] == 1 || axes.strides[d] % pack == 0 || (near && d == last));
  return whole;
}

inline int64_t product(const Axes& axes) {
  int64_t n = 1;
  for (int d = 0; d < axes.ndim; ++d) n *= axes.shape[d];
  return n;
}

// Cuts what each output has into chunks of at least `least` units, until there are kManyBlocks blocks.
template <class T>
void cut(Part<T>& k, int64_t blocks, int64_t least) {
  const int64_t wanted = divide_up(kManyBlocks, blocks), most = divide_up(k.units, least);
  k.chunks = wanted < most ? wanted : most;
  if (k.chunks < 1) k.chunks = 1;
  k.chunk = divide_up(k.units, k.chunks);
  if (k.chunk < 1) k.chunk = 1;
  if (k.units > 0) k.chunks = divide_up(k.units, k.chunk);
}

template <class Op, class T>
void reduce(const char* name, const Reduce<T>& k) {
  constexpr int kPack = 16 / sizeof(T);
  Part<T> part = {};
  part.x = k.x;
  part.kept.ndim = k.layout.kept_ndim;
  part.reduced.ndim = k.layout.reduced_ndim;
  for (int d = 0; d < kMaxDims; ++d) {
    part.kept.shape[d] = d < part.kept.ndim ? k.layout.kept_shape[d] : 1;
    part.kept.strides[d] = d < part.kept.ndim ? k.layout.kept_strides[d] : 0;
    part.reduced.shape[d] = d < part.reduced.ndim ? k.layout.reduced_shape[d] : 1;
    part.reduced.strides[d] = d < part.reduced.ndim ? k.layout.reduced_strides[d] : 0;
  }
  part.outputs = product(part.kept);
  part.units = product(part.reduced);
  if (part.outputs == 0) return;

  const int last = part.reduced.ndim - 1, near = part.kept.ndim - 1;
  const int64_t step = part.reduced.strides[last];
  const int64_t columns = part.kept.shape[near],
                kept_step = part.kept.strides[near] < 0 ? -part.kept.strides[near] : part.kept.strides[near];
  const bool along_rows = columns < kFewColumns || kept_step == 0 || step <= kept_step;
  // A step writes packs to k.out or, aligned, to scratch.
  const bool aligned = is_aligned(k.x, kPackBytes) && (along_rows || is_aligned(k.out, kPackBytes));
  const bool packs = aligned && in_packs(part.reduced, along_rows, kPack) && in_packs(part.kept, !along_rows, kPack);
  if (packs && along_rows) part.units /= kPack;

  if (along_rows)
    cut(part, part.outputs, kBlock * kChunkLoads);
  else
    cut(part, divide_up(part.outputs, packs ? kColumns * kPack : kColumns), kRows * kChunkLoads);
  const StreamScratch partials(part.chunks > 1 ? static_cast<size_t>(part.chunks * part.outputs) * sizeof(T) : 0);
  part.out = part.chunks > 1 ? partials.template as<T>() : k.out;
  part.scale = part.chunks > 1 ? T{1} : k.scale;
  part.divisor = part.chunks > 1 ? T{1} : k.divisor;
  if (!along_rows && packs)
    start_columns<Op, kPack>(name, part);
  else if (!along_rows)
    start_columns<Op, 1>(name, part);
  else if (packs)
    start_rows<Op, kPack>(name, part);
  else
    start_rows<Op, 1>(name, part);
  if (part.chunks == 1) return;

  Part<T> rest = {};
  rest.out = k.out;
  rest.x = part.out;
  rest.kept = {1, {part.outputs}, {1}};
  rest.reduced = {1, {part.chunks}, {part.outputs}};
  rest.outputs = part.outputs;
  rest.units = rest.chunk = part.chunks;
  rest.chunks = 1;
  rest.scale = k.scale;
  rest.divisor = k.divisor;
  if (part.outputs >= kFewColumns)
    start_columns<Op, 1>(name, rest);
  else
    start_rows<Op, 1>(name, rest);
}

// The largest number so far and where it was: the first NaN, else the first of the largest.
template <class T>
struct Best {
  T value;
  int64_t at;

  __device__ bool is_behind(const Best& other) const {
    const bool nan = value != value, other_nan = other.value != other.value;
    if (nan || other_nan) return nan == other_nan ? other.at < at : other_nan;
    return other.value > value || (other.value == value && other.at < at);
  }
};

template <int kGroup, class T>
__global__ void argmax_rows(Argmax<T> k) {
  for_groups<kGroup>(k.outer, [&](int64_t row, int lane, bool live) {
    const T* const x = k.x + row * k.n;
    Best<T> best = {-static_cast<T>(INFINITY), INT64_MAX};
    for (int64_t j = lane; j < k.n; j += kGroup) {
      const Best<T> here = {x[j], j};
      if (best.is_behind(here)) best = here;
    }
    best = fold_group<kGroup>(
        best, [](const Best<T>& a, const Best<T>& b) { return a.is_behind(b) ? b : a; },
        [](const Best<T>& v, int distance) {
          return Best<T>{shuffle_xor(v.value, distance),
                         static_cast<int64_t>(shuffle_xor(static_cast<long long>(v.at), distance))};
        });
    if (live && lane == 0) k.out[row] = best.at;
  });
}

template <class T>
__global__ void argmax_columns(Argmax<T> k) {
  grid_stride(k.outer * k.inner, [&](int64_t i) {
    const T* const x = k.x + i / k.inner * k.n * k.inner + i % k.inner;
    Best<T> best = {x[0], 0};
    for (int64_t j = 1; j < k.n; ++j) {
      const Best<T> here = {x[j * k.inner], j};
      if (best.is_behind(here)) best = here;
    }
    k.out[i] = best.at;
  });
}

using Position = unsigned long long;

__global__ void set_position(Position* position, Position value) {
  *position = value;
}

__global__ void find_out_of_range(FirstOutOfRange k, Position* position) {
  grid_stride(k.size, [&](int64_t i) {
    const int64_t index = k.index[i];
    if ((index < k.low || index >= k.high) && index != k.ignore) atomicMin(position, static_cast<Position>(i));
  });
}

// No index is written beyond the range, whatever kernels do with them before somebody reads the position.
__global__ void clamp_out_of_range(ClampIndices k) {
  grid_stride(k.size, [&](int64_t i) {
    const int64_t index = k.index[i];
    const bool bad = (index < k.low || index >= k.high) && index != k.ignore;
    k.out[i] = bad ? (index < k.low ? k.low : k.high - 1) : index;
    if (bad) atomicMin(reinterpret_cast<Position*>(k.position), static_cast<Position>(i));  // -1 is the largest of them
  });
}

}  // namespace

template <class T>
void reduce_sum(const Reduce<T>& k) {
  reduce<Sum>("reduce_sum", k);
}

template <class T>
void reduce_max(const Reduce<T>& k) {
  reduce<Max>("reduce_max", k);
}

template <class T>
void reduce_min(const Reduce<T>& k) {
  reduce<Min>("reduce_min", k);
}

template <class T>
void reduce_prod(const Reduce<T>& k) {
  reduce<Product>("reduce_prod", k);
}

template <class T>
void argmax(const Argmax<T>& k) {
  if (k.outer * k.inner == 0) return;
  if (k.inner > 1)
    launch_over("argmax", argmax_columns<T>, k.outer * k.inner, k);
  else if (k.n <= 1024)
    launch_over("argmax", argmax_rows<kWarp, T>, k.outer * kWarp, k);
  else
    launch_over("argmax", argmax_rows<kBlock, T>, k.outer * kBlock, k);
}

// The answer is the host's to read: this one waits for the device.
void first_out_of_range(const FirstOutOfRange& k) {
  *k.position = -1;
  if (k.size == 0) return;
  const StreamScratch scratch(sizeof(Position));
  Position* const position = scratch.as<Position>();
  const Position none = ~Position{0};
  launch("first_out_of_range", set_position, 1, 1, 0, position, none);
  launch_over("first_out_of_range", find_out_of_range, k.size, k, position);
  check(cudaMemcpyAsync(k.position, position, sizeof(Position), cudaMemcpyDeviceToHost, current_stream()),
        "first_out_of_range");  // `none` is -1
  check(cudaStreamSynchronize(current_stream()), "first_out_of_range");
}

void clamp_indices(const ClampIndices& k) {
  if (k.size > 0) launch_over("clamp_indices", clamp_out_of_range, k.size, k);
}

EINKORN_INSTANTIATE(reduce_sum, Reduce)
EINKORN_INSTANTIATE(reduce_max, Reduce)
EINKORN_INSTANTIATE(reduce_min, Reduce)
EINKORN_INSTANTIATE(reduce_prod, Reduce)
EINKORN_INSTANTIATE(argmax, Argmax)

}  // namespace einkorn::cuda
