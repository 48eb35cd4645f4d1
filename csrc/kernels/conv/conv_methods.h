// The methods between which conv.cpp chooses. Each lives in its own file, with its idea.

#pragma once

#include "kernels/conv/conv_grad_plan.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// A sum over taps on a grid of positions, which both the forward pass and the input gradient are:
//
//   out[n, o, first_y + y * out_step_y, first_x + x * out_step_x] =
//       act(bias[o] + sum over i, t of  w[o, i, t] * in[n, i, y * in_step_y + dy[t], x * in_step_x + dx[t]])
//
// o and i count channels within a group; pixels outside the input are zero. w[o, i, t] lies at
// group * w_group_step + o * w_out_step + i * w_in_step + tap[t].index.
template <class T>
struct TapConvolution {
  T* out;
  const T* in;
  const T* w;
  const Number<T>* bias;
  Activation activation;
  int64_t images, groups, in_channels, out_channels;
  int64_t in_h, in_w, out_h, out_w, grid_h, grid_w;
  int64_t in_step_y, in_step_x, out_step_y, out_step_x, first_y, first_x;
  int64_t w_group_step, w_out_step, w_in_step;
  const Tap* tap;
  int taps;
  bool touching_only;  // a method may leave out taps outside the input rather than multiply zeros
};

// `count` convolutions of the same arrays that differ in their taps and in where they write: the phases of an input gradient.
template <class T>
void convolve_by_gemm(const TapConvolution<T>* phases, int count, const GemmScratch<T>& scratch, const Workspace& ws);

template <class T>
void convolve_directly(const TapConvolution<T>& c, const DirectScratch<T>& scratch, const Workspace& ws);

// One channel in and one out in each group.
template <class T>
void convolve_depthwise(const TapConvolution<T>& c, const DirectScratch<T>& scratch, const Workspace& ws);

template <class T>
void weight_grad_depthwise(const Conv2dWeightGrad<T>& k, const DepthwiseGradScratch<T>& scratch);

template <class T>
void convolve_by_batch(const TapConvolution<T>& c, const BatchScratch<T>& scratch, const Workspace& ws);

// A 3x3 convolution at stride 1 without dilation or groups, forward or (flip) the input gradient as one.
// w[o, i, t] lies at o * w_out_step + i * w_in_step + t, read backwards in t when flipped.
template <class T>
struct WinogradConvolution {
  T* out;
  const T* in;
  const T* w;
  const T* bias;
  Activation activation;
  int64_t images, in_channels, out_channels;
  int64_t in_h, in_w, out_h, out_w, pad_y, pad_x;
  int64_t w_out_step, w_in_step;
  bool flip;
};

template <class T>
void convolve_by_winograd(const WinogradConvolution<T>& c, const WinogradScratch<T>& scratch, const Workspace& ws);

// A convolution with 4x4 or 3x3 kernels (`size`) at stride 2 and padding 1, forward or `back` (its input gradient, a transposed convolution).
// w[o, i, t] lies at o * w_out_step + i * w_in_step + t.
template <class T>
struct StridedConvolution {
  T* out;
  const T* in;
  const T* w;
  const T* bias;
  Activation activation;
  int64_t images, in_channels, out_channels;
  int64_t in_h, in_w, out_h, out_w;
  int64_t w_out_step, w_in_step;
  int size;
  bool back;
};

template <class T>
void convolve_strided_by_winograd(const StridedConvolution<T>& c, const StridedScratch<T>& scratch,
                                  const Workspace& ws);

template <class T>
void weight_grad_by_winograd(const Conv2dWeightGrad<T>& k, const WinogradGradScratch<T>& scratch);

template <class T>
void weight_grad_strided(const Conv2dWeightGrad<T>& k, const StridedGradScratch<T>& scratch);

// Also gbias.
template <class T>
void weight_grad_by_units(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch);

// gbias[k] = sum over n, y, x of gy.
template <class T>
void bias_grad(const Conv2dWeightGrad<T>& k);

}  // namespace EINKORN_ISA
}  // namespace einkorn
