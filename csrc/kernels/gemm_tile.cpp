// The register tiles of gemm_tile.h as functions, compiled once for all kernels that multiply matrices.

#include "kernels/gemm_tile.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T, int kRows, int kVectors, APanel kPanel>
void tile_sums(int64_t depth, const T* a, int64_t a_step, const T* b, int64_t b_step, T* sums, int64_t step) {
  gemm_tile<T, kRows, kVectors, kPanel>(
      depth, a, a_step, b, b_step,
      [&](int r, int v, Vec<T> sum) __attribute__((always_inline)) { store(sums + r * step + v * kLanes<T>, sum); });
}

constexpr int64_t kPackedAhead = 32;  // rows of B, which may come from the last cache

template <class T, APanel kPanel>
void packing_tile_sums(int64_t depth, const T* a, int64_t a_step, const T* b, int64_t b_step, T* packed, T* sums,
                       int64_t step) {
  constexpr int L = kLanes<T>;
  const auto sums_out = [&](int r, int v, Vec<T> sum)
                            __attribute__((always_inline)) { store(sums + r * step + v * L, sum); };
  gemm_tile<T, kTileRows, kTileVectors, kPanel>(depth, a, a_step, b, b_step, sums_out,
                                                [&](int64_t k) __attribute__((always_inline)) {
                                                  const T* const row = b + k * b_step;
                                                  EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) {
                                                    __builtin_prefetch(row + kPackedAhead * b_step + v * L);
                                                    store(packed + k * kTileColumns<T> + v * L, load(row + v * L));
                                                  }
                                                });
}

}  // namespace

template <class T>
TileSums<T> choose_tile(int64_t rows, int vectors, APanel panel) {
  TileSums<T> chosen = nullptr;
  with_rows(static_cast<int>(rows), [&]<int kRows>() {
    if (vectors == 2)
      chosen = panel == APanel::by_rows ? &tile_sums<T, kRows, 2, APanel::by_rows>
                                        : &tile_sums<T, kRows, 2, APanel::by_columns>;
    else
      chosen = panel == APanel::by_rows ? &tile_sums<T, kRows, 1, APanel::by_rows>
                                        : &tile_sums<T, kRows, 1, APanel::by_columns>;
  });
  return chosen;
}

template TileSums<float> choose_tile(int64_t, int, APanel);
template TileSums<double> choose_tile(int64_t, int, APanel);

template <class T>
PackingTile<T> choose_packing_tile(APanel panel) {
  return panel == APanel::by_rows ? &packing_tile_sums<T, APanel::by_rows> : &packing_tile_sums<T, APanel::by_columns>;
}

template PackingTile<float> choose_packing_tile(APanel);
template PackingTile<double> choose_packing_tile(APanel);

}  // namespace einkorn::EINKORN_ISA
