// widen_bf16, narrow_bf16: between bfloat16, which is kept, and float or double, which are computed with.
//
//   widen_bf16    out = x            exact
//   narrow_bf16   out = x            rounded once, to the nearest, ties to even; beyond the largest to infinity
//
// bfloat16 is handed over as its bits, uint16_t, on every engine: none of them need know the type.
//
// Shapes      out and x alike, 0 to 8 dimensions, any strides; zero sizes do nothing.
// Aliasing    none.
// NaN         stays NaN, made quiet; sign and the upper digits of the payload are kept. Subnormal numbers are numbers.
// Writes      every element of out, and nothing else. Same bits for any thread count.
// Cost        0 FLOP; moves n elements of each type.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct WidenBf16 {
  T* out;
  const uint16_t* x;
  Layout<2> layout;
  Workspace ws;
};

template <class T>
struct NarrowBf16 {
  uint16_t* out;
  const T* x;
  Layout<2> layout;
  Workspace ws;
};

#define EINKORN_CAST_KERNELS(X) \
  X(widen_bf16, WidenBf16)      \
  X(narrow_bf16, NarrowBf16)

EINKORN_FLOAT_TABLE(CastKernels, EINKORN_CAST_KERNELS)

}  // namespace einkorn
