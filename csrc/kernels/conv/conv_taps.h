// Both passes over taps as convolutions on a grid of positions (conv_methods.h).

#pragma once

#include "kernels/conv/conv_methods.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// What goes into such a pass and comes out of it: of an input gradient `in` is gy and `out` gx.
template <class T>
struct TapArrays {
  T* out;
  const T* in;
  const T* w;
  const Number<T>* bias;
  Activation activation;
};

// The forward pass; its taps go to `tap`.
template <class T>
TapConvolution<T> forward_taps(const TapArrays<T>& a, const ConvShape& s, Tap* tap) {
  for (int64_t r = 0; r < s.R; ++r)
    for (int64_t c = 0; c < s.S; ++c)
      tap[r * s.S + c] = {static_cast<int32_t>(r * s.dilation_h - s.pad_h),
                          static_cast<int32_t>(c * s.dilation_w - s.pad_w), static_cast<int32_t>(r * s.S + c)};
  const int64_t channels = s.C / s.groups, out_channels = s.K / s.groups, taps = s.R * s.S;
  TapConvolution<T> c;
  c.out = a.out, c.in = a.in, c.w = a.w, c.bias = a.bias, c.activation = a.activation;
  c.images = s.N, c.groups = s.groups, c.in_channels = channels, c.out_channels = out_channels;
  c.in_h = s.H, c.in_w = s.W, c.out_h = c.grid_h = s.OH, c.out_w = c.grid_w = s.OW;
  c.in_step_y = s.stride_h, c.in_step_x = s.stride_w, c.out_step_y = c.out_step_x = 1, c.first_y = c.first_x = 0;
  c.w_group_step = out_channels * channels * taps, c.w_out_step = channels * taps, c.w_in_step = taps;
  c.tap = tap, c.taps = static_cast<int>(taps), c.touching_only = false;
  return c;
}

// The phases of an input gradient (conv.cpp): pixels that lie the stride apart. Those of one pixel have all of its taps together.
inline int64_t phases_across(const ConvShape& s) {
  return smaller(s.stride_w, s.W);
}
inline int64_t phases_in_all(const ConvShape& s) {
  return smaller(s.stride_h, s.H) * phases_across(s);
}

template <class T>
TapConvolution<T> phase_taps(const TapArrays<T>& a, const ConvShape& s, int64_t phase, Tap* tap) {
  const int64_t phase_y = phase / phases_across(s), phase_x = phase % phases_across(s);
  int taps = 0;
  for (int64_t r = 0; r < s.R; ++r)
    for (int64_t c = 0; c < s.S; ++c) {
      const int64_t y = phase_y + s.pad_h - r * s.dilation_h, x = phase_x + s.pad_w - c * s.dilation_w;
      if (y % s.stride_h == 0 && x % s.stride_w == 0)
        tap[taps++] = {static_cast<int32_t>(y / s.stride_h), static_cast<int32_t>(x / s.stride_w),
                       static_cast<int32_t>(r * s.S + c)};
    }
  const int64_t channels = s.C / s.groups, out_channels = s.K / s.groups;
  TapConvolution<T> c;
  c.out = a.out, c.in = a.in, c.w = a.w, c.bias = a.bias, c.activation = a.activation;
  c.images = s.N, c.groups = s.groups, c.in_channels = out_channels, c.out_channels = channels;
  c.in_h = s.OH, c.in_w = s.OW, c.out_h = s.H, c.out_w = s.W;
  c.grid_h = ceil_div(s.H - phase_y, s.stride_h), c.grid_w = ceil_div(s.W - phase_x, s.stride_w);
  c.in_step_y = c.in_step_x = 1, c.out_step_y = s.stride_h, c.out_step_x = s.stride_w;
  c.first_y = phase_y, c.first_x = phase_x;
  c.w_group_step = out_channels * channels * s.R * s.S, c.w_out_step = s.R * s.S, c.w_in_step = channels * s.R * s.S;
  c.tap = tap, c.taps = taps, c.touching_only = true;
  return c;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
