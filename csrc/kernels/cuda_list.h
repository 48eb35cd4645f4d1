// The kernels that have a CUDA body, in the order of kernel_list.h. What is missing here is not on this engine.

#pragma once

#include "kernels/kernel_list.h"

#define EINKORN_CUDA_KERNELS(X) \
  X(copy, Copy)                 \
  X(cast, Cast)                 \
  X(fill, Fill)                 \
  EINKORN_UNARY_KERNELS(X)      \
  EINKORN_UNARY_GRAD_KERNELS(X) \
  EINKORN_BINARY_KERNELS(X)     \
  X(where, Where)               \
  X(clip, Clip)                 \
  EINKORN_POOL_KERNELS(X)       \
  EINKORN_SOFTMAX_KERNELS(X)
