// The register tile of gemm_tile.h behind a function pointer, for row counts known only at run time.

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

}  // namespace EINKORN_ISA
}  // namespace einkorn
