// Weight gradient: dot products along the output positions, or for many channels outer products position by position.
//
//              positions, a unit                          positions, a unit
//            +---------------------+                    +---------------------+
//    gy      | 4 channels          |        pixels      | 6 taps (c, r, s)    |      24 sums of whole vectors in registers,
//  [K, ...]  +---------------------+        [C*R*S,...] +---------------------+      lanes added up at the end of the unit
//
// Both operands lie along positions already, so neither is transposed, and few channels waste no lanes: LeNet's first layer has
// K = 6 and C*R*S = 25. What a unit is depends on the shape (grad_blocking in conv_grad_plan.h):
//
//   batch    a band of rows of 16 images, an image a lane (conv_batch.h): no lane idles, and every load is aligned
//   rows     a band of rows of one image, pixels from a padded piece of it (conv_piece.h)
//   flat     a block of positions over (n, y, x), columns packed (conv_columns.h), where rows would leave lanes idle
//   outer    a band of rows, outer products (conv_grad_outer.h) for many output channels: gy turned, pixels broadcast from a piece
//   points   the same of 1x1 kernels: pixels turned, gy broadcast as it lies
//
// gy is read in place where it can be. Rows past the end repeat the last one, and what they give is dropped. Units are dealt out
// to parts by the problem's size; each part has its own sums, added in order. gbias is summed beside, while gy is in the caches.
//
// Versions, one core, GFLOP/s: LeNet's layers N64 1->6 28x28 5x5 / 6->16 14x14 5x5; N8 1x1 64->256 56x56; N16 3x3 stride 2 64->128
//   flat units of 512, columns packed                                     38 /  67; 108; 134
//   bands of rows for all                                                 94 /  38;  82;  68     too few positions a unit
//   bands where a unit fills 48 vectors, flat units otherwise             94 /  42; 103; 118
//   rows of columns not a power of two apart, smaller operand inside      96 /  95; 100; 129
//   flat units of 1024                                                    96 /  92; 123; 128
// again on a busier machine, gbias included
//   flat units of 1024                                                    94 /  91; 114; 101
//   batch in lanes; panels of both operands                               94 / 180; 114; 124     transposing gy: half the time
//   longer bands; gy copied together and read by rows                    113 / 180; 133; 139
//   gbias beside                                                         107 / 175; 145; 129
//   panels of 512 positions where L2 holds both operands                 114 / 180; 158; 151
//   outer products in the place of panels: conv_grad_outer.h

#include "kernels/conv/conv_batch.h"
#include "kernels/conv/conv_columns.h"
#include "kernels/conv/conv_grad_outer.h"
#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_piece.h"
#include "kernels/conv/conv_tile.h"

