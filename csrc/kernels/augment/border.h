// Where pixels beyond an image's border are: what the bodies of the CPU and of the GPU have in common.

#pragma once

#include <stdint.h>

#include "kernels/scalar.h"

namespace einkorn {
inline namespace EINKORN_ISA {
namespace augment {

constexpr double kFar = 2097152.0;  // 2^21: places beyond are taken for this one

// The pixel that stands at `at` along an axis of n pixels, by a warp's border (augment.h), or -1 for the fill.
EINKORN_SCALAR int64_t place_of(int64_t at, int64_t n, int border) {
  if (at >= 0 && at < n) return at;
  if (border == 0) return -1;
  if (border == 1) return at < 0 ? 0 : n - 1;
  const int64_t period = border == 2 ? 2 * n : border == 3 ? 2 * n - 2 : n;
  if (period == 0) return 0;
  const int64_t r = (at % period + period) % period;
  if (r < n) return r;
  return border == 2 ? period - 1 - r : period - r;
}

}  // namespace augment
}  // namespace EINKORN_ISA
}  // namespace einkorn
