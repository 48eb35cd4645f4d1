// The types that arrays are kept in, and the ones that kernels compute in: of bfloat16, handed over as its bits, float. A kernel
// that takes bfloat16 as it is has a line of its own in kernel_list.h; its struct is Args<uint16_t>, in which what is small and
// summed in (weights, statistics, their gradients) is of Number<T>.

#pragma once

#include <stdint.h>

namespace einkorn {

template <class T>
struct NumberOf {
  using type = T;
};
template <>
struct NumberOf<uint16_t> {
  using type = float;
};

template <class T>
using Number = typename NumberOf<T>::type;

}  // namespace einkorn