namespace einkorn::EINKORN_ISA {

namespace {

// Lane i of the result is the sum over the lanes of v[i]: neighbors are merged as transpose does, halving their number.
template <class T, int kHalf = 1>
EINKORN_INLINE Vec<T> sum_each(Vec<T> (&v)[kLanes<T>]) {
  EINKORN_UNROLL for (int i = 0; i < kLanes<T>; i += 2 * kHalf) {
    const Vec<T> a = v[i], b = v[i + kHalf];
    v[i] = low_halves<T, kHalf>(a, b) + high_halves<T, kHalf>(a, b);
  }
  if constexpr (2 * kHalf < kLanes<T>) return sum_each<T, 2 * kHalf>(v);
  return v[0];
}

// A strip of `height` rows of `width` positions; rows of gy and of pixels lie these steps apart.
struct Strip {
  int64_t height, width, a_step, b_step;
};

// sums[i * kCols + j] = a[i] . b[j] over the strip.
template <class T, int kRows, int kCols>
EINKORN_INLINE void dot_tile(const T* const* a, const T* const* b, const Strip& strip, T* sums) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kRows][kCols];
  EINKORN_UNROLL for (int i = 0; i < kRows; ++i) EINKORN_UNROLL for (int j = 0; j < kCols; ++j) sum[i][j] = Vec<T>{};
  const T* ap[kRows];
  const T* bp[kCols];
  EINKORN_UNROLL for (int i = 0; i < kRows; ++i) ap[i] = a[i];
  EINKORN_UNROLL for (int j = 0; j < kCols; ++j) bp[j] = b[j];
  const int64_t whole = strip.width / L * L;
  const Window<T> rest = make_window<T>(0, strip.width - whole);
  for (int64_t y = 0, at = 0, bt = 0; y < strip.height; ++y, at += strip.a_step, bt += strip.b_step) {
    for (int64_t x = 0; x < whole; x += L) {
      Vec<T> av[kRows];
      EINKORN_UNROLL for (int i = 0; i < kRows; ++i) av[i] = load(ap[i] + at + x);
      EINKORN_UNROLL for (int j = 0; j < kCols; ++j) {
        const Vec<T> bv = load(bp[j] + bt + x);
        EINKORN_UNROLL for (int i = 0; i < kRows; ++i) sum[i][j] += av[i] * bv;
      }
    }
    if (whole == strip.width) continue;
    Vec<T> av[kRows];
    EINKORN_UNROLL for (int i = 0; i < kRows; ++i) av[i] = load_window(ap[i] + at + whole, rest);
    EINKORN_UNROLL for (int j = 0; j < kCols; ++j) {
      const Vec<T> bv = load_window(bp[j] + bt + whole, rest);
      EINKORN_UNROLL for (int i = 0; i < kRows; ++i) sum[i][j] += av[i] * bv;
    }
  }
  EINKORN_UNROLL for (int first = 0; first < kRows * kCols; first += L) {
    Vec<T> group[L];
    EINKORN_UNROLL for (int i = 0; i < L; ++i) {
      const int at = first + i;
      group[i] = at < kRows * kCols ? sum[at / kCols % kRows][at % kCols] : Vec<T>{};
    }
    store(sums + first, sum_each<T>(group));
  }
}

// Two shapes of tile; the one that pads less is taken. 16 registers hold 12 sums, 32 hold 24.
constexpr int kLong = kVectorBytes == 64 ? 6 : 4, kShort = kVectorBytes == 64 ? 4 : 3;

constexpr int64_t kStripWidth = 1024;

struct DotShape {
  int rows, cols;
};

DotShape dot_shape(int64_t rows, int64_t cols) {
  const int64_t flat = ceil_div(rows, kShort) * ceil_div(cols, kLong);
  const int64_t tall = ceil_div(rows, kLong) * ceil_div(cols, kShort);
  return flat <= tall ? DotShape{kShort, kLong} : DotShape{kLong, kShort};
}

// Where the rows of pixels begin: at offsets[j], or where there are none `step` apart.
template <class T>
struct PixelRows {
  const T* first;
  const int32_t* offsets;
  int64_t step;

  EINKORN_INLINE const T* operator()(int64_t j) const { return first + (offsets != nullptr ? offsets[j] : j * step); }
};

// sums[i * width + j] += gy row i . pixels row j over the strip, for all rows of gy and columns of the chunk.
template <class T>
void add_dots(T* sums, int64_t width, const T* gy, int64_t gy_step, int64_t rows, int64_t cols, const Strip& strip,
              const PixelRows<T>& pixels) {
  const DotShape tile = dot_shape(rows, cols);
  const auto add = [&](int64_t i, int64_t j) {
    const T* a[kLong];
    const T* b[kLong];
    T dots[kShort * kLong + kLanes<T>];
    for (int l = 0; l < tile.rows; ++l) a[l] = gy + smaller(i + l, rows - 1) * gy_step;
    for (int l = 0; l < tile.cols; ++l) b[l] = pixels(smaller(j + l, cols - 1));
    if (tile.rows == kShort)
      dot_tile<T, kShort, kLong>(a, b, strip, dots);
    else
      dot_tile<T, kLong, kShort>(a, b, strip, dots);
    for (int64_t l = 0; l < tile.rows && i + l < rows; ++l)
      for (int64_t m = 0; m < tile.cols && j + m < cols; ++m) sums[(i + l) * width + j + m] += dots[l * tile.cols + m];
  };
  if (rows > cols) {  // the smaller operand goes round in the inner loop
    for (int64_t i = 0; i < rows; i += tile.rows)
      for (int64_t j = 0; j < cols; j += tile.cols) add(i, j);
  } else {
    for (int64_t j = 0; j < cols; j += tile.cols)
      for (int64_t i = 0; i < rows; i += tile.rows) add(i, j);
  }
}

