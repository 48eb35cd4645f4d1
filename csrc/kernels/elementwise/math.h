// Mathematical functions element by element, and questions whose answers are yes and no.
//
//   unary        out[i] = f(x[i])                        with the structs of elementwise.h
//   binary       out[i] = f(a[i], b[i])                  broadcasting arrives as zero strides
//   compare      out[i] = a[i] ? b[i]    as 0 or 1       kind: 0 ==  1 !=  2 <  3 <=  4 >  5 >=  6 and  7 or  8 xor (of != 0)
//   classify     out[i] = what x[i] is   as 0 or 1       kind: 0 NaN  1 infinite  2 finite  3 not 0  4 +inf  5 -inf  6 sign bit set
//
// round is to the nearest, halves to the even one; fmod has the sign of a, remainder that of b; frac is x - trunc(x).
//
// Layout      any strides.
// Aliasing    out may be the same array as an input of the same layout and type; no other overlap.
// Zero sizes  nothing happens.       NaN  propagates; comparisons with NaN are no, but for !=.
// Writes      every element of out. Same bits for any thread count.
// Cost        float: exp2, expm1, log1p, log2, rsqrt and rounding are vectors' work, 2 to 30 FLOPs an element; the others, and
//             all of double, call the C library for each element. Bytes: every operand once.

#pragma once

#include "kernels/elementwise/elementwise.h"

namespace einkorn {

template <class T>
struct Compare {
  uint8_t* out;
  const T* a;
  const T* b;
  Layout<3> layout;
  int kind;
  Workspace ws;
};

template <class T>
struct Classify {
  uint8_t* out;
  const T* x;
  Layout<2> layout;
  int kind;
  Workspace ws;
};

#define EINKORN_MATH_UNARY_KERNELS(X) \
  X(exp2, Unary)                      \
  X(expm1, Unary)                     \
  X(log2, Unary)                      \
  X(log10, Unary)                     \
  X(log1p, Unary)                     \
  X(rsqrt, Unary)                     \
  X(floor, Unary)                     \
  X(ceil, Unary)                      \
  X(round, Unary)                     \
  X(trunc, Unary)                     \
  X(frac, Unary)                      \
  X(tan, Unary)                       \
  X(asin, Unary)                      \
  X(acos, Unary)                      \
  X(atan, Unary)                      \
  X(sinh, Unary)                      \
  X(cosh, Unary)                      \
  X(asinh, Unary)                     \
  X(acosh, Unary)                     \
  X(atanh, Unary)                     \
  X(erfc, Unary)

#define EINKORN_MATH_BINARY_KERNELS(X) \
  X(atan2, Binary)                     \
  X(logaddexp, Binary)                 \
  X(fmod, Binary)                      \
  X(remainder, Binary)                 \
  X(hypot, Binary)                     \
  X(copysign, Binary)

#define EINKORN_MATH_KERNELS(X)  \
  EINKORN_MATH_UNARY_KERNELS(X)  \
  EINKORN_MATH_BINARY_KERNELS(X) \
  X(compare, Compare)            \
  X(classify, Classify)

EINKORN_FLOAT_TABLE(MathKernels, EINKORN_MATH_KERNELS)

}  // namespace einkorn
