// Values of features over patches, for training. Lanes run over patches: the integral images stand side by side, cell by
// cell, so that each corner of a rectangle is one load for a vector of patches.
//
//     sums    cell 0: patch 0 1 2 ... n-1      Patches are taken in chunks whose sums stay in L2 while all features pass
//             cell 1: patch 0 1 2 ... n-1      over them. The output is written once: at 8 to 12 loads from L2 for a
//             ...                              value, 2,000 features of 6,977 patches of 19 x 19 take 7.8 ms on two threads.

#include "kernels/haar/haar_rows.h"

namespace einkorn::EINKORN_ISA {

using namespace haar;

namespace {

constexpr int64_t kChunk = 512;    // patches
constexpr int64_t kFeatures = 64;  // features of a task

struct Corners {
  int64_t a, b, c, d;
};

EINKORN_INLINE Corners corners(const int32_t* rect, int64_t width) {
  const int64_t stride = width + 1, a = rect[1] * stride + rect[0], c = a + rect[3] * stride;
  return {a, a + rect[2], c, c + rect[2]};
}

}  // namespace

void haar_patch_sums(const HaarPatchSums& k) {
  constexpr int64_t kBlock = 64;
  const int64_t cells = (k.height + 1) * (k.width + 1), stride = k.width + 1;
  const double area = static_cast<double>((k.width - 2) * (k.height - 2));
  parallel_for(k.ws, (k.patches + kBlock - 1) / kBlock, 2.0 * kBlock * static_cast<double>(cells),
               [&](int64_t task, int) {
                 for (int64_t n = task * kBlock; n < at_most((task + 1) * kBlock, k.patches); ++n) {
                   const uint8_t* image = k.image + n * k.height * k.width;
                   int32_t* sums = k.sums + n;
                   int64_t sum = 0, square = 0;
                   for (int64_t x = 0; x < stride; ++x) sums[x * k.patches] = 0;
                   for (int64_t y = 0; y < k.height; ++y) {
                     int32_t row = 0;
                     sums[(y + 1) * stride * k.patches] = 0;
                     for (int64_t x = 0; x < k.width; ++x) {
                       const int32_t p = image[y * k.width + x];
                       row += p;
                       sums[((y + 1) * stride + x + 1) * k.patches] = sums[(y * stride + x + 1) * k.patches] + row;
                       const bool inside = y > 0 && y < k.height - 1 && x > 0 && x < k.width - 1;
                       sum += inside ? p : 0;
                       square += inside ? p * p : 0;
                     }
                   }
                   const double variance = area * static_cast<double>(square) - static_cast<double>(sum * sum);
                   const float scale = variance > 0 ? static_cast<float>(1.0 / __builtin_sqrt(variance)) : 0.0f;
                   k.scale[n] = area * scale < 0.1 ? scale : 0.0f;
                 }
               });
}

void haar_features(const HaarFeatures& k) {
  const int64_t chunks = (k.patches + kChunk - 1) / kChunk, blocks = (k.features + kFeatures - 1) / kFeatures;
  parallel_for(k.ws, chunks * blocks, 0.7 * kChunk * kFeatures, [&](int64_t task, int) {
    const int64_t begin = task / blocks * kChunk, size = at_most(kChunk, k.patches - begin);
    const int64_t first = task % blocks * kFeatures;
    const int32_t* sums = k.sums + begin;
    for (int64_t f = first; f < at_most(first + kFeatures, k.features); ++f) {
      const float* weight = k.weights + 3 * f;
      Corners at[3];
      for (int r = 0; r < 3; ++r) {
        at[r] = corners(k.rects + 12 * f + 4 * r, k.width);
        at[r] = {at[r].a * k.patches, at[r].b * k.patches, at[r].c * k.patches, at[r].d * k.patches};
      }
      float* out = k.out + f * k.patches + begin;
      const auto rows = [&](auto n_rects) __attribute__((always_inline)) {
        for_vectors<float>(size, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
          Floats value = {};
          EINKORN_UNROLL for (int r = 0; r < n_rects(); ++r) {
            const Ints s = load_n(sums + at[r].a + i, n) - load_n(sums + at[r].b + i, n) -
                           load_n(sums + at[r].c + i, n) + load_n(sums + at[r].d + i, n);
            value = r == 0 ? to_float(s) * weight[0] : value + to_float(s) * weight[r];
          }
          store_n(out + i, n, value * load_n(k.scale + begin + i, n));
        });
      };
      if (weight[2] == 0)
        rows([]() constexpr { return 2; });
      else
        rows([]() constexpr { return 3; });
    }
  });
}

}  // namespace einkorn::EINKORN_ISA
