// A round's new weights: the error of the stump in a first pass over the rows, new weights in a second.
//
// The sum that the new weights are divided by follows from the sums of right and wrong rows, so a third pass is not needed. What
// the stump says of a row is found twice; a byte a row written and read again would cost as much.

#include "kernels/instantiate.h"
#include "kernels/stump/adaboost_step.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kPiece = 2048;  // rows whose flags lie on the stack

// What h says of a block of rows, as a flag for each: it is wrong, and the row went left.
template <class T>
EINKORN_INLINE void judge(const AdaBoostUpdate<T>& k, int64_t begin, int64_t size, uint8_t* wrong, uint8_t* left) {
  const int32_t* target = k.target + begin;
  if (k.x == nullptr) {
    const int32_t* predicted = k.predicted + begin;
    for (int64_t i = 0; i < size; ++i) wrong[i] = predicted[i] != target[i];
    memset(left, 0, static_cast<size_t>(size));
    return;
  }
  const T* x = k.x + begin * k.x_stride;
  const auto stump = [&](int64_t step) __attribute__((always_inline)) {
    for (int64_t i = 0; i < size; ++i) {
      const T value = x[i * step];
      const bool goes_left = (static_cast<double>(value) <= k.threshold) | ((value != value) & k.missing_left);
      left[i] = goes_left;
      wrong[i] = (goes_left ? k.left : k.right) != target[i];
    }
  };
  if (k.x_stride == 1)
    stump(1);
  else
    stump(k.x_stride);
}

// body(first row, rows, wrong, left) for pieces of block `block` that lie on one side of row `source`.
template <class T, class Body>
EINKORN_INLINE void for_pieces(const AdaBoostUpdate<T>& k, int64_t block, const Body& body) {
  uint8_t wrong[kPiece], left[kPiece];
  const int64_t end = k.rows - block * kStumpBlock < kStumpBlock ? k.rows : (block + 1) * kStumpBlock;
  for (int64_t begin = block * kStumpBlock; begin < end;) {
    int64_t stop = end - begin < kPiece ? end : begin + kPiece;
    if (begin < k.source && k.source < stop) stop = k.source;
    judge(k, begin, stop - begin, wrong, left);
    body(begin, stop - begin, wrong, left);
    begin = stop;
  }
}

}  // namespace

template <class T>
void adaboost_update(const AdaBoostUpdate<T>& k) {
  const int64_t blocks = stump_blocks(k.rows);
  double* const partial = carve<AdaBoostParts>(k).partial;
  parallel_for(k.ws, blocks, 0.5 * kStumpBlock, [&](int64_t block, int) {
    double* sum = partial + block * kAdaBoostSums;
    for (int s = 0; s < kAdaBoostSums; ++s) sum[s] = 0;
    for_pieces(k, block, [&](int64_t begin, int64_t size, const uint8_t* is_wrong, const uint8_t* is_left) {
      const double* w = k.weights + begin;
      double all[8] = {}, wrong[8] = {};
      int64_t lefts = 0, i = 0;
      for (; i + 8 <= size; i += 8)
        for (int l = 0; l < 8; ++l) {
          all[l] += w[i + l];
          wrong[l] += is_wrong[i + l] != 0 ? w[i + l] : 0.0;
        }
      for (; i < size; ++i) {
        all[0] += w[i];
        wrong[0] += is_wrong[i] != 0 ? w[i] : 0.0;
      }
      for (i = 0; i < size; ++i) lefts += is_left[i];
      double missed = 0, right = 0;
      for (int l = 0; l < 8; ++l) {
        missed += wrong[l];
        right += all[l] - wrong[l];
      }
      const int side = begin < k.source ? kSourceRight : kRight;
      sum[side] += right;
      sum[side + 1] += missed;
      sum[kLeft] += static_cast<double>(lefts);
    });
  });
  double sum[kAdaBoostSums] = {};
  for (int64_t b = 0; b < blocks; ++b)
    for (int s = 0; s < kAdaBoostSums; ++s) sum[s] += partial[b * kAdaBoostSums + s];

  const AdaBoostFactors factors = adaboost_step(k, sum);
  if (factors.right == 0 && factors.wrong == 0) return;
  const bool is_signed = k.classes == 2;
  parallel_for(k.ws, blocks, 0.5 * kStumpBlock, [&](int64_t block, int) {
    for_pieces(k, block, [&](int64_t begin, int64_t size, const uint8_t* is_wrong, const uint8_t*) {
      const double right = factors.right, wrong = begin < k.source ? factors.source_wrong : factors.wrong;
      double* weights = k.weights + begin;
      float* signed_weights = k.signed_weights + begin;
      const int32_t* target = k.target + begin;
      for (int64_t i = 0; i < size; ++i) {
        const double w = weights[i] * (is_wrong[i] != 0 ? wrong : right);
        weights[i] = w < kLeastWeight ? kLeastWeight : w;
      }
      for (int64_t i = 0; i < size; ++i) {
        const float v = static_cast<float>(weights[i]);
        signed_weights[i] = is_signed & (target[i] == 0) ? -v : v;
      }
    });
  });
}

EINKORN_INSTANTIATE(adaboost_update, AdaBoostUpdate)

}  // namespace einkorn::EINKORN_ISA
