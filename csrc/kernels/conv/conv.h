// Two-dimensional convolution (cross-correlation) and its two gradients.
//
//   forward      out[n,k,y,x]  = act(bias[k] + sum over c,r,s of  w[k,c,r,s] * xpad[n, c', y*stride_h + r*dilation_h - pad_h, ...])
//   input grad   gx[n,c',i,j]  = sum over k,r,s of gy[n,k,y,x] * w[k,c,r,s]   over all (y,x,r,s) that touch pixel (i,j)
//   transpose    the input gradient as a layer of its own: out = act(bias[c'] + that sum with x in the place of gy)
//   weight grad  gw[k,c,r,s]   = sum over n,y,x of gy[n,k,y,x] * xpad[n, c', ...]          gbias[k] = sum over n,y,x of gy
//   unfold       columns[n,c,t,r,s,z,y,x] = xpad[n, c, z*stride + t*dilation - pad, ...]   over three directions; fold is its
//   fold         adjoint: each pixel of x gets the sum of the columns that it was copied to
//
// with c' = c + (k / (K/groups)) * (C/groups): output channels see the input channels of their group only. xpad is x with zeros
// around it. One-dimensional convolution is H = R = 1.
//
// Layout      all arrays contiguous: x, gx [N, C, H, W]; out, gy [N, K, OH, OW]; w, gw [K, C/groups, R, S]; bias, gbias [K]
//             (of a transposed convolution, whose x and out lie as gy and gx do, [C]). Columns may have any strides but along
//             their last axis, which has none but 1.
// Aliasing    none.
// Zero sizes  N = 0, or no output pixels: empty outputs, gw and gbias all zero. C = 0: out = act(bias). K = 0: gx all zero.
// NaN         propagates. A 3x3 kernel of stride 1 over many channels is computed by Winograd's method, and so is a 3x3 or
//             4x4 kernel of stride 2 and padding 1. There a NaN reaches the same outputs, but an infinity gives NaN where the sum above gives an
//             infinity; and in the weight gradient a NaN near the border of x or gy may reach taps that do not touch it.
// bfloat16    handed over as its bits: x, w, gy, and what is computed of them; bias and gbias are float. Where the instruction set has
//             vdpbf16ps (avx512_bf16): sums in float, of two products at a time, subnormal operands and sums are zeros; results
//             are rounded once. Elsewhere it is widened by the caller.
// Accumulates in T: forward and input gradient over all channels and taps in one sum, as the formula reads (16 or 9 sums of channels
//             by Winograd); the weight gradient in parts of the positions, fixed by the shape.
// Writes      every element of the outputs; gbias may be null. Same bits for any number of threads.
// Exact       for integers, as long as sums stay below 2^22 or so: Winograd F(2x2,3x3) multiplies by halves and quarters only,
//             F(2x2,2x2) by nothing.
// Cost        unfold and fold one operation an element of the columns; the others 2 N K OH OW (C/groups) R S FLOPs each (the weight gradient N K OH OW more for the bias); bytes: every operand once.
//
// Scratch     conv_parts.h: ConvParts.

#pragma once

#include <stddef.h>

#include "kernels/activation.h"
#include "kernels/stored.h"
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
  const Number<T>* bias;  // may be null
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
struct Conv2dTranspose {
  T* out;
  const T* x;
  const T* w;
  const Number<T>* bias;  // of s.C elements; may be null
  ConvShape shape;        // of the convolution whose input gradient it is
  Activation activation;
  Workspace ws;
};

template <class T>
struct Conv2dWeightGrad {
  T* gw;
  Number<T>* gbias;  // may be null
  const T* x;
  const T* gy;
  ConvShape shape;
  Workspace ws;
};

// Depth, height and width; columns [N, C, kernel, out].
struct UnfoldShape {
  int64_t N, C, size[3], kernel[3], out[3], stride[3], pad[3], dilation[3];
  int64_t step[8];  // of the columns, in elements
};

template <class T>
struct Unfold {
  T* columns;
  const T* x;
  UnfoldShape shape;
  Workspace ws;
};

template <class T>
struct Fold {
  T* x;
  const T* columns;
  UnfoldShape shape;
  Workspace ws;
};

// Those with bodies of bfloat16 where pairs are multiplied.
#define EINKORN_CONV_PAIR_KERNELS(X)    \
  X(conv2d_forward, Conv2dForward)      \
  X(conv2d_input_grad, Conv2dInputGrad) \
  X(conv2d_transpose, Conv2dTranspose)  \
  X(conv2d_weight_grad, Conv2dWeightGrad)

#define EINKORN_CONV_KERNELS(X) \
  EINKORN_CONV_PAIR_KERNELS(X)  \
  X(unfold, Unfold)             \
  X(fold, Fold)

EINKORN_FLOAT_TABLE(ConvKernels, EINKORN_CONV_KERNELS)

}  // namespace einkorn
