// Convolution on the GPU as an implicit matrix product: the tiles of gemm_cuda.h read their operands from the images, so that no
// matrix of columns is ever written. A batch of the product is a group.
//
//                   i (rows)           j (columns)              k (summed)
//   forward         output channel     image, output y, x       input channel, tap
//   input grad      input channel      image, input y, x        output channel, tap        also the transposed convolution
//   weight grad     output channel     input channel, tap       image, output y, x     cut into parts of positions
//
// float32 multiply-adds, no tensor cores: exact for whole numbers, the same bits every time. bfloat16 goes by tensor cores
// (gemm_pairs_cuda.h), with float sums.
//
// Roofline, float32 at 60 TFLOP/s: 32 x 64 x 56 x 56 with 64 filters of 3 x 3 is 7.4 GFLOP, 0.12 ms each way; its bytes, 51 MB,
// are 0.02 ms at 3.0 TB/s. A 5 x 5 convolution of 28 x 28 images with 6 filters is bound by launching.
// Plan: few_channels_input_grad: 104 registers (double: 126), 2 blocks of 256 threads an SM, 60 bytes spilled in double

#include "kernels/activation_cuda.h"
#include "kernels/conv/conv.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_stored.h"
#include "kernels/gemm_pairs_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

// Sizes as 32-bit numbers: indices within one image and one filter fit, as the bindings see to.
struct Sizes {
  int64_t N;
  int C, H, W, K, R, S, OH, OW;
  int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int channels, filters;  // of a group
};

Sizes sizes_of(const ConvShape& s) {
  const auto narrow = [](int64_t n) { return static_cast<int>(n); };
  return {s.N,
          narrow(s.C),
          narrow(s.H),
          narrow(s.W),
          narrow(s.K),
          narrow(s.R),
          narrow(s.S),
          narrow(s.OH),
          narrow(s.OW),
          narrow(s.stride_h),
          narrow(s.stride_w),
          narrow(s.pad_h),
          narrow(s.pad_w),
          narrow(s.dilation_h),
          narrow(s.dilation_w),
          narrow(s.C / s.groups),
          narrow(s.K / s.groups)};
}

struct Tap {
  int channel, r, s;
};

// Number `at` of channels x R x S.
__device__ __forceinline__ Tap tap_of(const Sizes& z, int64_t at) {
  const unsigned i = static_cast<unsigned>(at), rs = static_cast<unsigned>(z.R) * static_cast<unsigned>(z.S);
  const unsigned channel = i / rs, rest = i - channel * rs, r = rest / static_cast<unsigned>(z.S);
  return {static_cast<int>(channel), static_cast<int>(r), static_cast<int>(rest - r * static_cast<unsigned>(z.S))};
}

struct Pixel {
  int64_t image;
  int y, x;
};

// Number `at` of images x height x width.
__device__ __forceinline__ Pixel pixel_of(int64_t at, int height, int width) {
  const int64_t plane = static_cast<int64_t>(height) * width, image = quotient(at, plane);
  const unsigned rest = static_cast<unsigned>(at - image * plane), y = rest / static_cast<unsigned>(width);
  return {image, static_cast<int>(y), static_cast<int>(rest - y * static_cast<unsigned>(width))};
}

// The sum of two places by digits, each smaller than the sides.
__device__ __forceinline__ void add_place(Tap& at, const Tap& step, int height, int width) {
  at.s += step.s;
  at.r += step.r;
  at.channel += step.channel;
  if (at.s >= width) {
    at.s -= width;
    ++at.r;
  }
  if (at.r >= height) {
    at.r -= height;
    ++at.channel;
  }
}

__device__ __forceinline__ void add_place(Pixel& at, const Pixel& step, int height, int width) {
  at.x += step.x;
  at.y += step.y;
  at.image += step.image;
  if (at.x >= width) {
    at.x -= width;
    ++at.y;
  }
  if (at.y >= height) {
    at.y -= height;
    ++at.image;
  }
}

// x at an output's tap, zero in the padding.
template <class T>
__device__ __forceinline__ T padded(const T* x, const Sizes& z, int64_t plane, const Pixel& out, const Tap& tap) {
  const int h = out.y * z.stride_h - z.pad_h + tap.r * z.dilation_h;
  const int w = out.x * z.stride_w - z.pad_w + tap.s * z.dilation_w;
  if (h < 0 || h >= z.H || w < 0 || w >= z.W) return 0;
  return x[(plane * z.H + h) * z.W + w];
}

