// The register tiles of convolution: that of gemm_tile.h behind a function pointer, for row counts known only at run time, and
// one that reads the image where it lies, at an offset for each step.

#pragma once

#include "kernels/gemm_tile.h"
#include "simd/activate.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// c[r * c_step + j] = act(bias[r] + sum over k of a[k * rows + r] * b[k * kTileColumns + j]) for r < live,
// or with `add`, c += sum.
template <class T>
struct TileJob {
  int64_t k_size;
  const T* a;
  const T* b;
  T* c;
  int64_t c_step;
  int live;       // rows to store; panels are padded with rows that are not
  const T* bias;  // may be null
  bool relu;
  bool add;
};

template <class T>
using Tile = void (*)(const TileJob<T>&);

template <class T, int kRows, int kVectors>
void run_tile(const TileJob<T>& job) {
  gemm_tile<T, kRows, kVectors, APanel::by_columns>(job.k_size, job.a, kRows, job.b, kTileColumns<T>,
                                                    [&](int r, int v, Vec<T> sum) __attribute__((always_inline)) {
                                                      if (r >= job.live) return;
                                                      if (job.bias != nullptr) sum += broadcast(job.bias[r]);
                                                      if (job.add) sum += load(job.c + r * job.c_step + v * kLanes<T>);
                                                      if (job.relu) sum = sum < 0 ? Vec<T>{} : sum;
                                                      store(job.c + r * job.c_step + v * kLanes<T>, sum);
                                                    });
}

template <class T>
inline Tile<T> choose_tile(int rows, int vectors) {
  Tile<T> tile = nullptr;
  with_rows(rows, [&]<int kRows>() { tile = vectors == 1 ? &run_tile<T, kRows, 1> : &run_tile<T, kRows, 2>; });
  return tile;
}

// sum[r][v] += sum over steps of a[step * rows + r] * (the vector at in[v] + offset[step]).
template <class T, int kRows, int kVectors>
struct TapTile {
  Vec<T> sum[kRows][kVectors];
  const T* in[kVectors];

  EINKORN_INLINE void clear() {
    EINKORN_UNROLL for (auto& row : sum) EINKORN_UNROLL for (Vec<T>& s : row) s = Vec<T>{};
  }

  EINKORN_INLINE void add(const T* a, const int32_t* offset, int64_t steps) {
    const int32_t* const end = offset + steps;
    for (; offset < end; ++offset, a += kRows) {
      const int64_t at = *offset;
      Vec<T> b[kVectors];
      EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) b[v] = load(in[v] + at);
      EINKORN_UNROLL for (int r = 0; r < kRows; ++r) {
        const Vec<T> ar = broadcast(a[r]);
        EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] += ar * b[v];
      }
    }
  }

  // Gives put(r, v, value) the first `live` rows, with bias (may be null) and ReLU.
  template <class Put>
  EINKORN_INLINE void finish(int live, const T* bias, bool relu, const Put& put) {
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) {
      if (r >= live) break;
      EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) {
        Vec<T> y = sum[r][v];
        if (bias != nullptr) y += broadcast(bias[r]);
        put(r, v, relu ? (y < 0 ? Vec<T>{} : y) : y);
      }
    }
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
