// copy, cast, fill: moving numbers without changing them.
//
//   copy   out = x                 same type, any strides on both sides
//   cast   out = (T) x             float from double or double from float
//   fill   out = value
//
// Shapes      out and x alike, 0 to 8 dimensions; zero sizes do nothing.
// Aliasing    copy: out and x may be the same array, not overlap otherwise.
// NaN         copied; payloads may be lost by cast.
// Writes      every element of out, and nothing else. Same bits for any thread count.
// Cost        0 FLOP; copy and cast move 2 n elements, fill n.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Copy {
  T* out;
  const T* x;
  Layout<2> layout;
  Workspace ws;
};

template <class T>
struct OtherFloat;
template <>
struct OtherFloat<float> {
  using type = double;
};
template <>
struct OtherFloat<double> {
  using type = float;
};

template <class T>
struct Cast {
  T* out;
  const typename OtherFloat<T>::type* x;
  Layout<2> layout;
  Workspace ws;
};

template <class T>
struct Fill {
  T* out;
  Layout<1> layout;
  T value;
  Workspace ws;
};

#define EINKORN_COPY_KERNELS(X) \
  X(copy, Copy)                 \
  X(cast, Cast)                 \
  X(fill, Fill)

EINKORN_FLOAT_TABLE(CopyKernels, EINKORN_COPY_KERNELS)

}  // namespace einkorn
