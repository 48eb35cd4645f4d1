// A round's new weights: the error of the stump in a first pass over the rows, new weights in a second.
//
// The sum that the new weights are divided by follows from the sums of right and wrong rows, so a third pass is not needed. What
// the stump says of a row is found twice; a byte a row written and read again would cost as much.

#include "kernels/instantiate.h"
#include "kernels/stump.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kLeast = 0x1p-52;

// Sums of a block: weights of right and wrong rows from elsewhere, then of our own; rows on the left.
enum Sum { kSourceRight, kSourceWrong, kRight, kWrong, kLeft, kSums };

template <class T>
EINKORN_INLINE bool goes_left(const AdaBoostUpdate<T>& k, int64_t i) {
  const double x = static_cast<double>(k.x[i * k.x_stride]);
  return (x <= k.threshold) | ((x != x) & k.missing_left);
}

// body(row, whether h is wrong there, whether the row went left) for rows of a block.
template <class T, class Body>
EINKORN_INLINE void for_rows(const AdaBoostUpdate<T>& k, int64_t begin, int64_t end, const Body& body) {
  if (k.x == nullptr) {
    for (int64_t i = begin; i < end; ++i) body(i, k.predicted[i] != k.target[i], false);
  } else {
    for (int64_t i = begin; i < end; ++i) {
      const bool left = goes_left(k, i);
      body(i, (left ? k.left : k.right) != k.target[i], left);
    }
  }
}

}  // namespace

template <class T>
void adaboost_update(const AdaBoostUpdate<T>& k) {
  const int64_t blocks = stump_blocks(k.rows);
  double* partial = reinterpret_cast<double*>(k.ws.scratch);
  parallel_for(k.ws, blocks, 1.0 * kStumpBlock, [&](int64_t block, int) {
    const int64_t begin = block * kStumpBlock;
    const int64_t end = k.rows - begin < kStumpBlock ? k.rows : begin + kStumpBlock;
    const int64_t ours = k.source < begin ? begin : (k.source < end ? k.source : end);  // the first row that is ours
    double* sum = partial + block * kSums;
    for (int s = 0; s < kSums; ++s) sum[s] = 0;
    const auto add = [&](int64_t first, int64_t last, int where) __attribute__((always_inline)) {
      double all[4] = {}, wrong[4] = {};
      int64_t lefts = 0;
      for_rows(k, first, last, [&](int64_t i, bool missed, bool left) __attribute__((always_inline)) {
        const double w = k.weights[i];
        all[i & 3] += w;
        wrong[i & 3] += missed ? w : 0;
        lefts += left;
      });
      sum[where + 1] += (wrong[0] + wrong[1]) + (wrong[2] + wrong[3]);
      sum[where] += ((all[0] - wrong[0]) + (all[1] - wrong[1])) + ((all[2] - wrong[2]) + (all[3] - wrong[3]));
      sum[kLeft] += static_cast<double>(lefts);
    };
    if (begin < ours) add(begin, ours, kSourceRight);
    add(ours, end, kRight);
  });
  double sum[kSums] = {};
  for (int64_t b = 0; b < blocks; ++b)
    for (int s = 0; s < kSums; ++s) sum[s] += partial[b * kSums + s];

  const double error = sum[kWrong] / (sum[kRight] + sum[kWrong]);
  const double classes = static_cast<double>(k.classes);
  k.stats[0] = error;
  k.stats[1] = 0;
  k.stats[2] = __builtin_nan("");
  k.stats[3] = sum[kLeft];
  if (!(error > 0)) {
    k.stats[1] = error <= 0 ? 1.0 : error;
    return;
  }
  if (error >= 1 - 1 / classes) return;
  const double step = k.learning_rate * (::log((1 - error) / error) + ::log(classes - 1));
  const double factor = ::exp(step);
  const double normalizer =
      sum[kSourceRight] + sum[kSourceWrong] * k.source_factor + sum[kRight] + sum[kWrong] * factor;
  k.stats[1] = step;
  k.stats[2] = normalizer;
  const double right = 1 / normalizer, wrong = factor / normalizer, source_wrong = k.source_factor / normalizer;
  const bool is_signed = k.classes == 2;
  parallel_for(k.ws, blocks, 1.0 * kStumpBlock, [&](int64_t block, int) {
    const int64_t begin = block * kStumpBlock;
    const int64_t end = k.rows - begin < kStumpBlock ? k.rows : begin + kStumpBlock;
    for_rows(k, begin, end, [&](int64_t i, bool missed, bool) __attribute__((always_inline)) {
      const double w = k.weights[i] * (missed ? (i < k.source ? source_wrong : wrong) : right);
      k.weights[i] = w < kLeast ? kLeast : w;
      const float v = static_cast<float>(k.weights[i]);
      k.signed_weights[i] = is_signed & (k.target[i] == 0) ? -v : v;
    });
  });
}

EINKORN_INSTANTIATE(adaboost_update, AdaBoostUpdate)

}  // namespace einkorn::EINKORN_ISA
