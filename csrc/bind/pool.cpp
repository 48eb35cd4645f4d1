#include "kernels/pool/pool.h"

#include "bind/array.h"

namespace einkorn::bind_pool {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

// `large` [N, C, H, W] is x or gx, `small` [N, C, OH, OW] is out or gy.
PoolShape pool_shape(const Array& large, const Array& small) {
  require(large.ndim == 4 && small.ndim == 4, "pooling takes arrays [N, C, H, W]");
  require(large.shape[0] == small.shape[0] && large.shape[1] == small.shape[1], "N and C must match");
  return {large.shape[0] * large.shape[1], large.shape[2], large.shape[3], small.shape[2], small.shape[3]};
}

PoolWindow pool_window(const PoolShape& shape, int64_t kernel_h, int64_t kernel_w, int64_t stride_h, int64_t stride_w,
                       int64_t pad_h, int64_t pad_w, int64_t dilation_h, int64_t dilation_w) {
  require(kernel_h > 0 && kernel_w > 0 && stride_h > 0 && stride_w > 0 && dilation_h > 0 && dilation_w > 0,
          "kernel, stride and dilation must be positive");
  require(pad_h >= 0 && pad_w >= 0, "padding must not be negative");
  require((shape.out_height - 1) * stride_h < shape.height + pad_h &&
              (shape.out_width - 1) * stride_w < shape.width + pad_w,
          "the output has windows beyond the input");
  return {kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w};
}

const int32_t* indices_for(const Array& indices, const Array& like) {
  if (!indices) return nullptr;
  require(indices.size() == like.size(), "indices must have the shape of the pooled array");
  return indices.in<int32_t>("indices");
}

// `small` [planes, count] holds what lies at `indices` of `large` [planes, size].
void require_places(const Array& small, const Array& large, const Array& indices) {
  require(small.ndim == 2 && large.ndim == 2 && small.shape[0] == large.shape[0], "planes must match");
  require(large.shape[1] < int64_t{1} << 31, "planes must have less than 2^31 elements");
  require(indices.size() == small.size(), "indices must have the shape of the pooled array");
}

}  // namespace

