// GloVe on the GPU: a warp walks a stretch of the entries.
//
//     one stretch      one warp takes all entries in order: the same bits each time
//     several          a warp each, which share the arrays without locks (cuda_shared_rows.h); a card has room for thousands
//
// For an entry the lanes read their elements of both rows once, fold the product by shuffles, and do both updates of the same elements:
// no barrier but the warp's own. Lanes keep the elements of rows of up to 128 in registers between the two passes; longer rows are read again,
// from the cache.
//
// Roofline: 4 rows read and written, 32 (width + 1) bytes an entry: width 100, 3.2 KB, 930 million entries a second at 3.0 TB/s, for stretches by
// the thousand. One stretch is bound by its chain, memory and two folds an entry, about 2 us: for checking, not for speed.
// Plan: train_entries: 80 registers, 6 blocks of 128 threads an SM

#include "kernels/cuda_group.h"
#include "kernels/cuda_shared_rows.h"
#include "kernels/glove.h"

namespace einkorn::cuda {

namespace {

constexpr int kThreads = 128, kStretches = kThreads / kWarp;  // of a block

template <bool kAlone>
__device__ __forceinline__ void step(float* value, float* square, float was, float gradient, float rate) {
  const float sum = read_row<kAlone>(square);
  write_row<kAlone>(value, was - rate * gradient / ::sqrtf(sum));
  write_row<kAlone>(square, sum + gradient * gradient);
}

// Returns the entry's loss.
template <bool kAlone>
__device__ __forceinline__ double train_entry(const GloveTrain& k, int64_t e, int lane) {
  constexpr int kKept = 4;
  const int64_t i = k.row[e], j = k.column[e], stride = k.width + 1;
  if (i < 0 || i >= k.words || j < 0 || j >= k.words) return 0;
  float* const w = k.table + i * stride;
  float* const v = k.table + (k.words + j) * stride;
  float* const gw = k.squares + i * stride;
  float* const gv = k.squares + (k.words + j) * stride;
  float a[kKept], b[kKept], sum = 0;
#pragma unroll
  for (int p = 0; p < kKept; ++p) {
    const int64_t l = lane + p * kWarp;
    a[p] = l < k.width ? read_row<kAlone>(w + l) : 0;
    b[p] = l < k.width ? read_row<kAlone>(v + l) : 0;
    sum += a[p] * b[p];
  }
  for (int64_t l = lane + kKept * kWarp; l < k.width; l += kWarp)
    sum += read_row<kAlone>(w + l) * read_row<kAlone>(v + l);
  const float of_w = read_row<kAlone>(w + k.width), of_v = read_row<kAlone>(v + k.width), count = k.count[e];
  const float share = count * static_cast<float>(1.0 / k.count_max);
  const float f = share < 1.0f ? ::expf(static_cast<float>(k.alpha) * ::logf(share)) : 1.0f;
  const float d = summed<kWarp>(sum) + of_w + of_v - ::logf(count);
  const float g = f * d, rate = static_cast<float>(k.rate);
  __syncwarp();  // all lanes have read the biases
  const auto both = [&](int64_t l, float x, float y) {
    step<kAlone>(w + l, gw + l, x, g * y, rate);
    step<kAlone>(v + l, gv + l, y, g * x, rate);
  };
#pragma unroll
  for (int p = 0; p < kKept; ++p)
    if (lane + p * kWarp < k.width) both(lane + p * kWarp, a[p], b[p]);
  for (int64_t l = lane + kKept * kWarp; l < k.width; l += kWarp)
    both(l, read_row<kAlone>(w + l), read_row<kAlone>(v + l));
  if (lane == 0) {
    step<kAlone>(w + k.width, gw + k.width, of_w, g, rate);
    step<kAlone>(v + k.width, gv + k.width, of_v, g, rate);
  }
  __syncwarp();  // other lanes read the biases of the next entry
  return 0.5 * static_cast<double>(f) * static_cast<double>(d) * static_cast<double>(d);
}

template <bool kAlone>
__global__ void __launch_bounds__(kThreads, 6) train_entries(GloveTrain k) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t stretch = static_cast<int64_t>(blockIdx.x) * kStretches + threadIdx.x / kWarp;
  if (stretch >= k.stretches) return;
  double loss = 0;
  const int64_t end = k.entries * (stretch + 1) / k.stretches;
  for (int64_t place = k.entries * stretch / k.stretches; place < end; ++place) {
    const int64_t e = k.order[place];
    if (e >= 0 && e < k.entries) loss += train_entry<kAlone>(k, e, lane);
  }
  if (lane == 0) k.stats[stretch] = loss;
}

}  // namespace

void glove_train(const GloveTrain& k) {
  const auto blocks = static_cast<unsigned>(pieces_of(k.stretches, kStretches));
  launch("glove_train", k.stretches == 1 ? train_entries<true> : train_entries<false>, blocks, kThreads, 0, k);
}

}  // namespace einkorn::cuda
