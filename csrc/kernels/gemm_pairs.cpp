// The register tiles of gemm_pairs.h as functions, compiled once for all kernels that multiply bfloat16 by pairs.

#include "kernels/gemm_pairs.h"

#if defined(__AVX512BF16__)

namespace einkorn::EINKORN_ISA {

namespace {

template <int kRows, int kVectors, APanel kPanel>
void tile_sums(int64_t depth, const int32_t* a, int64_t a_step, const int32_t* b, int64_t b_step, float* sums,
               int64_t step) {
  product_tile<Pairs, kRows, kVectors, kPanel>(depth, a, a_step, b, b_step,
                                               [&](int r, int v, Vec<float> sum) __attribute__((always_inline)) {
                                                 store(sums + r * step + v * kLanes<float>, sum);
                                               });
}

}  // namespace

PairSums choose_pair_tile(int64_t rows, int vectors, APanel panel) {
  PairSums chosen = nullptr;
  with_rows(static_cast<int>(rows), [&]<int kRows>() {
    if (vectors == 2)
      chosen =
          panel == APanel::by_rows ? &tile_sums<kRows, 2, APanel::by_rows> : &tile_sums<kRows, 2, APanel::by_columns>;
    else
      chosen =
          panel == APanel::by_rows ? &tile_sums<kRows, 1, APanel::by_rows> : &tile_sums<kRows, 1, APanel::by_columns>;
  });
  return chosen;
}

}  // namespace einkorn::EINKORN_ISA

#endif
