// The scratch of a launch of convolution, for the caller to reserve.

#pragma once

#include "kernels/conv/conv_grad_plan.h"

namespace einkorn {
inline namespace EINKORN_ISA {

struct ConvParts {
  template <class T>
  ConvParts(Carver& c, const Conv2dForward<T>& k) {
    with_forward_scratch(c, k, [](const auto&) {});
  }
  template <class T>
  ConvParts(Carver& c, const Conv2dInputGrad<T>& k) {
    with_input_grad_scratch(c, k, [](const auto&) {});
  }
  template <class T>
  ConvParts(Carver& c, const Conv2dTranspose<T>& k) {
    with_input_grad_scratch(c, k, [](const auto&) {});
  }
  template <class T>
  ConvParts(Carver& c, const Conv2dWeightGrad<T>& k) {
    with_weight_grad_scratch(c, k, [](const auto&) {});
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
