// activate(v, activation): the fused activations on a vector.

#pragma once

#include "kernels/activation.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class V>
EINKORN_INLINE V activate(V v, Activation activation) {
  using T = __typeof__(v[0] + 0);
  switch (activation) {
    case Activation::none:
      return v;
    case Activation::relu:
      return v < 0 ? V{} : v;
    case Activation::leaky_relu:
      return v < 0 ? v * static_cast<T>(kLeakySlope) : v;
    case Activation::sigmoid:
      return sigmoid(v);
    case Activation::tanh:
      return tanh(v);
  }
  return v;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