// gy of positions first, ..., first + count - 1, flat over (n, y, x), gathered from the images that they span.
template <class T>
void gather_gy(T* out, int64_t out_step, const T* gy, const ConvShape& s, int64_t first_channel, int64_t channels,
               int64_t first, int64_t count) {
  const int64_t plane = s.OH * s.OW;
  for (int64_t i = 0; i < channels; ++i, out += out_step)
    for (int64_t p = 0; p < count;) {
      const int64_t n = (first + p) / plane, at = (first + p) % plane, run = smaller(plane - at, count - p);
      const T* from = gy + (n * s.K + first_channel + i) * plane + at;
      for (int64_t j = 0; j < run; j += 16) __builtin_prefetch(from + 2 * plane + j);
      copy_run(out + p, from, run, 0, run, 1);
      p += run;
    }
}

// One task: which sums it makes, and of which units.
template <class T>
struct GradTask {
  int64_t first_channel, channels, first_output, outputs, cols, first_unit, end_unit;
  int slot;
  T* sums;  // [outputs][width], of which the first `cols`
  int64_t width;
  T* bias_sums;  // [outputs]; null: not wanted
};

// offsets[j] of pixels row j = (c, r, s) within the piece of a batch.
void batch_offsets(int32_t* offsets, const ConvShape& s, const GradBlocking& b, int64_t lanes) {
  for (int64_t c = 0; c < b.chunk; ++c)
    for (int64_t r = 0; r < s.R; ++r)
      for (int64_t t = 0; t < s.S; ++t)
        *offsets++ =
            static_cast<int32_t>(((c * b.batch.in_rows + r * s.dilation_h) * b.batch.width + t * s.dilation_w) * lanes);
}

template <class T>
EINKORN_INLINE T sum_row(const T* row, int64_t size) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * L <= size; i += 4 * L) EINKORN_UNROLL for (int u = 0; u < 4; ++u) sum[u] += load(row + i + u * L);
  for_vectors<T>(size - i, [&](int64_t j, int64_t m) { sum[0] += load_n(row + i + j, m); });
  return sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// gbias while gy is in the caches.
template <class T>
void add_bias(const GradTask<T>& t, const T* gy, int64_t gy_step, int64_t out_channels, int64_t count) {
  if (t.bias_sums == nullptr) return;
  for (int64_t i = 0; i < out_channels; ++i) t.bias_sums[i] += sum_row(gy + i * gy_step, count);
}

template <class T>
void add_batches(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
                 const GradTask<T>& t) {
  constexpr int64_t L = kLanes<T>;
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW, out_channels = s.K / s.groups, image_step = s.C * s.H * s.W;
  T* piece = scratch.columns[t.slot];
  T* gy = scratch.gy[t.slot];
  for (int64_t unit = t.first_unit; unit < t.end_unit; ++unit) {
    const int64_t y = unit % b.batch.count * b.batch.rows, rows = smaller(b.batch.rows, s.OH - y);
    const int64_t first = unit / b.batch.count * kBatchLanes, end = smaller(first + kBatchLanes, s.N);
    for (int64_t image = first; image < end; image += L) {
      const int64_t images = smaller(L, end - image);
      fill_batch(piece, k.x + image * image_step + t.first_channel * s.H * s.W, t.channels, s.H, s.W, image_step,
                 images, b.batch, y * s.stride_h - s.pad_h, -s.pad_w, (rows - 1) * s.stride_h + b.batch.tall, true);
      for (int64_t i = 0; i < out_channels; ++i)
        spread_images(gy + i * rows * s.OW * L, rows * s.OW, 0,
                      k.gy + (image * s.K + t.first_output + i) * plane + y * s.OW, s.K * plane, images, 1,
                      rows * s.OW);
      add_bias(t, gy, rows * s.OW * L, out_channels, rows * s.OW * L);
      add_dots(t.sums, t.width, gy, rows * s.OW * L, out_channels, t.cols,
               {rows, s.OW * L, s.OW * L, s.stride_h * b.batch.width * L}, {piece, scratch.offsets, 0});
    }
  }
}

