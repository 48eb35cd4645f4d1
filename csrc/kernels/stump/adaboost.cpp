// A round's new weights: the error of the stump in a first pass over the rows, new weights in a second.
//
// The sum that the new weights are divided by follows from the sums of right and wrong rows, so a third pass is not needed. What
// the stump says of a row is found twice; a byte a row written and read again would cost as much.

#include "kernels/instantiate.h"
#include "kernels/stump/stump.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kLeast = 0x1p-52;
constexpr double kMostStep = 700;  // of an exponent
constexpr int64_t kPiece = 2048;   // rows whose flags lie on the stack

// Sums of a block: weights of right and wrong rows from elsewhere, then of our own; rows on the left.
enum Sum { kSourceRight, kSourceWrong, kRight, kWrong, kLeft, kSums };
static_assert(kSums == kAdaBoostSums);

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
    double* sum = partial + block * kSums;
    for (int s = 0; s < kSums; ++s) sum[s] = 0;
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
  double sum[kSums] = {};
  for (int64_t b = 0; b < blocks; ++b)
    for (int s = 0; s < kSums; ++s) sum[s] += partial[b * kSums + s];

  const double error = sum[kWrong] / (sum[kRight] + sum[kWrong]);
  const double classes = static_cast<double>(k.classes);
  k.stats[0] = error;
  k.stats[1] = 0;
  k.stats[2] = __builtin_nan("");
  k.stats[3] = sum[kLeft];
  const double chance = 1 - 1 / classes;
  double bounded = error;
  if (k.error_floor > 0) {
    bounded = error > k.error_floor ? error : k.error_floor;
    bounded = bounded < chance - k.error_floor ? bounded : chance - k.error_floor;
  }
  if (!(bounded > 0)) {
    k.stats[1] = error <= 0 ? 1.0 : error;
    return;
  }
  if (bounded >= chance) return;
  const double step = k.learning_rate * (::log((1 - bounded) / bounded) + ::log(classes - 1));
  // Beyond exp(700) all weights are divided by it first: then it is the others that vanish, and nothing overflows.
  const bool huge = step > kMostStep && sum[kWrong] > 0;
  const double factor = huge ? 1 : ::exp(step < kMostStep ? step : kMostStep), rest = huge ? ::exp(-step) : 1;
  const double normalizer =
      (sum[kSourceRight] + sum[kSourceWrong] * k.source_factor + sum[kRight]) * rest + sum[kWrong] * factor;
  k.stats[1] = step;
  k.stats[2] = huge ? __builtin_inf() : normalizer;
  const bool is_signed = k.classes == 2;
  parallel_for(k.ws, blocks, 0.5 * kStumpBlock, [&](int64_t block, int) {
    for_pieces(k, block, [&](int64_t begin, int64_t size, const uint8_t* is_wrong, const uint8_t*) {
      const double right = rest / normalizer;
      const double wrong = (begin < k.source ? k.source_factor * rest : factor) / normalizer;
      double* weights = k.weights + begin;
      float* signed_weights = k.signed_weights + begin;
      const int32_t* target = k.target + begin;
      for (int64_t i = 0; i < size; ++i) {
        const double w = weights[i] * (is_wrong[i] != 0 ? wrong : right);
        weights[i] = w < kLeast ? kLeast : w;
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
