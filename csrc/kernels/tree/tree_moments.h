// What regression's moments are measured by, on the CPU (tree_statistics.h) and on the GPU (tree_forest_cuda.h).

#pragma once

#include <float.h>
#include <math.h>

#include "kernels/scalar.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Where a node's targets are centred, near their mean: a multiple of 2^-20 of (a power of two above) their range. Then differences of
// whole numbers, and of all numbers with few digits, are exact. may_be_zero: targets near 0 are not centred.
EINKORN_SCALAR double centre_of(double mean, double least, double most, bool may_be_zero) {
  constexpr int kCentreBits = 20;
  if (may_be_zero && !(least > 0.5 * mean)) return 0;
  const double step = ::ldexp(1.0, ::ilogb(most - least) - kCentreBits);
  return step > 0 ? ::rint(mean / step) * step : mean;
}

// A power of two for which squares of sums neither overflow nor vanish.
EINKORN_SCALAR double unit_of(double range, double weight) {
  const int exponent = -::ilogb(range) - ::ilogb(weight);
  return ::ldexp(1.0, exponent > 1000 ? 1000 : (exponent < -1000 ? -1000 : exponent));
}

// A gain in its own unit; that of squares was found in `unit`.
EINKORN_SCALAR double natural_gain(double found, double unit, bool of_squares) {
  const double natural = of_squares ? found / unit / unit : found;
  return natural < DBL_MAX ? natural : DBL_MAX;
}

// (1 + t) ln(1 + t) - t, by its series where the terms cancel.
EINKORN_SCALAR double poisson_term(double t) {
  return ::fabs(t) < 0x1p-10 ? t * t * (0.5 - t * (1.0 / 6 - t * (1.0 / 12 - t * (1.0 / 20 - t * (1.0 / 30)))))
                             : (1 + t) * ::log1p(t) - t;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
