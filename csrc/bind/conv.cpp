#include "kernels/conv/conv.h"

#include "bind/array.h"
#include "kernels/conv/conv_pairs.h"
#include "kernels/conv/conv_parts.h"

namespace einkorn::bind_conv {

namespace {

// Sizes from the arrays, which must fit together: kernels read and write by them.
ConvShape conv_shape(const Array& image, const Array& weight, const Array& output, const int64_t (&options)[7]) {
  if (image.ndim != 4 || weight.ndim != 4 || output.ndim != 4)
    throw py::value_error("convolution kernels take 4-d arrays");
  ConvShape s;
  s.N = image.shape[0], s.C = image.shape[1], s.H = image.shape[2], s.W = image.shape[3];
  s.K = weight.shape[0], s.R = weight.shape[2], s.S = weight.shape[3];
  s.OH = output.shape[2], s.OW = output.shape[3];
  s.stride_h = options[0], s.stride_w = options[1], s.pad_h = options[2], s.pad_w = options[3];
  s.dilation_h = options[4], s.dilation_w = options[5], s.groups = options[6];
  if (s.stride_h < 1 || s.stride_w < 1 || s.dilation_h < 1 || s.dilation_w < 1 || s.groups < 1 || s.C % s.groups != 0 ||
      s.K % s.groups != 0)
    throw py::value_error("stride, dilation and groups must be positive, and groups divide both channel numbers");
  for (const int64_t value :
       {s.H, s.W, s.OH * s.stride_h, s.OW * s.stride_w, s.pad_h, s.pad_w, s.R * s.dilation_h, s.S * s.dilation_w})
    if (value < 0 || value >= int64_t{1} << 30) throw py::value_error("sizes, padding and dilation must be below 2^30");
  if (output.shape[0] != s.N || output.shape[1] != s.K || weight.shape[1] != s.C / s.groups)
    throw py::value_error("shapes of image, weight and output do not fit together");
  return s;
}

// The scratch of the kernels over T.
template <class T, class Args>
void run_by_type(void (*ConvKernels<T>::*kernel)(const Args&), const Args& args) {
  if constexpr (!std::is_same_v<T, uint16_t>)
    run_in_scratch<ConvParts>(kernel, args);
  else if constexpr (std::is_same_v<Args, Conv2dWeightGrad<T>>)
    run_in_scratch<ConvPairGradParts>(kernel, args);
  else
    run_in_scratch<ConvPairParts>(kernel, args);
}

constexpr int64_t kMost = int64_t{1} << 30;

// Columns [N, C, kernel, out] of x [N, C, size], three of each.
UnfoldShape unfold_shape(const Array& columns, const Array& x, const int64_t (&options)[9]) {
  if (columns.ndim != 8 || x.ndim != 5) throw py::value_error("unfolding takes 8-d columns and a 5-d image");
  UnfoldShape s;
  s.N = x.shape[0], s.C = x.shape[1];
  if (columns.shape[0] != s.N || columns.shape[1] != s.C)
    throw py::value_error("shapes of columns and image do not fit together");
  for (int d = 0; d < 3; ++d) {
    s.size[d] = x.shape[2 + d], s.kernel[d] = columns.shape[2 + d], s.out[d] = columns.shape[5 + d];
    s.stride[d] = options[d], s.pad[d] = options[3 + d], s.dilation[d] = options[6 + d];
    if (s.stride[d] < 1 || s.dilation[d] < 1) throw py::value_error("stride and dilation must be positive");
    for (const int64_t value : {s.size[d], s.out[d], s.kernel[d], s.stride[d], s.dilation[d], s.pad[d]})
      if (value < 0 || value >= kMost) throw py::value_error("sizes, padding and dilation must be below 2^30");
  }
  for (int d = 0; d < 8; ++d) s.step[d] = columns.strides[d];
  if (s.out[2] > 1 && s.step[7] != 1) throw py::value_error("argument 'columns' must have stride 1 along its rows");
  return s;
}

}  // namespace

EINKORN_BINDINGS(conv, m) {
  m.def(
      "conv2d_forward",
      [](const Array& out, const Array& x, const Array& w, const Array& bias, int64_t stride_h, int64_t stride_w,
         int64_t pad_h, int64_t pad_w, int64_t dilation_h, int64_t dilation_w, int64_t groups, int activation) {
        const ConvShape s = conv_shape(x, w, out, {stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups});
        if (bias && bias.size() != s.K) throw py::value_error("bias must have one element for each output channel");
        by_stored_dtype(out, [&]<class T>() {
          const Conv2dForward<T> args = {out.out<T>("out"),
                                         x.in<T>("x"),
                                         w.in<T>("w"),
                                         bias.optional_in<Number<T>>("bias"),
                                         s,
                                         static_cast<Activation>(activation),
                                         workspace()};
          run_by_type<T>(&ConvKernels<T>::conv2d_forward, args);
        });
      },
      "out"_a, "x"_a, "w"_a, "bias"_a.none(true), "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a, "dilation_h"_a,
      "dilation_w"_a, "groups"_a, "activation"_a);

  m.def(
      "conv2d_input_grad",
      [](const Array& gx, const Array& gy, const Array& w, int64_t stride_h, int64_t stride_w, int64_t pad_h,
         int64_t pad_w, int64_t dilation_h, int64_t dilation_w, int64_t groups) {
        const ConvShape s = conv_shape(gx, w, gy, {stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups});
        by_stored_dtype(gx, [&]<class T>() {
          const Conv2dInputGrad<T> args = {gx.out<T>("gx"), gy.in<T>("gy"), w.in<T>("w"), s, workspace()};
          run_by_type<T>(&ConvKernels<T>::conv2d_input_grad, args);
        });
      },
      "gx"_a, "gy"_a, "w"_a, "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a, "dilation_h"_a, "dilation_w"_a,
      "groups"_a);

  m.def(
      "conv2d_weight_grad",
      [](const Array& gw, const Array& gbias, const Array& x, const Array& gy, int64_t stride_h, int64_t stride_w,
         int64_t pad_h, int64_t pad_w, int64_t dilation_h, int64_t dilation_w, int64_t groups) {
        const ConvShape s = conv_shape(x, gw, gy, {stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups});
        if (gbias && gbias.size() != s.K) throw py::value_error("gbias must have one element for each output channel");
        by_stored_dtype(gw, [&]<class T>() {
          const Conv2dWeightGrad<T> args = {
              gw.out<T>("gw"), gbias.optional_out<Number<T>>("gbias"), x.in<T>("x"), gy.in<T>("gy"), s, workspace()};
          run_by_type<T>(&ConvKernels<T>::conv2d_weight_grad, args);
        });
      },
      "gw"_a, "gbias"_a.none(true), "x"_a, "gy"_a, "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a, "dilation_h"_a,
      "dilation_w"_a, "groups"_a);

  m.def(
      "conv2d_transpose",
      [](const Array& out, const Array& x, const Array& w, const Array& bias, int64_t stride_h, int64_t stride_w,
         int64_t pad_h, int64_t pad_w, int64_t dilation_h, int64_t dilation_w, int64_t groups, int activation) {
        const ConvShape s = conv_shape(out, w, x, {stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups});
        if (bias && bias.size() != s.C) throw py::value_error("bias must have one element for each output channel");
        by_stored_dtype(out, [&]<class T>() {
          const Conv2dTranspose<T> args = {out.out<T>("out"),
                                           x.in<T>("x"),
                                           w.in<T>("w"),
                                           bias.optional_in<Number<T>>("bias"),
                                           s,
                                           static_cast<Activation>(activation),
                                           workspace()};
          run_by_type<T>(&ConvKernels<T>::conv2d_transpose, args);
        });
      },
      "out"_a, "x"_a, "w"_a, "bias"_a.none(true), "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a, "dilation_h"_a,
      "dilation_w"_a, "groups"_a, "activation"_a);

  m.def(
      "unfold",
      [](const Array& columns, const Array& x, int64_t stride_d, int64_t stride_h, int64_t stride_w, int64_t pad_d,
         int64_t pad_h, int64_t pad_w, int64_t dilation_d, int64_t dilation_h, int64_t dilation_w) {
        const UnfoldShape s = unfold_shape(
            columns, x, {stride_d, stride_h, stride_w, pad_d, pad_h, pad_w, dilation_d, dilation_h, dilation_w});
        by_dtype(columns, [&]<class T>() {
          run(&ConvKernels<T>::unfold, {columns.strided_out<T>("columns"), x.in<T>("x"), s, workspace()});
        });
      },
      "columns"_a, "x"_a, "stride_d"_a, "stride_h"_a, "stride_w"_a, "pad_d"_a, "pad_h"_a, "pad_w"_a, "dilation_d"_a,
      "dilation_h"_a, "dilation_w"_a);

  m.def(
      "fold",
      [](const Array& x, const Array& columns, int64_t stride_d, int64_t stride_h, int64_t stride_w, int64_t pad_d,
         int64_t pad_h, int64_t pad_w, int64_t dilation_d, int64_t dilation_h, int64_t dilation_w) {
        const UnfoldShape s = unfold_shape(
            columns, x, {stride_d, stride_h, stride_w, pad_d, pad_h, pad_w, dilation_d, dilation_h, dilation_w});
        by_dtype(x, [&]<class T>() {
          run(&ConvKernels<T>::fold, {x.out<T>("x"), columns.strided<T>("columns"), s, workspace()});
        });
      },
      "x"_a, "columns"_a, "stride_d"_a, "stride_h"_a, "stride_w"_a, "pad_d"_a, "pad_h"_a, "pad_w"_a, "dilation_d"_a,
      "dilation_h"_a, "dilation_w"_a);
}

}  // namespace einkorn::bind_conv