template <class T>
void add_rows(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
              const GradTask<T>& t) {
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW, out_channels = s.K / s.groups;
  T* piece = scratch.columns[t.slot];
  for (int64_t unit = t.first_unit; unit < t.end_unit; ++unit) {
    const int64_t image = unit / b.bands, y = unit % b.bands * b.band.rows, rows = smaller(b.band.rows, s.OH - y);
    fill_piece(piece, k.x + (image * s.C + t.first_channel) * s.H * s.W, t.channels, s.H, s.W, b.band, y * s.stride_h,
               (rows - 1) * s.stride_h + b.band.tall, s.stride_w);
    const T* gy = k.gy + (image * s.K + t.first_output) * plane + y * s.OW;
    add_bias(t, gy, plane, out_channels, rows * s.OW);
    for (int64_t left = 0; left < s.OW; left += kStripWidth) {  // wide rows in strips that fit L1
      const Strip strip = {rows, smaller(kStripWidth, s.OW - left), s.OW, s.stride_h * s.stride_w * b.band.width};
      add_dots(t.sums, t.width, gy + left, plane, out_channels, t.cols, strip, {piece + left, scratch.offsets, 0});
    }
  }
}

template <class T>
void add_outer_bands(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
                     const GradTask<T>& t) {
  constexpr int64_t L = kLanes<T>;
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW, out_channels = s.K / s.groups, lanes = ceil_div(out_channels, L) * L;
  const int64_t piece_row = s.stride_w * b.band.width, together = larger(kOuterPositions / larger(s.OW, 1), 1);
  const int64_t width = ceil_div(s.OW, larger(ceil_div(s.OW, kOuterPositions), 1));
  T* const piece = scratch.columns[t.slot];
  T* const gy = scratch.gy[t.slot];
  T* const sums = scratch.sums[t.slot];
  fill_zeros(sums, (t.cols + kOuterTaps) * lanes);
  for (int64_t unit = t.first_unit; unit < t.end_unit; ++unit) {
    const int64_t image = unit / b.bands, y = unit % b.bands * b.band.rows, rows = smaller(b.band.rows, s.OH - y);
    fill_piece(piece, k.x + (image * s.C + t.first_channel) * s.H * s.W, t.channels, s.H, s.W, b.band, y * s.stride_h,
               (rows - 1) * s.stride_h + b.band.tall, s.stride_w);
    for (int64_t row = 0; row < rows; row += together)
      for (int64_t left = 0; left < s.OW; left += width) {  // several rows of outputs, or a part of one
        const OuterStrip<T> strip = {smaller(together, rows - row), smaller(width, s.OW - left), s.stride_h * piece_row,
                                     gy, lanes};
        turn_channels(strip, gy, 0, k.gy + (image * s.K + t.first_output) * plane + (y + row) * s.OW + left, plane,
                      out_channels, strip.positions(), strip.positions());
        if (t.bias_sums != nullptr) add_turned_bias(t.bias_sums, strip, out_channels);
        const T* const from = piece + row * s.stride_h * piece_row + left;
        add_outer(strip, t.cols, sums, [&](int64_t tap) { return from + scratch.offsets[tap]; });
      }
  }
  turn_sums(t.sums, t.width, sums, lanes, out_channels, t.cols);
}

// Rows `step` elements apart.
template <class T>
struct FlatRows {
  const T* first;
  int64_t step;
};

// gy of a flat unit: in place if one image holds it, else gathered.
template <class T>
FlatRows<T> gy_of_block(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
                        const GradTask<T>& t, int64_t first, int64_t count) {
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW, image = first / plane;
  if ((first + count - 1) / plane == image)
    return {k.gy + (image * s.K + t.first_output) * plane + first % plane, plane};
  T* copy = scratch.gy[t.slot];
  gather_gy(copy, b.row, k.gy, s, t.first_output, s.K / s.groups, first, count);
  return {copy, b.row};
}

