// Pooling on the GPU.
//
// Forward: a thread for each output, neighbouring threads on neighbouring windows of a row; adaptive averages, whose windows
// are large, get a warp each. Backward: a thread for each pixel asks the windows that contain it, in a fixed order. Nothing is
// scattered, so there are no atomics, gx needs no clearing, and the bits are the same every time.
//
//      pixel h lies in windows i with  i * stride - pad + r * dilation = h  for a tap r in [0, kernel)
//
// Scratch is not used. All planes are one index range: plane, row, column.
// Roofline, [128, 64, 32, 32] float32 (34 MB), 2x2 at stride 2: forward 34 MB in, 8 MB out and 8 MB of places, 0.017 ms at 3.0 TB/s;
// backward the same bytes. Overlapping windows find their pixels in L2; 9 comparisons a pixel are far below.
// Plan: max_forward_kernel: 64 registers, 4 blocks of 256 threads an SM
// Plan: max_forward_square, avg_forward_kernel, max_backward_kernel: 40 registers (double: 48), 6 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/pool/pool.h"

namespace einkorn::cuda {

namespace {

constexpr int kWarp = 32;

struct Place {
  int64_t plane, row, column;
};

__device__ __forceinline__ Place place_of(int64_t i, int64_t height, int64_t width) {
  const int64_t rows = quotient(i, width), plane = quotient(rows, height);
  return {plane, rows - plane * height, i - rows * width};
}

__device__ __forceinline__ int64_t divide_up(int64_t a, int64_t b) {
  return quotient(a + b - 1, b);
}
__device__ __forceinline__ int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
__device__ __forceinline__ int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}

struct Range {
  int64_t begin, end;
};

// The windows that reach over position `h`; with dilation some of them have no tap there.
__device__ __forceinline__ Range windows_over(int64_t h, int64_t extent, int64_t stride, int64_t pad, int64_t windows) {
  const int64_t first = h + pad - extent + 1;
  return {first > 0 ? divide_up(first, stride) : 0, at_most(quotient(h + pad, stride) + 1, windows)};
}

// Windows of kSide x kSide without dilation, whose loads are all under way at once. 32-bit numbers within a plane.
template <int kSide, class T>
__global__ void max_forward_square(MaxPool2dForward<T> k) {
  const PoolShape& s = k.shape;
  const int height = static_cast<int>(s.height), width = static_cast<int>(s.width);
  grid_stride(s.planes * s.out_height * s.out_width, [&](int64_t i) {
    const Place p = place_of(i, s.out_height, s.out_width);
    const T* const x = k.x + p.plane * s.height * s.width;
    const int top = static_cast<int>(p.row * k.window.stride_h - k.window.pad_h);
    const int left = static_cast<int>(p.column * k.window.stride_w - k.window.pad_w);
    T v[kSide][kSide];
#pragma unroll
    for (int r = 0; r < kSide; ++r)
#pragma unroll
      for (int c = 0; c < kSide; ++c) {
        const int h = top + r, w = left + c;
        v[r][c] = h >= 0 && h < height && w >= 0 && w < width ? x[h * width + w] : T{0};
      }
    T best = -static_cast<T>(INFINITY);
    int32_t at = -1;
#pragma unroll
    for (int r = 0; r < kSide; ++r)
#pragma unroll
      for (int c = 0; c < kSide; ++c) {
        const int h = top + r, w = left + c;
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        if (at < 0 || v[r][c] > best || v[r][c] != v[r][c]) {
          best = v[r][c];
          at = h * width + w;
        }
      }
    k.out[i] = best;
    if (k.indices != nullptr) k.indices[i] = at;
  });
}

template <class T>
__global__ void max_forward_kernel(MaxPool2dForward<T> k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  grid_stride(s.planes * s.out_height * s.out_width, [&](int64_t i) {
    const Place p = place_of(i, s.out_height, s.out_width);
    const T* x = k.x + p.plane * s.height * s.width;
    T best = -static_cast<T>(INFINITY);
    int32_t at = -1;
    for (int64_t r = 0; r < w.kernel_h; ++r) {
      const int64_t h = p.row * w.stride_h - w.pad_h + r * w.dilation_h;
      if (h < 0 || h >= s.height) continue;
      for (int64_t c = 0; c < w.kernel_w; ++c) {
        const int64_t column = p.column * w.stride_w - w.pad_w + c * w.dilation_w;
        if (column < 0 || column >= s.width) continue;
        const T v = x[h * s.width + column];
        if (at < 0 || v > best || v != v) {
          best = v;
          at = static_cast<int32_t>(h * s.width + column);
        }
      }
    }
    k.out[i] = best;
    if (k.indices != nullptr) k.indices[i] = at;
  });
}

template <class T>
__global__ void max_backward_kernel(MaxPool2dBackward<T> k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  grid_stride(s.planes * s.height * s.width, [&](int64_t i) {
    const Place p = place_of(i, s.height, s.width);
    const int64_t plane = p.plane * s.out_height * s.out_width;
    const int32_t at = static_cast<int32_t>(p.row * s.width + p.column);
    const Range down = windows_over(p.row, (w.kernel_h - 1) * w.dilation_h + 1, w.stride_h, w.pad_h, s.out_height);
    const Range across = windows_over(p.column, (w.kernel_w - 1) * w.dilation_w + 1, w.stride_w, w.pad_w, s.out_width);
    T sum = 0;
    for (int64_t oh = down.begin; oh < down.end; ++oh)
      for (int64_t ow = across.begin; ow < across.end; ++ow) {
        const int64_t o = plane + oh * s.out_width + ow;
        if (k.indices[o] == at) sum += k.gy[o];
      }
    k.gx[i] = sum;
  });
}

// A window's side: the pixels under it and what it counts for.
struct Side {
  Range pixels;
  int64_t size;
};

__device__ __forceinline__ Side window_side(int64_t i, int64_t kernel, int64_t stride, int64_t pad, int64_t size,
                                            bool count_pad) {
  const int64_t start = i * stride - pad;
  const Range inside = {at_least(start, 0), at_most(start + kernel, size)};
  if (inside.begin >= inside.end) return {{0, 0}, 1};
  return {inside, count_pad ? at_most(start + kernel, size + pad) - start : inside.end - inside.begin};
}

template <class T>
__global__ void avg_forward_kernel(AvgPool2dForward<T> k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  grid_stride(s.planes * s.out_height * s.out_width, [&](int64_t i) {
    const Place p = place_of(i, s.out_height, s.out_width);
    const T* x = k.x + p.plane * s.height * s.width;
    const Side down = window_side(p.row, w.kernel_h, w.stride_h, w.pad_h, s.height, k.count_include_pad);
    const Side across = window_side(p.column, w.kernel_w, w.stride_w, w.pad_w, s.width, k.count_include_pad);
    T sum = 0;
    for (int64_t h = down.pixels.begin; h < down.pixels.end; ++h)
      for (int64_t c = across.pixels.begin; c < across.pixels.end; ++c) sum += x[h * s.width + c];
    k.out[i] = sum / static_cast<T>(down.size * across.size);
  });
}

template <class T>
__global__ void avg_backward_kernel(AvgPool2dBackward<T> k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  grid_stride(s.planes * s.height * s.width, [&](int64_t i) {
    const Place p = place_of(i, s.height, s.width);
    const T* gy = k.gy + p.plane * s.out_height * s.out_width;
    const Range down = windows_over(p.row, w.kernel_h, w.stride_h, w.pad_h, s.out_height);
    const Range across = windows_over(p.column, w.kernel_w, w.stride_w, w.pad_w, s.out_width);
    T sum = 0;
    for (int64_t oh = down.begin; oh < down.end; ++oh) {
      const Side side_h = window_side(oh, w.kernel_h, w.stride_h, w.pad_h, s.height, k.count_include_pad);
      for (int64_t ow = across.begin; ow < across.end; ++ow) {
        const Side side_w = window_side(ow, w.kernel_w, w.stride_w, w.pad_w, s.width, k.count_include_pad);
        sum += gy[oh * s.out_width + ow] / static_cast<T>(side_h.size * side_w.size);
      }
    }
    k.gx[i] = sum;
  });
}

// The pixels of an adaptive window, and the windows of a pixel.
__device__ __forceinline__ Range adaptive_window(int64_t i, int64_t size, int64_t out_size) {
  return {quotient(i * size, out_size), divide_up((i + 1) * size, out_size)};
}

__device__ __forceinline__ Range adaptive_windows_over(int64_t h, int64_t size, int64_t out_size) {
  return {quotient(h * out_size, size), divide_up((h + 1) * out_size, size)};
}

template <class T>
__global__ void adaptive_forward_kernel(AdaptiveAvgPool2dForward<T> k) {
  const PoolShape& s = k.shape;
  const int64_t outputs = s.planes * s.out_height * s.out_width;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int64_t step = static_cast<int64_t>(gridDim.x) * (kBlock / kWarp);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * (kBlock / kWarp) + threadIdx.x / kWarp; i < outputs; i += step) {
    const Place p = place_of(i, s.out_height, s.out_width);
    const T* x = k.x + p.plane * s.height * s.width;
    const Range down = adaptive_window(p.row, s.height, s.out_height);
    const Range across = adaptive_window(p.column, s.width, s.out_width);
    const int64_t columns = across.end - across.begin, size = (down.end - down.begin) * columns;
    T sum = 0;
    for (int64_t j = lane; j < size; j += kWarp) {
      const int64_t row = quotient(j, columns);
      sum += x[(down.begin + row) * s.width + across.begin + j - row * columns];
    }
    for (int distance = kWarp / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    if (lane == 0) k.out[i] = sum / static_cast<T>(size);
  }
}

template <class T>
__global__ void adaptive_backward_kernel(AdaptiveAvgPool2dBackward<T> k) {
  const PoolShape& s = k.shape;
  grid_stride(s.planes * s.height * s.width, [&](int64_t i) {
    const Place p = place_of(i, s.height, s.width);
    const T* gy = k.gy + p.plane * s.out_height * s.out_width;
    const Range down = adaptive_windows_over(p.row, s.height, s.out_height);
    const Range across = adaptive_windows_over(p.column, s.width, s.out_width);
    T sum = 0;
    for (int64_t oh = down.begin; oh < down.end; ++oh)
      for (int64_t ow = across.begin; ow < across.end; ++ow) {
        const Range rows = adaptive_window(oh, s.height, s.out_height);
        const Range columns = adaptive_window(ow, s.width, s.out_width);
        sum += gy[oh * s.out_width + ow] / static_cast<T>((rows.end - rows.begin) * (columns.end - columns.begin));
      }
    k.gx[i] = sum;
  });
}

inline int64_t pixels(const PoolShape& s) {
  return s.planes * s.height * s.width;
}
inline int64_t outputs(const PoolShape& s) {
  return s.planes * s.out_height * s.out_width;
}

}  // namespace

