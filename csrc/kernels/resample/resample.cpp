// Interpolation by tables, a row of outputs at a time.
//
//   rows of x under an output row        one row, in L1           outputs, a vector at a time
//
//      a a a a a a a   * 0.25
//      b b b b b b b   * 0.75     ->     r r r r r r r     ->     for each tap: lanes picked from two neighbouring vectors
//
//   When an image grows, the pixels that a vector of outputs reads lie within two vectors, so that taps are permutations in
//   registers; where they do not (an image that shrinks), lanes are read one by one.

#include "kernels/resample/resample.h"

#include "kernels/instantiate.h"
#include "simd/lanes.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
EINKORN_INLINE IntVec<T> load_indices(const int32_t* p, int64_t n) {
  IntVec<T> v = {};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

// Outputs j, ..., j + n - 1 of a row; its taps lie taps apart by out_width.
template <class T>
EINKORN_INLINE Vec<T> sum_taps(const Resample<T>& k, const T* row, int64_t j, int64_t n) {
  constexpr int L = kLanes<T>;
  Vec<T> sum = {};
  for (int64_t t = 0; t < k.column_taps; ++t) {
    const int32_t* const at = k.columns + t * k.out_width + j;
    const T* const weight = k.column_weights + t * k.out_width + j;
    int32_t low = INT32_MAX, high = -1;
    bool all = true;
    for (int64_t i = 0; i < n; ++i) {
      if (at[i] < 0) {
        all = false;
        continue;
      }
      low = at[i] < low ? at[i] : low;
      high = at[i] > high ? at[i] : high;
    }
    if (high < 0) continue;
    if (kFastPick<T> && all && high - low < 2 * L && low + 2 * L <= k.width) {
      const IntVec<T> lanes = load_indices<T>(at, n) - low;
      sum += load_n(weight, n) * pick<T>(load(row + low), load(row + low + L), lanes);
    } else {
      for (int64_t i = 0; i < n; ++i)
        if (at[i] >= 0) sum[i] += weight[i] * row[at[i]];
    }
  }
  return sum;
}

}  // namespace

template <class T>
void resample(const Resample<T>& k) {
  const ResampleParts<T> scratch = carve<ResampleParts<T>>(k);
  const int64_t rows = k.planes * k.out_height;
  const int64_t taps = (k.rows == nullptr ? 1 : k.row_taps) * k.width + k.column_taps * k.out_width + 1;
  const int64_t each = taps < 16384 ? 16384 / taps : 1;
  parallel_for(k.ws, (rows + each - 1) / each, 0.5 * static_cast<double>(taps * each), [&](int64_t task, int slot) {
    const int64_t end = (task + 1) * each < rows ? (task + 1) * each : rows;
    for (int64_t r = task * each; r < end; ++r) {
      const int64_t plane = r / k.out_height, i = r % k.out_height;
      const T* const x = k.x + plane * k.height * k.width;
      T* const out = k.out + r * k.out_width;
      const T* row = x + i * k.width;
      if (k.rows != nullptr) {
        T* const sums = k.columns == nullptr ? out : scratch.row[slot];
        for_vectors<T>(k.width, [&](int64_t j, int64_t n) {
          Vec<T> sum = {};
          for (int64_t s = 0; s < k.row_taps; ++s) {
            const int32_t at = k.rows[s * k.out_height + i];
            if (at >= 0) sum += k.row_weights[s * k.out_height + i] * load_n(x + at * k.width + j, n);
          }
          store_n(sums + j, n, sum);
        });
        row = sums;
      }
      if (k.columns != nullptr)
        for_vectors<T>(k.out_width, [&](int64_t j, int64_t n) { store_n(out + j, n, sum_taps(k, row, j, n)); });
      else if (k.rows == nullptr)
        for_vectors<T>(k.width, [&](int64_t j, int64_t n) { store_n(out + j, n, load_n(row + j, n)); });
    }
  });
}
EINKORN_INSTANTIATE(resample, Resample)

}  // namespace einkorn::EINKORN_ISA
