// softmax and log_softmax on the GPU.
//
// Rows (inner = 1): a group of threads shares a row, a warp where rows are short, a block where they are long. Each thread
// walks the row in steps of the group and keeps a running maximum m and the sum s of exp(x - m); the group then merges these
// pairs, so that a row is read from memory twice instead of three times. Rows of up to 8192 numbers that come in whole packs
// of 16 bytes stay in the registers of their group and are read once.
//
//      group of 4      t0 t1 t2 t3 t0 t1 t2 t3 ...      (m, s) + (m', s') = (M, s exp(m - M) + s' exp(m' - M))
//
// Columns (inner > 1): a thread walks down a column; neighbouring threads are on neighbouring columns, so that loads are
// whole lines.
// Roofline, [8192, 8192] float32 (268 MB): held rows 537 MB, 0.18 ms at 3.0 TB/s, longer ones read twice 0.27 ms; gradients 805 MB,
// 0.27 ms. About 10 FLOP and an exponential an element are far below.
// Plan: softmax_held: 72 registers, 3 blocks of 256 threads an SM
// Plan: softmax_rows, softmax_grad_rows, softmax_columns, softmax_grad_columns: 40 registers (double: 64), 6 blocks of 256 threads an SM

#include "kernels/cuda_group.h"
#include "kernels/cuda_pack.h"
#include "kernels/instantiate.h"
#include "kernels/softmax.h"

