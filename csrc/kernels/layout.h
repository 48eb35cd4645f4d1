// Where the elements of N arrays of one shape lie: operand 0 is the output.
//
// Strides count elements and may be 0 (broadcast) or negative. Dimensions arrive merged (bind/array.h): size-1 dimensions are
// gone and neighbours that step alike in every operand are one, so a contiguous array of any rank has one dimension here.

#pragma once

#include <stdint.h>

namespace einkorn {

constexpr int kMaxDims = 8;

template <int N>
struct Layout {
  int ndim;  // at least 1
  int64_t shape[kMaxDims];
  int64_t strides[N][kMaxDims];
};

}  // namespace einkorn
