// The fused activations on a vector, and their gradients.

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

// g times the derivative, which follows from the result y.
template <class V>
EINKORN_INLINE V activation_grad(V g, V y, Activation activation) {
  using T = __typeof__(g[0] + 0);
  switch (activation) {
    case Activation::none:
      return g;
    case Activation::relu:
      return y > 0 ? g : V{};
    case Activation::leaky_relu:
      return y > 0 ? g : g * static_cast<T>(kLeakySlope);
    case Activation::sigmoid:
      return g * (y * (1 - y));
    case Activation::tanh:
      return g * (1 - y * y);
  }
  return g;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