// The pixels of a flat unit, (c, r, s) by position: x itself if it is that, else packed.
template <class T>
FlatRows<T> columns_of_block(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
                             const GradTask<T>& t, int64_t first, int64_t count) {
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW, image = first / plane;
  const T* x = k.x + t.first_channel * s.H * s.W;
  if (s.R * s.S == 1 && s.H == s.OH && s.W == s.OW && s.pad_h == 0 && s.pad_w == 0 &&
      (first + count - 1) / plane == image)
    return {x + image * s.C * plane + first % plane, plane};
  T* columns = scratch.columns[t.slot];
  const ColumnSource<T> source = {x,
                                  s.C * s.H * s.W,
                                  t.channels,
                                  s.H,
                                  s.W,
                                  s.OH,
                                  s.OW,
                                  s.stride_h,
                                  s.stride_w,
                                  scratch.taps,
                                  static_cast<int>(s.R * s.S)};
  pack_columns(columns, b.row, source, first, count, scratch.windows[t.slot]);
  return {columns, b.row};
}

template <class T>
void add_blocks(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
                const GradTask<T>& t) {
  const ConvShape& s = k.shape;
  for (int64_t unit = t.first_unit; unit < t.end_unit; ++unit) {
    const int64_t first = unit * b.block, count = smaller(b.block, s.N * s.OH * s.OW - first);
    const FlatRows<T> gy = gy_of_block(k, scratch, b, t, first, count);
    const FlatRows<T> columns = columns_of_block(k, scratch, b, t, first, count);
    add_bias(t, gy.first, gy.step, s.K / s.groups, count);
    add_dots(t.sums, t.width, gy.first, gy.step, s.K / s.groups, t.cols, {1, count, 0, 0},
             {columns.first, nullptr, columns.step});
  }
}

// 1x1: each channel of gy is a row of outer products with the pixels, which are turned; several images or a part of one at a time.
template <class T>
void add_points(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch, const GradBlocking& b,
                const GradTask<T>& t) {
  constexpr int64_t L = kLanes<T>;
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW, lanes = ceil_div(t.cols, L) * L;
  T* const turned = scratch.gy[t.slot];
  T* const sums = scratch.sums[t.slot];
  fill_zeros(sums, (t.outputs + kOuterTaps) * lanes);
  const int64_t pieces = ceil_div(plane, kPointPositions), width = ceil_div(plane, larger(pieces, 1));
  for (int64_t unit = t.first_unit; unit < t.end_unit; ++unit) {
    const int64_t image = pieces > 1 ? unit / pieces : unit * b.images, left = pieces > 1 ? unit % pieces * width : 0;
    const int64_t images = pieces > 1 ? 1 : smaller(b.images, s.N - image), count = smaller(width, plane - left);
    if (count <= 0) continue;
    const OuterStrip<T> strip = {images, count, s.K * plane, turned, lanes};
    for (int64_t i = 0; i < images; ++i) {
      const FlatRows<T> x = columns_of_block(k, scratch, b, t, (image + i) * plane + left, count);
      turn_channels(strip, turned, i * count, x.first, x.step, t.cols, count, count);
    }
    const T* const gy = k.gy + (image * s.K + t.first_output) * plane + left;
    for (int64_t i = 0; i < images; ++i) add_bias(t, gy + i * s.K * plane, plane, t.outputs, count);
    add_outer(strip, t.outputs, sums, [&](int64_t o) { return gy + o * plane; });
  }
  for (int64_t i = 0; i < t.outputs; ++i)
    for_vectors<T>(
        t.cols, [&](int64_t j, int64_t n) { store_n(t.sums + i * t.width + j, n, load_n(sums + i * lanes + j, n)); });
}

}  // namespace