template <class T_>
struct ForwardProblem {
  using T = T_;
  using Row = const T*;
  struct Column {
    int64_t plane;  // the image's first one of the group
    Pixel at;
  };

  Conv2dForward<T> x;
  Sizes z;
  int64_t m, n, k, batches;

  __device__ bool a_along_k() const { return true; }
  __device__ bool b_along_k() const { return false; }
  __device__ Row row(int64_t group, int64_t i) const { return x.w + (group * z.filters + i) * k; }
  __device__ Column column(int64_t group, int64_t j) const {
    const Pixel at = pixel_of(j, z.OH, z.OW);
    return {at.image * z.C + group * z.channels, at};
  }
  __device__ int64_t a_depth(int64_t at) const { return at; }
  __device__ Tap b_depth(int64_t at) const { return tap_of(z, at); }
  __device__ void advance(int64_t& depth, int64_t step) const { depth += step; }
  __device__ void advance(Tap& depth, const Tap& step) const { add_place(depth, step, z.R, z.S); }
  __device__ T a(Row row, int64_t depth) const { return row[depth]; }
  __device__ T b(const Column& column, const Tap& tap) const {
    return padded(x.x, z, column.plane + tap.channel, column.at, tap);
  }
  __device__ void store(int64_t group, int64_t i, int64_t j, Number<T> sum) const {
    const int64_t plane = static_cast<int64_t>(z.OH) * z.OW, filter = group * z.filters + i;
    const int64_t image = quotient(j, plane);
    if (x.bias != nullptr) sum += x.bias[filter];
    x.out[(image * z.K + filter) * plane + j - image * plane] = narrowed<T>(activate(sum, x.activation));
  }
};

template <class T_>
struct InputGradProblem {
  using T = T_;
  struct Row {
    const T* w;  // of filter 0 of the group
  };
  struct Column {
    int64_t plane;
    Pixel at;
  };

  Conv2dTranspose<T> x;
  Sizes z;
  int64_t m, n, k, batches;

  __device__ bool a_along_k() const { return true; }
  __device__ bool b_along_k() const { return false; }
  __device__ Row row(int64_t group, int64_t i) const {
    return {x.w + (group * z.filters * z.channels + i) * z.R * z.S};
  }
  __device__ Column column(int64_t group, int64_t j) const {
    const Pixel at = pixel_of(j, z.H, z.W);
    return {at.image * z.K + group * z.filters, at};
  }
  __device__ Tap a_depth(int64_t at) const { return tap_of(z, at); }
  __device__ Tap b_depth(int64_t at) const { return tap_of(z, at); }
  __device__ void advance(Tap& depth, const Tap& step) const { add_place(depth, step, z.R, z.S); }
  __device__ T a(const Row& row, const Tap& tap) const {
    return row.w[static_cast<int64_t>(tap.channel) * z.channels * z.R * z.S + tap.r * z.S + tap.s];
  }
  // gy of the output whose tap lies on the pixel, if there is one.
  __device__ T b(const Column& column, const Tap& tap) const {
    const int h = column.at.y + z.pad_h - tap.r * z.dilation_h, w = column.at.x + z.pad_w - tap.s * z.dilation_w;
    if (h < 0 || w < 0) return 0;
    int oh = h, ow = w;
    if (z.stride_h > 1) oh = h / z.stride_h;
    if (z.stride_w > 1) ow = w / z.stride_w;
    if (oh >= z.OH || ow >= z.OW || oh * z.stride_h != h || ow * z.stride_w != w) return 0;
    return x.x[((column.plane + tap.channel) * z.OH + oh) * z.OW + ow];
  }
  __device__ void store(int64_t group, int64_t i, int64_t j, Number<T> sum) const {
    const int64_t plane = static_cast<int64_t>(z.H) * z.W, image = quotient(j, plane);
    const int64_t channel = group * z.channels + i;
    if (x.bias != nullptr) sum += x.bias[channel];
    x.out[(image * z.C + channel) * plane + j - image * plane] = narrowed<T>(activate(sum, x.activation));
  }
};

template <class T_>
struct WeightGradProblem {
  using T = T_;
  using Row = int64_t;  // the filter
  struct Column {
    int64_t channel;
    Tap tap;
  };

  Conv2dWeightGrad<T> x;
  Sizes z;
  int64_t m, n, k, batches;

