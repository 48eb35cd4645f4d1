// Unfolding: every tap's view of the image, laid out as columns; and folding, its adjoint.
//
//   a tap (t, r, s) sees a row of outputs as a row of pixels, `stride` apart:
//
//      row of x     a b c d e f g          tap s = 0, stride 1, pad 1    0 a b c d e f
//                                          tap s = 1                     a b c d e f g
//
// A task is one plane (n, c): nothing else reads or writes its pixels, so that folding needs no order beyond that of the taps.
// A kernel of one tap along height and width without stride or padding, as three-dimensional convolution unfolds depth, copies
// whole planes as one row.
//
// Versions of three-dimensional convolution, N2 C32 16x32x32 to 32, 3x3x3, one core of Emerald Rapids (177 GFLOP/s) beside other
// programs, ms, the least of nine                                       forward   input gradient   weight gradient
//   depth unfolded; columns of the input's gradient folded                9.7       10.3             13.0
//     of which unfolding or folding, planes put in order, Winograd   1.6  .6  7.9   1.4  .5  9.2    1.6  .5  11.8
//   columns of 2, 4, 8 planes at a time, which stay in L2             9.3  9.4  9.8
//   a two-dimensional one for each tap along depth, added up              9.7                        15.2
//   input gradient as a convolution of gy, its taps turned round                     9.8
//   (torch 2.13, forward; with gradients                                 12.7                        46.9 in all)
// The products alone take 4.6 each at the limit. Of 96 unfolded channels 32 differ: three times as many are transformed as a body
// would need that keeps the points of a plane for the three outputs that it is seen by, and reads planes where they lie.

#include "kernels/conv/conv.h"
#include "kernels/instantiate.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.15;  // ns an element of the columns

struct Inside {
  int64_t first, last;
};

// The outputs q of `outputs` for which 0 <= q * stride + offset < size.
EINKORN_INLINE Inside inside(int64_t size, int64_t outputs, int64_t stride, int64_t offset) {
  int64_t first = offset < 0 ? (stride - 1 - offset) / stride : 0;
  int64_t last = size > offset ? (size - 1 - offset) / stride + 1 : 0;
  first = first < outputs ? first : outputs;
  last = last < outputs ? last : outputs;
  return {first, last > first ? last : first};
}

// Height and width as one row where taps do not cut them.
UnfoldShape merged(UnfoldShape s) {
  const bool plain = s.kernel[1] == 1 && s.kernel[2] == 1 && s.stride[1] == 1 && s.stride[2] == 1 && s.pad[1] == 0 &&
                     s.pad[2] == 0 && s.out[1] == s.size[1] && s.out[2] == s.size[2] && s.step[6] == s.out[2];
  if (plain) {
    s.size[2] *= s.size[1];
    s.out[2] *= s.out[1];
    s.size[1] = s.out[1] = 1;
  }
  return s;
}

// row(columns, pixels, q): a row of columns, the pixels of which those in q are `stride` apart from pixels[0], that of q.first;
// pixels is null where the row lies outside.
template <class Columns, class Pixels, class Row>
EINKORN_INLINE void for_rows(const UnfoldShape& s, Columns* columns, Pixels* plane, const Row& row) {
  for (int64_t t = 0; t < s.kernel[0]; ++t)
    for (int64_t r = 0; r < s.kernel[1]; ++r)
      for (int64_t c = 0; c < s.kernel[2]; ++c) {
        const int64_t offset = c * s.dilation[2] - s.pad[2];
        const Inside q = inside(s.size[2], s.out[2], s.stride[2], offset);
        for (int64_t z = 0; z < s.out[0]; ++z) {
          const int64_t depth = z * s.stride[0] + t * s.dilation[0] - s.pad[0];
          for (int64_t y = 0; y < s.out[1]; ++y) {
            const int64_t height = y * s.stride[1] + r * s.dilation[1] - s.pad[1];
            const bool outside = depth < 0 || depth >= s.size[0] || height < 0 || height >= s.size[1];
            Columns* at = columns + t * s.step[2] + r * s.step[3] + c * s.step[4] + z * s.step[5] + y * s.step[6];
            if (outside || q.first == q.last)
              row(at, static_cast<Pixels*>(nullptr), q);
            else
              row(at, plane + (depth * s.size[1] + height) * s.size[2] + q.first * s.stride[2] + offset, q);
          }
        }
      }
}

template <class Body>
EINKORN_INLINE void for_planes(const Workspace& ws, const UnfoldShape& s, const Body& body) {
  const int64_t taps = s.kernel[0] * s.kernel[1] * s.kernel[2];
  const int64_t elements = taps * s.out[0] * s.out[1] * s.out[2] + 1, plane = s.size[0] * s.size[1] * s.size[2];
  const int64_t each = elements < 16384 ? 16384 / elements : 1, planes = s.N * s.C;
  parallel_for(ws, (planes + each - 1) / each, kCost * static_cast<double>(elements * each), [&](int64_t task, int) {
    const int64_t end = (task + 1) * each < planes ? (task + 1) * each : planes;
    for (int64_t p = task * each; p < end; ++p) body(p / s.C * s.step[0] + p % s.C * s.step[1], p * plane);
  });
}

}  // namespace

template <class T>
void unfold(const Unfold<T>& k) {
  const UnfoldShape s = merged(k.shape);
  const int64_t stride = s.stride[2];
  for_planes(k.ws, s, [&](int64_t columns, int64_t plane) {
    for_rows(s, k.columns + columns, k.x + plane, [&](T* out, const T* pixels, const Inside& q) {
      const int64_t first = pixels == nullptr ? s.out[2] : q.first;
      for (int64_t i = 0; i < first; ++i) out[i] = 0;
      if (pixels == nullptr) return;
      if (stride == 1)
        for_vectors<T>(q.last - q.first,
                       [&](int64_t i, int64_t n) { store_n(out + q.first + i, n, load_n(pixels + i, n)); });
      else
        for (int64_t i = q.first; i < q.last; ++i) out[i] = pixels[(i - q.first) * stride];
      for (int64_t i = q.last; i < s.out[2]; ++i) out[i] = 0;
    });
  });
}
EINKORN_INSTANTIATE(unfold, Unfold)

template <class T>
void fold(const Fold<T>& k) {
  const UnfoldShape s = merged(k.shape);
  const int64_t stride = s.stride[2], size = s.size[0] * s.size[1] * s.size[2];
  for_planes(k.ws, s, [&](int64_t columns, int64_t plane) {
    for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(k.x + plane + i, n, Vec<T>{}); });
    for_rows(s, k.columns + columns, k.x + plane, [&](const T* in, T* pixels, const Inside& q) {
      if (pixels == nullptr) return;
      in += q.first;
      if (stride == 1)
        for_vectors<T>(q.last - q.first, [&](int64_t i, int64_t n) {
          store_n(pixels + i, n, load_n(pixels + i, n) + load_n(in + i, n));
        });
      else
        for (int64_t i = 0; i < q.last - q.first; ++i) pixels[i * stride] += in[i];
    });
  });
}
EINKORN_INSTANTIATE(fold, Fold)

}  // namespace einkorn::EINKORN_ISA