template <class T>
void weight_grad_by_units(const Conv2dWeightGrad<T>& k, const GradScratch<T>& scratch) {
  const ConvShape& s = k.shape;
  const int64_t taps = s.R * s.S, channels = s.C / s.groups, out_channels = s.K / s.groups;
  const int64_t plane = s.OH * s.OW, positions = s.N * plane, width = channels * taps;
  if (s.K * width == 0) {
    if (k.gbias != nullptr) bias_grad(k);
    return;
  }
  const GradBlocking b = grad_blocking(s);
  for (int64_t r = 0; r < s.R; ++r)
    for (int64_t c = 0; c < s.S; ++c)
      scratch.taps[r * s.S + c] = {static_cast<int32_t>(r * s.dilation_h - s.pad_h),
                                   static_cast<int32_t>(c * s.dilation_w - s.pad_w), static_cast<int32_t>(r * s.S + c)};
  if (b.kind == GradUnits::batch)
    batch_offsets(scratch.offsets, s, b, kLanes<T>);
  else
    tap_offsets(scratch.offsets, scratch.taps, static_cast<int>(taps), b.chunk, b.band, s.stride_w);

  const int64_t unit_size = ceil_div(positions, b.units);
  const double cost = 0.012 * static_cast<double>(b.part_units * unit_size * b.chunk * taps * b.outputs);
  parallel_for(k.ws, b.parts * s.groups * b.splits * b.chunks, cost, [&](int64_t task, int slot) {
    const int64_t chunk = task % b.chunks, split = task / b.chunks % b.splits,
                  group = task / b.chunks / b.splits % s.groups, part = task / b.chunks / b.splits / s.groups;
    GradTask<T> t;
    t.first_channel = group * channels + chunk * b.chunk;
    t.channels = smaller(b.chunk, channels - chunk * b.chunk);
    t.first_output = group * out_channels + split * b.outputs;
    t.outputs = smaller(b.outputs, out_channels - split * b.outputs);
    t.cols = t.channels * taps;
    t.first_unit = part * b.part_units;
    t.end_unit = positions == 0 ? t.first_unit : smaller(b.units, t.first_unit + b.part_units);
    t.slot = slot;
    t.sums =
        (b.parts == 1 ? k.gw : scratch.partial + part * s.K * width) + t.first_output * width + chunk * b.chunk * taps;
    t.width = width;
    t.bias_sums = k.gbias != nullptr && chunk == 0 ? scratch.bias + part * s.K + t.first_output : nullptr;
    if (t.bias_sums != nullptr)
      for (int64_t i = 0; i < t.outputs; ++i) t.bias_sums[i] = 0;
    if (b.kind == GradUnits::batch || b.kind == GradUnits::rows ||
        b.kind == GradUnits::flat)  // others write all of them
      for (int64_t i = 0; i < t.outputs; ++i)
        for (int64_t j = 0; j < t.cols; ++j) t.sums[i * width + j] = 0;
    switch (b.kind) {
      case GradUnits::batch:
        return add_batches(k, scratch, b, t);
      case GradUnits::rows:
        return add_rows(k, scratch, b, t);
      case GradUnits::outer:
        return add_outer_bands(k, scratch, b, t);
      case GradUnits::flat:
        return add_blocks(k, scratch, b, t);
      case GradUnits::points:
        return add_points(k, scratch, b, t);
    }
  });

  if (k.gbias != nullptr)
    for (int64_t i = 0; i < s.K; ++i) {
      T sum = scratch.bias[i];
      for (int64_t part = 1; part < b.parts; ++part) sum += scratch.bias[part * s.K + i];
      k.gbias[i] = sum;
    }

  if (b.parts == 1) return;
  const int64_t total = s.K * width, slice = 4096;
  parallel_for(k.ws, ceil_div(total, slice), 0.2 * static_cast<double>(slice * b.parts), [&](int64_t task, int) {
    const int64_t begin = task * slice;
    for_vectors<T>(smaller(slice, total - begin), [&](int64_t i, int64_t n) {
      Vec<T> sum = load_n(scratch.partial + begin + i, n);
      for (int64_t part = 1; part < b.parts; ++part) sum += load_n(scratch.partial + part * total + begin + i, n);
      store_n(k.gw + begin + i, n, sum);
    });
  });
}

template <class T>
void bias_grad(const Conv2dWeightGrad<T>& k) {
  const ConvShape& s = k.shape;
  const int64_t plane = s.OH * s.OW;
  parallel_for(k.ws, s.K, 0.1 * static_cast<double>(s.N * plane), [&](int64_t channel, int) {
    T total = 0;
    for (int64_t n = 0; n < s.N; ++n) total += sum_row(k.gy + (n * s.K + channel) * plane, plane);
    k.gbias[channel] = total;
  });
}

template void weight_grad_by_units(const Conv2dWeightGrad<float>&, const GradScratch<float>&);
template void weight_grad_by_units(const Conv2dWeightGrad<double>&, const GradScratch<double>&);
template void bias_grad(const Conv2dWeightGrad<float>&);
template void bias_grad(const Conv2dWeightGrad<double>&);

}  // namespace einkorn::EINKORN_ISA