  __device__ bool a_along_k() const { return true; }
  __device__ bool b_along_k() const { return true; }
  __device__ Row row(int64_t group, int64_t i) const { return group * z.filters + i; }
  __device__ Column column(int64_t group, int64_t j) const {
    const Tap tap = tap_of(z, j);
    return {group * z.channels + tap.channel, tap};
  }
  __device__ Pixel a_depth(int64_t at) const { return pixel_of(at, z.OH, z.OW); }
  __device__ Pixel b_depth(int64_t at) const { return pixel_of(at, z.OH, z.OW); }
  __device__ void advance(Pixel& depth, const Pixel& step) const { add_place(depth, step, z.OH, z.OW); }
  __device__ T a(Row filter, const Pixel& at) const {
    return x.gy[((at.image * z.K + filter) * z.OH + at.y) * z.OW + at.x];
  }
  __device__ T b(const Column& column, const Pixel& at) const {
    return padded(x.x, z, at.image * z.C + column.channel, at, column.tap);
  }
  __device__ void store(int64_t group, int64_t i, int64_t j, Number<T> sum) const {
    x.gw[(group * z.filters + i) * n + j] = narrowed<T>(sum);
  }
};

constexpr int kFewChannels = 4;

// Input grad of groups of few channels, which would leave a tile of the product empty: a thread for each pixel keeps the sums
// of all channels. Only taps that meet an output are visited: with a stride, those of the pixel's phase. A row's pixels are
// numbered phase by phase, so that a warp's lanes have one phase, read the same weights, and neighbours of gy.
//
//      stride 2      x   0 2 4 6 ... | 1 3 5 7 ...
template <class T>
__global__ void __launch_bounds__(kBlock) few_channels_input_grad(Conv2dTranspose<T> k, Sizes z, int64_t groups) {
  const int per_phase = (z.W + z.stride_w - 1) / z.stride_w, slots = per_phase * z.stride_w, taps = z.R * z.S;
  grid_stride(z.N * groups * z.H * slots, [&](int64_t i) {
    const int64_t rows = quotient(i, slots), planes = quotient(rows, z.H), image = quotient(planes, groups);
    const int slot = static_cast<int>(i - rows * slots), y = static_cast<int>(rows - planes * z.H);
    const int phase = slot / per_phase, x = (slot - phase * per_phase) * z.stride_w + phase;
    const int64_t group = planes - image * groups;
    if (x >= z.W) return;
    Number<T> sums[kFewChannels] = {};
    const T* const gy = k.x + (image * z.K + group * z.filters) * z.OH * z.OW;
    const T* const w = k.w + group * z.filters * z.channels * taps;
    for (int r = 0; r < z.R; ++r) {
      const int h = y + z.pad_h - r * z.dilation_h, oh = h / z.stride_h;
      if (h < 0 || oh * z.stride_h != h || oh >= z.OH) continue;
      for (int s = 0; s < z.S; ++s) {
        const int v = x + z.pad_w - s * z.dilation_w, ow = v / z.stride_w;
        if (v < 0 || ow * z.stride_w != v || ow >= z.OW) continue;
        const T* from = gy + static_cast<int64_t>(oh) * z.OW + ow;
        const T* weight = w + r * z.S + s;
#pragma unroll 4
        for (int filter = 0; filter < z.filters; ++filter) {
          const Number<T> g = widened(*from);
#pragma unroll
          for (int c = 0; c < kFewChannels; ++c)
            if (c < z.channels) sums[c] += g * widened(weight[c * taps]);
          from += static_cast<int64_t>(z.OH) * z.OW;
          weight += z.channels * taps;
        }
      }
    }
    T* const out = k.out + ((image * z.C + group * z.channels) * z.H + y) * z.W + x;
    for (int c = 0; c < kFewChannels; ++c) {
      if (c >= z.channels) break;
      if (k.bias != nullptr) sums[c] += k.bias[group * z.channels + c];
      out[static_cast<int64_t>(c) * z.H * z.W] = narrowed<T>(activate(sums[c], k.activation));
    }
  });
}

// gbias[k] = the sum of gy over images and positions: a block for each filter and part of them, and parts added in order.
constexpr int64_t kBiasPart = 16 * kBlock, kMostBiasParts = 64;