template <class T>
void max_pool2d_forward(const MaxPool2dForward<T>& k) {
  const PoolWindow& w = k.window;
  const bool square = w.kernel_h == w.kernel_w && w.dilation_h == 1 && w.dilation_w == 1;
  const auto kernel = square && w.kernel_h == 2   ? max_forward_square<2, T>
                      : square && w.kernel_h == 3 ? max_forward_square<3, T>
                                                  : max_forward_kernel<T>;
  launch_over("max_pool2d_forward", kernel, outputs(k.shape), k);
}

template <class T>
void max_pool2d_backward(const MaxPool2dBackward<T>& k) {
  launch_over("max_pool2d_backward", max_backward_kernel<T>, pixels(k.shape), k);
}

template <class T>
void avg_pool2d_forward(const AvgPool2dForward<T>& k) {
  launch_over("avg_pool2d_forward", avg_forward_kernel<T>, outputs(k.shape), k);
}

template <class T>
void avg_pool2d_backward(const AvgPool2dBackward<T>& k) {
  launch_over("avg_pool2d_backward", avg_backward_kernel<T>, pixels(k.shape), k);
}

template <class T>
void adaptive_avg_pool2d_forward(const AdaptiveAvgPool2dForward<T>& k) {
  launch_over("adaptive_avg_pool2d_forward", adaptive_forward_kernel<T>, outputs(k.shape) * kWarp, k);
}

template <class T>
void adaptive_avg_pool2d_backward(const AdaptiveAvgPool2dBackward<T>& k) {
  launch_over("adaptive_avg_pool2d_backward", adaptive_backward_kernel<T>, pixels(k.shape), k);
}

EINKORN_INSTANTIATE(max_pool2d_forward, MaxPool2dForward)
EINKORN_INSTANTIATE(max_pool2d_backward, MaxPool2dBackward)
EINKORN_INSTANTIATE(avg_pool2d_forward, AvgPool2dForward)
EINKORN_INSTANTIATE(avg_pool2d_backward, AvgPool2dBackward)
EINKORN_INSTANTIATE(adaptive_avg_pool2d_forward, AdaptiveAvgPool2dForward)
EINKORN_INSTANTIATE(adaptive_avg_pool2d_backward, AdaptiveAvgPool2dBackward)

}  // namespace einkorn::cuda