EINKORN_BINDINGS(pool, m) {
  m.def(
      "max_pool2d_forward",
      [](const Array& out, const Array& indices, const Array& x, int64_t kernel_h, int64_t kernel_w, int64_t stride_h,
         int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dilation_h, int64_t dilation_w) {
        const PoolShape shape = pool_shape(x, out);
        const PoolWindow window =
            pool_window(shape, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w);
        int32_t* at = indices.optional_out<int32_t>("indices");
        indices_for(indices, out);
        by_dtype(out, [&]<class T>() {
          run_in_scratch<PoolParts<T>>(&PoolKernels<T>::max_pool2d_forward,
                                       {out.out<T>("out"), at, x.in<T>("x"), shape, window, workspace()});
        });
      },
      "out"_a, "indices"_a.none(true), "x"_a, "kernel_h"_a, "kernel_w"_a, "stride_h"_a, "stride_w"_a, "pad_h"_a,
      "pad_w"_a, "dilation_h"_a, "dilation_w"_a);

  m.def(
      "max_pool2d_backward",
      [](const Array& gx, const Array& gy, const Array& indices, int64_t kernel_h, int64_t kernel_w, int64_t stride_h,
         int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dilation_h, int64_t dilation_w) {
        const PoolShape shape = pool_shape(gx, gy);
        const PoolWindow window =
            pool_window(shape, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w);
        require(static_cast<bool>(indices), "indices are needed");
        const int32_t* at = indices_for(indices, gy);
        by_dtype(gx, [&]<class T>() {
          run(&PoolKernels<T>::max_pool2d_backward, {gx.out<T>("gx"), gy.in<T>("gy"), at, shape, window, workspace()});
        });
      },
      "gx"_a, "gy"_a, "indices"_a, "kernel_h"_a, "kernel_w"_a, "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a,
      "dilation_h"_a, "dilation_w"_a);

  m.def(
      "avg_pool2d_forward",
      [](const Array& out, const Array& x, int64_t kernel_h, int64_t kernel_w, int64_t stride_h, int64_t stride_w,
         int64_t pad_h, int64_t pad_w, bool count_include_pad) {
        const PoolShape shape = pool_shape(x, out);
        const PoolWindow window = pool_window(shape, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, 1, 1);
        by_dtype(out, [&]<class T>() {
          run_in_scratch<PoolParts<T>>(&PoolKernels<T>::avg_pool2d_forward, {out.out<T>("out"), x.in<T>("x"), shape,
                                                                             window, count_include_pad, workspace()});
        });
      },
      "out"_a, "x"_a, "kernel_h"_a, "kernel_w"_a, "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a,
      "count_include_pad"_a);

  m.def(
      "avg_pool2d_backward",
      [](const Array& gx, const Array& gy, int64_t kernel_h, int64_t kernel_w, int64_t stride_h, int64_t stride_w,
         int64_t pad_h, int64_t pad_w, bool count_include_pad) {
        const PoolShape shape = pool_shape(gx, gy);
        const PoolWindow window = pool_window(shape, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, 1, 1);
        by_dtype(gx, [&]<class T>() {
          run_in_scratch<PoolParts<T>>(&PoolKernels<T>::avg_pool2d_backward, {gx.out<T>("gx"), gy.in<T>("gy"), shape,
                                                                              window, count_include_pad, workspace()});
        });
      },
      "gx"_a, "gy"_a, "kernel_h"_a, "kernel_w"_a, "stride_h"_a, "stride_w"_a, "pad_h"_a, "pad_w"_a,
      "count_include_pad"_a);

  m.def(
      "adaptive_avg_pool2d_forward",
      [](const Array& out, const Array& x) {
        const PoolShape shape = pool_shape(x, out);
        by_dtype(out, [&]<class T>() {
          run_in_scratch<PoolParts<T>>(&PoolKernels<T>::adaptive_avg_pool2d_forward,
                                       {out.out<T>("out"), x.in<T>("x"), shape, workspace()});
        });
      },
      "out"_a, "x"_a);

  m.def(
      "adaptive_avg_pool2d_backward",
      [](const Array& gx, const Array& gy) {
        const PoolShape shape = pool_shape(gx, gy);
        by_dtype(gx, [&]<class T>() {
          run_in_scratch<PoolParts<T>>(&PoolKernels<T>::adaptive_avg_pool2d_backward,
                                       {gx.out<T>("gx"), gy.in<T>("gy"), shape, workspace()});
        });
      },
      "gx"_a, "gy"_a);

  m.def(
      "window_max",
      [](const Array& out, const Array& indices, const Array& x, const Array& begin, const Array& end) {
        require(out.ndim == 4 && x.ndim == 4 && out.shape[0] == x.shape[0],
                "pooling takes arrays [planes, depth, height, width]");
        require(begin.ndim == 2 && end.ndim == 2 && begin.shape[0] == end.shape[0] && begin.shape[1] == end.shape[1] &&
                    begin.shape[1] == out.shape[1] + out.shape[2] + out.shape[3] &&
                    (begin.shape[0] == 1 || begin.shape[0] == out.shape[0]),
                "begin and end must have a range for each slice, row and column of the output");
        require(!indices || indices.size() == out.size(), "indices must have the shape of the pooled array");
        int32_t* at = indices.optional_out<int32_t>("indices");
        by_dtype(out, [&]<class T>() {
          run(&PoolKernels<T>::window_max, {out.out<T>("out"),
                                            at,
                                            x.in<T>("x"),
                                            begin.in<int32_t>("begin"),
                                            end.in<int32_t>("end"),
                                            x.shape[0],
                                            {x.shape[1], x.shape[2], x.shape[3]},
                                            {out.shape[1], out.shape[2], out.shape[3]},
                                            begin.shape[0] != 1,
                                            workspace()});
        });
      },
      "out"_a, "indices"_a.none(true), "x"_a, "begin"_a, "end"_a);

  m.def(
      "pool_gather",
      [](const Array& out, const Array& x, const Array& indices) {
        require_places(out, x, indices);
        by_dtype(out, [&]<class T>() {
          run(&PoolKernels<T>::pool_gather, {out.out<T>("out"), x.in<T>("x"), indices.in<int32_t>("indices"),
                                             out.shape[0], x.shape[1], out.shape[1], workspace()});
        });
      },
      "out"_a, "x"_a, "indices"_a);

  m.def(
      "pool_scatter",
      [](const Array& out, const Array& x, const Array& indices, bool add) {
        require_places(x, out, indices);
        by_dtype(out, [&]<class T>() {
          run(&PoolKernels<T>::pool_scatter, {out.out<T>("out"), x.in<T>("x"), indices.in<int32_t>("indices"),
                                              out.shape[0], out.shape[1], x.shape[1], add, workspace()});
        });
      },
      "out"_a, "x"_a, "indices"_a, "add"_a);
}

}  // namespace einkorn::bind_pool
