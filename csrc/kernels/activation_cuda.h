// The fused activations of kernels/activation.h, and their derivatives, on one number.

#pragma once

#include <math.h>

#include "kernels/activation.h"
#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

template <class T>
__device__ __forceinline__ T activate(T v, Activation activation) {
  switch (activation) {
    case Activation::none:
      return v;
    case Activation::relu:
      return v < 0 ? T{0} : v;
    case Activation::leaky_relu:
      return v < 0 ? v * static_cast<T>(kLeakySlope) : v;
    case Activation::sigmoid:
      return 1 / (1 + ::exp(-v));
    case Activation::tanh:
      return ::tanh(v);
  }
  return v;
}

// g times the derivative, which follows from the result y.
template <class T>
__device__ __forceinline__ T activation_grad(T g, T y, Activation activation) {
  switch (activation) {
    case Activation::none:
      return g;
    case Activation::relu:
      return y > 0 ? g : T{0};
    case Activation::leaky_relu:
      return y > 0 ? g : g * static_cast<T>(kLeakySlope);
    case Activation::sigmoid:
      return g * (y * (1 - y));
    case Activation::tanh:
      return g * (1 - y * y);
  }
  return g;
}

}  // namespace einkorn::cuda
