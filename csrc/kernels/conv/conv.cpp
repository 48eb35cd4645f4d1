// Convolution: choosing the method, and the input gradient as a convolution.
//
// Input gradient. Pixel i of gx collects from output y wherever  i = y * stride + r * dilation - pad. For the pixels of one phase,
// i = phase + j * stride, the taps r with  (phase + pad - r * dilation) divisible by the stride  see output  y = j + that quotient:
// a sum over taps at step 1, written at step `stride`. So stride s gives s * s convolutions with a share of the taps each, and
// none multiplies a zero that stride inserted. Stride 1 has one phase, with all taps.

#include "kernels/conv/conv.h"

#include "kernels/conv/conv_taps.h"
#include "kernels/instantiate.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T, class Parts>
void convolve_taps(const ConvShape& s, const TapConvolution<T>& c, const Parts& scratch, const Workspace& ws) {
  if constexpr (Parts::kMethod == ConvMethod::batch)
    convolve_by_batch(c, scratch, ws);
  else if constexpr (Parts::kMethod == ConvMethod::gemm)
    convolve_by_gemm(&c, 1, scratch, ws);
  else if (is_depthwise(s))
    convolve_depthwise(c, scratch, ws);
  else
    convolve_directly(c, scratch, ws);
}

}  // namespace

template <class T>
void conv2d_forward(const Conv2dForward<T>& k) {
  const ConvShape& s = k.shape;
  Carver carver{k.ws.scratch};
  with_forward_scratch(carver, k, [&]<class Parts>(const Parts& scratch) {
    if constexpr (Parts::kMethod == ConvMethod::winograd)
      return convolve_by_winograd<T>({k.out, k.x, k.w, k.bias, k.activation, s.N, s.C, s.K, s.H, s.W, s.OH, s.OW,
                                      s.pad_h, s.pad_w, s.C * 9, 9, false},
                                     scratch, k.ws);
    else if constexpr (Parts::kMethod == ConvMethod::strided)
      return convolve_strided_by_winograd<T>({k.out, k.x, k.w, k.bias, k.activation, s.N, s.C, s.K, s.H, s.W, s.OH,
                                              s.OW, s.C * s.R * s.S, s.R * s.S, static_cast<int>(s.R), false},
                                             scratch, k.ws);
    else
      convolve_taps(s, forward_taps<T>({k.out, k.x, k.w, k.bias, k.activation}, s, scratch.taps), scratch, k.ws);
  });
}
EINKORN_INSTANTIATE(conv2d_forward, Conv2dForward)

namespace {

// out[n, c', i, j] = act(bias[c'] + what every pixel of `in` that sees it sends there).
template <class T, template <class> class Args>
void convolve_back(const Args<T>& k, T* out, const T* in, const T* bias, Activation activation) {
  const ConvShape& s = k.shape;
  Carver carver{k.ws.scratch};
  with_input_grad_scratch(carver, k, [&]<class Parts>(const Parts& scratch) {
    if constexpr (Parts::kMethod == ConvMethod::winograd)
      return convolve_by_winograd<T>({out, in, k.w, bias, activation, s.N, s.K, s.C, s.OH, s.OW, s.H, s.W, 2 - s.pad_h,
                                      2 - s.pad_w, 9, s.C * 9, true},
                                     scratch, k.ws);
    else if constexpr (Parts::kMethod == ConvMethod::strided)
      return convolve_strided_by_winograd<T>({out, in, k.w, bias, activation, s.N, s.K, s.C, s.OH, s.OW, s.H, s.W,
                                              s.R * s.S, s.C * s.R * s.S, static_cast<int>(s.R), true},
                                             scratch, k.ws);
    else {
      // Phases follow one another; by matrix products a few go together, which read the weights once for all.
      TapConvolution<T> phases[kPhasesTogether];
      Tap* free = scratch.taps;
      int count = 0;
      const int64_t all = phases_in_all(s);
      for (int64_t phase = 0; phase < all; ++phase) {
        phases[count] = phase_taps<T>({out, in, k.w, bias, activation}, s, phase, free);
        free += phases[count++].taps;
        const bool last = phase + 1 == all;
        if constexpr (Parts::kMethod == ConvMethod::gemm) {
          if (count < kPhasesTogether && !last) continue;
          convolve_by_gemm(phases, count, scratch, k.ws);
        } else {
          convolve_taps(s, phases[0], scratch, k.ws);
        }
        free = scratch.taps;
        count = 0;
      }
    }
  });
}

}  // namespace

template <class T>
void conv2d_input_grad(const Conv2dInputGrad<T>& k) {
  convolve_back<T>(k, k.gx, k.gy, nullptr, Activation::none);
}
EINKORN_INSTANTIATE(conv2d_input_grad, Conv2dInputGrad)

template <class T>
void conv2d_transpose(const Conv2dTranspose<T>& k) {
  convolve_back<T>(k, k.out, k.x, k.bias, k.activation);
}
EINKORN_INSTANTIATE(conv2d_transpose, Conv2dTranspose)

template <class T>
void conv2d_weight_grad(const Conv2dWeightGrad<T>& k) {
  Carver carver{k.ws.scratch};
  with_weight_grad_scratch(carver, k, [&]<class Parts>(const Parts& scratch) {
    if constexpr (Parts::kMethod == ConvMethod::winograd) {
      weight_grad_by_winograd(k, scratch);
      if (k.gbias != nullptr) bias_grad(k);
    } else if constexpr (Parts::kMethod == ConvMethod::strided) {
      weight_grad_strided(k, scratch);
      if (k.gbias != nullptr) bias_grad(k);
    } else if constexpr (Parts::kMethod == ConvMethod::direct) {
      weight_grad_depthwise(k, scratch);
    } else {
      weight_grad_by_units(k, scratch);
    }
  });
}
EINKORN_INSTANTIATE(conv2d_weight_grad, Conv2dWeightGrad)

}  // namespace einkorn::EINKORN_ISA
