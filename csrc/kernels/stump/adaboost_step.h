// AdaBoost's step from the sums of right and wrong rows, for adaboost.cpp and adaboost.cu.

#pragma once

#include <math.h>

#include "kernels/scalar.h"
#include "kernels/stump/stump.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr double kLeastWeight = 0x1p-52;
constexpr double kMostStep = 700;  // of an exponent

// Sums of a block: weights of right and wrong rows from elsewhere, then of our own; rows on the left.
enum AdaBoostSum { kSourceRight, kSourceWrong, kRight, kWrong, kLeft };
static_assert(kLeft + 1 == kAdaBoostSums);

// What the weights are multiplied by; all 0: they stay.
struct AdaBoostFactors {
  double right, wrong, source_wrong;
};

// Writes k.stats too.
template <class T>
EINKORN_SCALAR AdaBoostFactors adaboost_step(const AdaBoostUpdate<T>& k, const double (&sum)[kAdaBoostSums]) {
  const double error = sum[kWrong] / (sum[kRight] + sum[kWrong]), classes = static_cast<double>(k.classes);
  k.stats[0] = error;
  k.stats[1] = 0;
  k.stats[2] = static_cast<double>(NAN);
  k.stats[3] = sum[kLeft];
  const double chance = 1 - 1 / classes;
  double bounded = error;
  if (k.error_floor > 0) {
    bounded = error > k.error_floor ? error : k.error_floor;
    bounded = bounded < chance - k.error_floor ? bounded : chance - k.error_floor;
  }
  if (!(bounded > 0)) {
    k.stats[1] = error <= 0 ? 1.0 : error;
    return {};
  }
  if (bounded >= chance) return {};
  const double step = k.learning_rate * (::log((1 - bounded) / bounded) + ::log(classes - 1));
  // Beyond exp(700) all weights are divided by it first: then it is the others that vanish, and nothing overflows.
  const bool huge = step > kMostStep && sum[kWrong] > 0;
  const double factor = huge ? 1 : ::exp(step < kMostStep ? step : kMostStep), rest = huge ? ::exp(-step) : 1;
  const double normalizer =
      (sum[kSourceRight] + sum[kSourceWrong] * k.source_factor + sum[kRight]) * rest + sum[kWrong] * factor;
  k.stats[1] = step;
  k.stats[2] = huge ? static_cast<double>(INFINITY) : normalizer;
  return {rest / normalizer, factor / normalizer, k.source_factor * rest / normalizer};
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