template <class T>
__global__ void bias_grad(Conv2dWeightGrad<T> k, int64_t plane, int64_t part, int64_t parts, Number<T>* out) {
  const int64_t filters = k.shape.K, size = k.shape.N * plane;
  for (int64_t task = blockIdx.x; task < filters * parts; task += gridDim.x) {
    const int64_t number = task / filters, filter = task - number * filters;
    const int64_t end = (number + 1) * part < size ? (number + 1) * part : size;
    Number<T> sum = 0;
#pragma unroll 4
    for (int64_t i = number * part + threadIdx.x; i < end; i += kBlock) {
      const int64_t image = quotient(i, plane);
      sum += widened(k.gy[(image * filters + filter) * plane + i - image * plane]);
    }
    sum = summed<kBlock>(sum);
    if (threadIdx.x == 0) out[task] = sum;
  }
}

template <class T>
__global__ void bias_grad_finish(T* gbias, const T* partial, int64_t filters, int64_t parts) {
  grid_stride(filters, [&](int64_t filter) {
    T sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += partial[part * filters + filter];
    gbias[filter] = sum;
  });
}

template <class T>
void start_bias_grad(const Conv2dWeightGrad<T>& k) {
  const char* const name = "conv2d_weight_grad";
  const int64_t filters = k.shape.K, plane = k.shape.OH * k.shape.OW, size = k.shape.N * plane;
  if (filters == 0) return;
  int64_t parts = pieces_of(size, kBiasPart);
  parts = parts < 1 ? 1 : parts < kMostBiasParts ? parts : kMostBiasParts;
  const StreamScratch scratch(parts > 1 ? static_cast<size_t>(parts * filters) * sizeof(Number<T>) : 0);
  Number<T>* const partial = parts > 1 ? scratch.template as<Number<T>>() : k.gbias;
  launch_over(name, bias_grad<T>, filters * parts * kBlock, k, plane, pieces_of(size, parts), parts, partial);
  if (parts > 1) launch_over(name, bias_grad_finish<Number<T>>, filters, k.gbias, partial, filters, parts);
}

// By tensor cores where numbers are pairs.
template <class Problem>
void multiply(const char* name, const Problem& p) {
  if constexpr (sizeof(typename Problem::T) == 2)
    gemm_pairs(name, p);
  else
    gemm(name, p);
}

}  // namespace

template <class T>
void conv2d_forward(const Conv2dForward<T>& x) {
  const ConvShape& s = x.shape;
  multiply("conv2d_forward",
           ForwardProblem<T>{x, sizes_of(s), s.K / s.groups, s.N * s.OH * s.OW, s.C / s.groups * s.R * s.S, s.groups});
}

// The input gradient is a transposed convolution without bias and activation.
template <class T>
void conv2d_transpose(const Conv2dTranspose<T>& x) {
  const char* const name = "conv2d_transpose";
  const ConvShape& s = x.shape;
  if (s.C / s.groups <= kFewChannels) {
    const int64_t slots = pieces_of(s.W, s.stride_w) * s.stride_w;
    launch_over(name, few_channels_input_grad<T>, s.N * s.groups * s.H * slots, x, sizes_of(s), s.groups);
    return;
  }
  multiply(name,
           InputGradProblem<T>{x, sizes_of(s), s.C / s.groups, s.N * s.H * s.W, s.K / s.groups * s.R * s.S, s.groups});
}

template <class T>
void conv2d_input_grad(const Conv2dInputGrad<T>& x) {
  conv2d_transpose(Conv2dTranspose<T>{x.gx, x.gy, x.w, nullptr, x.shape, Activation::none, x.ws});
}

template <class T>
void conv2d_weight_grad(const Conv2dWeightGrad<T>& x) {
  const ConvShape& s = x.shape;
  multiply("conv2d_weight_grad", WeightGradProblem<T>{x, sizes_of(s), s.K / s.groups, s.C / s.groups * s.R * s.S,
                                                      s.N * s.OH * s.OW, s.groups});
  if (x.gbias != nullptr) start_bias_grad(x);
}

EINKORN_INSTANTIATE_STORED(conv2d_forward, Conv2dForward)
EINKORN_INSTANTIATE_STORED(conv2d_transpose, Conv2dTranspose)
EINKORN_INSTANTIATE_STORED(conv2d_input_grad, Conv2dInputGrad)
EINKORN_INSTANTIATE_STORED(conv2d_weight_grad, Conv2dWeightGrad)

}  // namespace einkorn::cuda
