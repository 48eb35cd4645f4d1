// The fused activations of kernels/activation.h on one number.

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

}  // namespace einkorn::cuda