namespace einkorn::cuda {

namespace {

constexpr int64_t kBlockRow = 1024;  // from this length on a block shares a row

// body(row, lane) for every row, by groups of kGroup threads. All threads of a group call body together.
template <int kGroup, class Body>
__device__ __forceinline__ void for_rows(int64_t rows, const Body& body) {
  constexpr int kGroups = kBlock / kGroup;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kGroups;
  for (int64_t r = static_cast<int64_t>(blockIdx.x) * kGroups + threadIdx.x / kGroup; r < rows; r += step)
    body(r, static_cast<int>(threadIdx.x % kGroup));
}

template <int kGroup, bool kLog, class T>
__global__ void softmax_rows(Softmax<T> k) {
  for_rows<kGroup>(k.outer, [&](int64_t r, int lane) {
    const T* x = k.x + r * k.n;
    T* out = k.out + r * k.n;
    RunningSum<T> sum;
    for (int64_t c = lane; c < k.n; c += kGroup) sum.take(x[c]);
    sum = merged<kGroup>(sum);
    const T log_sum = ::log(sum.s), scale = 1 / sum.s;
    for (int64_t c = lane; c < k.n; c += kGroup) out[c] = kLog ? x[c] - sum.m - log_sum : ::exp(x[c] - sum.m) * scale;
  });
}

// Rows of whole packs that a group holds in its registers: read once.
template <int kGroup, int kHeld, bool kLog, class T>
__global__ void __launch_bounds__(kBlock) softmax_held(Softmax<T> k) {
  constexpr int kPack = kPackBytes / sizeof(T);
  using Unit = Pack<T, kPack>;
  const auto moved = [](T a, int distance) { return shuffle_xor(a, distance); };
  for_groups<kGroup>(k.outer, [&](int64_t r, int lane, bool live) {
    const Unit* const x = reinterpret_cast<const Unit*>(k.x + r * k.n);
    Unit* const out = reinterpret_cast<Unit*>(k.out + r * k.n);
    const int units = static_cast<int>(k.n) / kPack;
    Unit held[kHeld];  // every loop unrolled: registers have no index
#pragma unroll
    for (int h = 0; h < kHeld; ++h) {
      if (lane + h * kGroup < units) {
        held[h] = x[lane + h * kGroup];
      } else {
#pragma unroll
        for (int e = 0; e < kPack; ++e) held[h].v[e] = -static_cast<T>(INFINITY);  // counts for nothing
      }
    }
    T top = RunningSum<T>{}.m;
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
#pragma unroll
      for (int e = 0; e < kPack; ++e) top = larger(held[h].v[e], top);
    top = fold_group<kGroup>(top, [](T a, T b) { return larger(a, b); }, moved);
    T sum = 0;
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        const T shifted = held[h].v[e] - top, power = ::exp(shifted);
        sum += power;
        held[h].v[e] = kLog ? shifted : power;
      }
    sum = summed<kGroup>(sum);
    const T log_sum = ::log(sum), scale = 1 / sum;
#pragma unroll
    for (int h = 0; h < kHeld; ++h) {
#pragma unroll
      for (int e = 0; e < kPack; ++e) held[h].v[e] = kLog ? held[h].v[e] - log_sum : held[h].v[e] * scale;
      if (live && lane + h * kGroup < units) out[lane + h * kGroup] = held[h];
    }
  });
}

template <int kGroup, int kHeld, bool kLog, class T>
bool fits_held(const char* name, const Softmax<T>& k) {
  if (k.n > kGroup * kHeld * static_cast<int64_t>(kPackBytes / sizeof(T))) return false;
  launch_over(name, softmax_held<kGroup, kHeld, kLog, T>, k.outer * kGroup, k);
  return true;
}

// Starts softmax_held by the smallest group that holds a row; false where none does.
template <bool kLog, class T>
bool start_held(const char* name, const Softmax<T>& k) {
  const bool packs = k.n % static_cast<int64_t>(kPackBytes / sizeof(T)) == 0;
  if (!packs || !is_aligned(k.x, kPackBytes) || !is_aligned(k.out, kPackBytes)) return false;
  return fits_held<8, 1, kLog>(name, k) || fits_held<16, 1, kLog>(name, k) || fits_held<kWarp, 1, kLog>(name, k) ||
         fits_held<kWarp, 2, kLog>(name, k) || fits_held<kWarp, 4, kLog>(name, k) ||
         fits_held<kWarp, 8, kLog>(name, k) || fits_held<kBlock, 2, kLog>(name, k) ||
         fits_held<kBlock, 4, kLog>(name, k) || fits_held<kBlock, 8, kLog>(name, k);
}

template <bool kLog, class T>
__global__ void softmax_columns(Softmax<T> k) {
  grid_stride(k.outer * k.inner, [&](int64_t i) {
    const int64_t begin = i / k.inner * k.n * k.inner + i % k.inner;
    const T* x = k.x + begin;
    T* out = k.out + begin;
    RunningSum<T> sum;
    for (int64_t c = 0; c < k.n; ++c) sum.take(x[c * k.inner]);
    const T log_sum = ::log(sum.s), scale = 1 / sum.s;
    for (int64_t c = 0; c < k.n; ++c) {
      const T v = x[c * k.inner];
      out[c * k.inner] = kLog ? v - sum.m - log_sum : ::exp(v - sum.m) * scale;
    }
  });
}

template <bool kLog, class T>
__device__ __forceinline__ T grad_term(T g, T y) {  // what is summed over a row
  return kLog ? g : g * y;
}

template <bool kLog, class T>
__device__ __forceinline__ T input_grad(T g, T y, T sum) {
  return kLog ? g - ::exp(y) * sum : (g - sum) * y;
}

template <int kGroup, bool kLog, class T>
__global__ void softmax_grad_rows(SoftmaxGrad<T> k) {
  for_rows<kGroup>(k.outer, [&](int64_t r, int lane) {
    const T* g = k.g + r * k.n;
    const T* y = k.y + r * k.n;
    T* gx = k.gx + r * k.n;
    T sum = 0;
    for (int64_t c = lane; c < k.n; c += kGroup) sum += grad_term<kLog>(g[c], y[c]);
    sum = summed<kGroup>(sum);
    for (int64_t c = lane; c < k.n; c += kGroup) gx[c] = input_grad<kLog>(g[c], y[c], sum);
  });
}

template <bool kLog, class T>
__global__ void softmax_grad_columns(SoftmaxGrad<T> k) {
  grid_stride(k.outer * k.inner, [&](int64_t i) {
    const int64_t begin = i / k.inner * k.n * k.inner + i % k.inner;
    const T* g = k.g + begin;
    const T* y = k.y + begin;
    T* gx = k.gx + begin;
    T sum = 0;
    for (int64_t c = 0; c < k.n; ++c) sum += grad_term<kLog>(g[c * k.inner], y[c * k.inner]);
    for (int64_t c = 0; c < k.n; ++c) gx[c * k.inner] = input_grad<kLog>(g[c * k.inner], y[c * k.inner], sum);
  });
}

template <bool kLog, class T>
void forward(const char* name, const Softmax<T>& k) {
  if (k.outer * k.n * k.inner == 0) return;
  if (k.inner > 1)
    launch(name, softmax_columns<kLog, T>, grid_for(k.outer * k.inner), kBlock, 0, k);
  else if (start_held<kLog>(name, k))
    return;
  else if (k.n < kBlockRow)
    launch(name, softmax_rows<kWarp, kLog, T>, grid_for(k.outer * kWarp), kBlock, 0, k);
  else
    launch(name, softmax_rows<kBlock, kLog, T>, blocks_for(k.outer), kBlock, 0, k);
}

template <bool kLog, class T>
void backward(const char* name, const SoftmaxGrad<T>& k) {
  if (k.outer * k.n * k.inner == 0) return;
  if (k.inner > 1)
    launch(name, softmax_grad_columns<kLog, T>, grid_for(k.outer * k.inner), kBlock, 0, k);
  else if (k.n < kBlockRow)
    launch(name, softmax_grad_rows<kWarp, kLog, T>, grid_for(k.outer * kWarp), kBlock, 0, k);
  else
    launch(name, softmax_grad_rows<kBlock, kLog, T>, blocks_for(k.outer), kBlock, 0, k);
}

}  // namespace

template <class T>
void softmax_forward(const Softmax<T>& k) {
  forward<false>("softmax_forward", k);
}

template <class T>
void softmax_backward(const SoftmaxGrad<T>& k) {
  backward<false>("softmax_backward", k);
}

template <class T>
void log_softmax_forward(const Softmax<T>& k) {
  forward<true>("log_softmax_forward", k);
}

template <class T>
void log_softmax_backward(const SoftmaxGrad<T>& k) {
  backward<true>("log_softmax_backward", k);
}

EINKORN_INSTANTIATE(softmax_forward, Softmax)
EINKORN_INSTANTIATE(softmax_backward, SoftmaxGrad)
EINKORN_INSTANTIATE(log_softmax_forward, Softmax)
EINKORN_INSTANTIATE(log_softmax_backward, SoftmaxGrad)

}  // namespace einkorn::cuda
