// Two-dimensional convolution (cross-correlation) and its two gradients.
//
//   forward      out[n,k,y,x]  = act(bias[k] + sum over c,r,s of  w[k,c,r,s] * xpad[n, c', y*stride_h + r*dilation_h - pad_h, ...])
//   input grad   gx[n,c',i,j]  = sum over k,r,s of gy[n,k,y,x] * w[k,c,r,s]   over all (y,x,r,s) that touch pixel (i,j)
//   weight grad  gw[k,c,r,s]   = sum over n,y,x of gy[n,k,y,x] * xpad[n, c', ...]          gbias[k] = sum over n,y,x of gy
//
// with c' = c + (k / (K/groups)) * (C/groups): output channels see the input channels of their group only. xpad is x with zeros
// around it. One-dimensional convolution is H = R = 1.
//
// Layout      all arrays contiguous: x, gx [N, C, H, W]; out, gy [N, K, OH, OW]; w, gw [K, C/groups, R, S]; bias, gbias [K].
// Aliasing    none.
// Zero sizes  N = 0, or no output pixels: empty outputs, gw and gbias all zero. C = 0: out = act(bias). K = 0: gx all zero.
// NaN         propagates. A 3x3 kernel of stride 1 over many channels is computed by Winograd's method. There a NaN reaches the
//             same outputs, but an infinity gives NaN where the sum above gives an infinity; and in the weight gradient a NaN in
//             the two outermost rows or columns of x or gy may reach taps that do not touch it.
// Accumulates in T: forward and input gradient over all channels and taps in one sum, as the formula reads (16 sums of channels by
//             Winograd); the weight gradient in parts of the positions, fixed by the shape.
// Writes      every element of the outputs; gbias may be null. Same bits for any number of threads.
// Exact       for integers, as long as sums stay below 2^22 or so: Winograd F(2x2,3x3) multiplies by halves and quarters only.
// Cost        2 N K OH OW (C/groups) R S FLOPs each (the weight gradient N K OH OW more for the bias); bytes: every operand once.
//
// Scratch     conv_plan.h: ConvParts.

#pragma once

#include <stddef.h>

#include "kernels/activation.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

struct ConvShape {
  int64_t N, C, H, W;  // input
  int64_t K, R, S;     // output channels, kernel height and width
  int64_t OH, OW;      // output height and width
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int64_t groups;
};

template <class T>
struct Conv2dForward {
  T* out;
  const T* x;
  const T* w;
  const T* bias;  // may be null
  ConvShape shape;
  Activation activation;
  Workspace ws;
};

template <class T>
struct Conv2dInputGrad {
  T* gx;
  const T* gy;
  const T* w;
  ConvShape shape;
  Workspace ws;
};

template <class T>
struct Conv2dWeightGrad {
  T* gw;
  T* gbias;  // may be null
  const T* x;
  const T* gy;
  ConvShape shape;
  Workspace ws;
};

#define EINKORN_CONV_KERNELS(X)         \
  X(conv2d_forward, Conv2dForward)      \
  X(conv2d_input_grad, Conv2dInputGrad) \
  X(conv2d_weight_grad, Conv2dWeightGrad)

EINKORN_FLOAT_TABLE(ConvKernels, EINKORN_CONV_KERNELS)

}  // namespace einkorn
