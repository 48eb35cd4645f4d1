// Depthwise convolution: one channel in, one out, in each group.
//
//   columns of taps, by their x     for each: the rows of the piece are read once, and every output row that sees one takes it
//
//      t0 t1 t2                     row 0 -----> out 0
//      t3 t4 t5                     row 1 -----> out 0, out 1            3 taps tall at step 1: 8 rows of outputs
//      t6 t7 t8                     row 2 -----> out 0, out 1, out 2     read 10 rows, 3 times (a column of taps each)
//                                   ...                                  instead of 8 rows 9 times
//
//   registers: 8 output rows (4 with sixteen registers) of one vector, the column's weights, one row of the piece.
//
// Loads are what it is made of: a vector that begins off a cache line takes two of them. Columns of taps of any height and step are
// summed tap by tap; those in the list below keep their rows.
//
// Versions, one core, microseconds: N8 C64 56x56 3x3 / N16 C64 112x112 3x3 stride 2 / N8 C128 28x28 5x5
//   as a convolution of one channel (conv_direct.cpp)         2100 / 15000 / 1300
//   this                                                      1000 /  7500 /  930
// Small planes: rows past the last are summed and left rather than taken one by one, and several planes make a task. Two threads,
// microseconds, N8, 3x3 at 7x7 C512 / 14x14 C256 / 28x28 C128 / 56x56 C64 / 112x112 C32, then 5x5 at the same:
//   pieces with their zeros on both sides, written up to an element   411 / 416 / 521 / 866 / 2380   547 / 630 / 806 / 1498 / 3457
//   rows close to each other, written by whole vectors                262 / 143 / 194 / 422 / 2260   337 / 242 / 409 /  890 / 2638
// Without a piece, from where the plane lies (run_narrow), one thread: 7x7 3x3 212 -> 192, 5x5 367 -> 343, 14x14 3x3 180 -> 173. At
// 7x7 nine lanes of sixteen are idle: by turns with a library that puts channels into the lanes, 0.8 to 1.06 of its speed at 3x3, 0.54
// to 0.8 at 5x5. Two planes to a vector are not tried.
// The first two are bound by memory: of 8,000 cycles a plane of 56x56, 1,100 are arithmetic and a few hundred the piece. Images
// narrower than a vector leave lanes idle.

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_piece.h"
#include "simd/activate.h"
#include "simd/lane_range.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kMostRows = kVectorBytes == 64 ? 8 : 4;

// Taps by columns: column c has `tall` taps, `down` rows apart, from offset[c] on; their weights are at w + c * tall.
struct TapColumns {
  const int32_t* offset;
  int columns, tall;
  int64_t step, row, down;  // rows of the piece from one row of outputs to the next; elements of a row; of a tap's
};

// Rows of outputs, a vector wide, of which `in` is the first pixel of the first.
template <class T, int kRows, int kTall, int kStep>
EINKORN_INLINE void sum_rows(Vec<T> (&sum)[kRows], const TapColumns& taps, const T* in, const T* w) {
  for (int c = 0; c < taps.columns; ++c, w += kTall) {
    const T* at = in + taps.offset[c];
    Vec<T> weight[kTall];
    EINKORN_UNROLL for (int t = 0; t < kTall; ++t) weight[t] = broadcast(w[t]);
    EINKORN_UNROLL for (int j = 0; j < (kRows - 1) * kStep + kTall; ++j) {
      const Vec<T> pixels = load(at + j * taps.row);
      EINKORN_UNROLL for (int r = 0; r < kRows; ++r) {
        const int t = j - r * kStep;
        if (t >= 0 && t < kTall) sum[r] += pixels * weight[t];
      }
    }
  }
}

template <class T, int kRows>
EINKORN_INLINE void sum_taps(Vec<T> (&sum)[kRows], const TapColumns& taps, const T* in, const T* w) {
  for (int c = 0; c < taps.columns; ++c)
    for (int t = 0; t < taps.tall; ++t) {
      const T* at = in + taps.offset[c] + t * taps.down;
      const Vec<T> weight = broadcast(*w++);
      EINKORN_UNROLL for (int r = 0; r < kRows; ++r) sum[r] += load(at + r * taps.step * taps.row) * weight;
    }
}

// Everything about one plane that its rows share.
template <class T>
struct Plane {
  const TapConvolution<T>& c;
  TapColumns taps;
  const T* w;
  T bias;
  T* out;  // of the first row and column

  T* row(int64_t y) const { return out + y * c.out_step_y * c.out_w; }
};

// `size` columns from x on, of rows apart, that lie with gaps: those of one phase of a strided gradient.
template <class T>
void scatter_rows(const Plane<T>& plane, const T* lanes, int64_t y, int64_t rows, int64_t x, int64_t size) {
  for (int64_t r = 0; r < rows; ++r) {
    T* const to = plane.row(y + r) + x * plane.c.out_step_x;
    for (int64_t i = 0; i < size; ++i) to[i * plane.c.out_step_x] = lanes[r * kLanes<T> + i];
  }
}

// Writes sums[r] to row y + r from column x on, for r < live.
template <class T, int kRows>
EINKORN_INLINE void finish_rows(const Plane<T>& plane, Vec<T> (&sum)[kRows], int64_t y, int64_t live, int64_t x) {
  constexpr int64_t L = kLanes<T>;
  const TapConvolution<T>& c = plane.c;
  const Vec<T> bias = broadcast(plane.bias);
  const bool relu = c.activation == Activation::relu;
  EINKORN_UNROLL for (int r = 0; r < kRows; ++r) {
    sum[r] += bias;
    if (relu) sum[r] = sum[r] < 0 ? Vec<T>{} : sum[r];
  }
  T* const out = plane.row(y) + x;
  const int64_t size = smaller(L, c.grid_w - x), down = c.out_step_y * c.out_w;
  if (c.out_step_x != 1) {
    T lanes[kRows * L];
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) store(lanes + r * L, sum[r]);
    scatter_rows(plane, lanes, y, live, x, size);
  } else if (size == L) {
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) if (r < live) store(out + r * down, sum[r]);
  } else {
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) if (r < live) store_partial(out + r * down, size, sum[r]);
  }
}

// Output rows y, ..., y + live - 1, whose piece begins at `in`; the others are summed and left.
template <class T, int kRows, int kTall, int kStep>
void run_rows(const Plane<T>& plane, const T* in, int64_t y, int64_t live) {
  for (int64_t x = 0; x < plane.c.grid_w; x += kLanes<T>) {
    Vec<T> sum[kRows];
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) sum[r] = Vec<T>{};
    if constexpr (kTall > 0)
      sum_rows<T, kRows, kTall, kStep>(sum, plane.taps, in + x, plane.w);
    else
      sum_taps(sum, plane.taps, in + x, plane.w);
    finish_rows(plane, sum, y, live, x);
  }
}

// A plane no wider than a vector, at stride 1, from where it lies: what is beside it and above is masked out. No piece, so no load
// waits for the stores that it overlaps.
template <class T, int kTall>
void run_narrow(const Plane<T>& plane, const T* in, int64_t first_y) {
  constexpr int kRows = kMostRows;
  constexpr int64_t L = kLanes<T>;
  const int64_t in_h = plane.c.in_h, in_w = plane.c.in_w, grid_h = plane.c.grid_h;
  for (int64_t y = 0; y < grid_h; y += kRows) {
    Vec<T> sum[kRows];
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) sum[r] = Vec<T>{};
    const T* w = plane.w;
    for (int column = 0; column < plane.taps.columns; ++column, w += kTall) {
      const int64_t dx = plane.taps.offset[column];
      const LaneRange<T> lanes(smaller(larger(-dx, 0), L), smaller(larger(in_w - dx, 0), L));
      Vec<T> weight[kTall];
      EINKORN_UNROLL for (int t = 0; t < kTall; ++t) weight[t] = broadcast(w[t]);
      EINKORN_UNROLL for (int j = 0; j < kRows - 1 + kTall; ++j) {
        const int64_t row = y + first_y + j;
        const bool there = row >= 0 && row < in_h;
        const Vec<T> pixels = lanes.load(in + (there ? row * in_w + dx : 0), there);
        EINKORN_UNROLL for (int r = 0; r < kRows; ++r) {
          const int t = j - r;
          if (t >= 0 && t < kTall) sum[r] += pixels * weight[t];
        }
      }
    }
    finish_rows(plane, sum, y, smaller(kRows, grid_h - y), 0);
  }
}

template <class T>
using Narrow = void (*)(const Plane<T>& plane, const T* in, int64_t first_y);

// Null where pieces are as good: with shorter vectors, whose masks cost more.
template <class T>
Narrow<T> choose_narrow(const TapConvolution<T>& c, const TapColumns& taps) {
  if (kVectorBytes < 64 || c.in_w > kLanes<T> || c.grid_w > kLanes<T> || taps.down != taps.row) return nullptr;
  return taps.tall == 3 ? &run_narrow<T, 3> : (taps.tall == 5 ? &run_narrow<T, 5> : nullptr);
}

// The activations that are longer than a convolution's row: over what was written.
template <class T>
void activate_rows(const Plane<T>& plane, int64_t y, int64_t rows) {
  constexpr int64_t L = kLanes<T>;
  const TapConvolution<T>& c = plane.c;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t x = 0; x < c.grid_w; x += L) {
      T* const to = plane.row(y + r) + x * c.out_step_x;
      const int64_t size = smaller(L, c.grid_w - x);
      T lanes[L] = {};
      for (int64_t i = 0; i < size; ++i) lanes[i] = to[i * c.out_step_x];
      store(lanes, activate(load(lanes), c.activation));
      for (int64_t i = 0; i < size; ++i) to[i * c.out_step_x] = lanes[i];
    }
}

// All rows of a band, eight or four at a time. Rows past the last are read from the room behind the piece (DirectScratch).
template <class T, int kTall, int kStep>
void run_band(const Plane<T>& plane, const T* piece, int64_t first, int64_t rows) {
  const int64_t step = plane.taps.step * plane.taps.row;
  for (int64_t y = 0; y < rows; y += kMostRows) {
    const int64_t live = smaller(rows - y, kMostRows);
    if (live > kMostRows / 2)
      run_rows<T, kMostRows, kTall, kStep>(plane, piece + y * step, first + y, live);
    else
      run_rows<T, kMostRows / 2, kTall, kStep>(plane, piece + y * step, first + y, live);
  }
}

template <class T>
using Band = void (*)(const Plane<T>& plane, const T* piece, int64_t first, int64_t rows);

template <class T, int kStep>
Band<T> choose_tall(int tall) {
  switch (tall) {
    case 1:
      return &run_band<T, 1, kStep>;
    case 2:
      return &run_band<T, 2, kStep>;
    case 3:
      return &run_band<T, 3, kStep>;
    case 5:
      return &run_band<T, 5, kStep>;
    case 7:
      return &run_band<T, 7, kStep>;
    default:
      return &run_band<T, 0, 0>;
  }
}

template <class T>
Band<T> choose_band(const TapColumns& taps) {
  if (taps.tall > 1 && taps.down != taps.row) return &run_band<T, 0, 0>;  // dilated
  if (taps.step == 1) return choose_tall<T, 1>(taps.tall);
  if (taps.step == 2) return choose_tall<T, 2>(taps.tall);
  return &run_band<T, 0, 0>;
}

}  // namespace

template <class T>
void convolve_depthwise(const TapConvolution<T>& c, const DirectScratch<T>& scratch, const Workspace& ws) {
  if (c.images == 0 || c.grid_h == 0 || c.grid_w == 0) return;
  // The taps are a rectangle: in each of `tall` rows the same columns.
  int columns = 0, first = 0;  // `first`: the tap of the least y and x
  for (int t = 0; t < c.taps; ++t) {
    columns += c.tap[t].dy == c.tap[0].dy;
    if (c.tap[t].dy <= c.tap[first].dy && c.tap[t].dx <= c.tap[first].dx) first = t;
  }
  const int tall = columns > 0 ? c.taps / columns : 0, last = c.taps - 1 - first;
  const Tap none = {0, 0, 0}, from = c.taps > 0 ? c.tap[first] : none, to = c.taps > 0 ? c.tap[last] : none;
  const DirectBand band =
      direct_band(from.dy, from.dx, to.dy - from.dy, to.dx - from.dx, c.in_step_y, c.in_step_x, c.grid_h, c.grid_w, 1);
  // Three rows more are read than there are, whose sums are left, and a vector.
  const CloseRows close = close_rows(from.dx, to.dx - from.dx, c.in_w, c.grid_w);
  const bool is_close = c.in_step_x == 1 && c.in_step_y == 1 &&
                        close.left + (band.in_rows + 3) * close.pitch + ceil_div(c.grid_w, 16) * 16 <= kMostPiece;
  const int64_t row = is_close ? close.pitch : c.in_step_x * band.width,
                apart = tall > 1 ? (to.dy - from.dy) / (tall - 1) : 0;
  // Tap (r, s) of the rectangle, counted from `from`: rows come one after another, forwards or backwards.
  const auto tap = [&](int r, int s) -> const Tap& {
    const int t = r * columns + s;
    return c.tap[first == 0 ? t : c.taps - 1 - t];
  };
  for (int s = 0; s < columns; ++s) {
    const int64_t x = tap(0, s).dx - from.dx;
    scratch.offsets[s] = static_cast<int32_t>(is_close ? from.dx + x : x % c.in_step_x * band.width + x / c.in_step_x);
  }
  for (int64_t g = 0; g < c.groups; ++g)
    for (int s = 0; s < columns; ++s)
      for (int r = 0; r < tall; ++r)
        scratch.weights[(g * columns + s) * tall + r] = c.w[g * c.w_group_step + tap(r, s).index];

  const TapColumns taps = {scratch.offsets, columns, tall, c.in_step_y, row, apart * row};
  const Band<T> run = choose_band<T>(taps);
  const Narrow<T> run_whole = is_close && band.rows >= c.grid_h ? choose_narrow(c, taps) : nullptr;
  const int64_t bands = ceil_div(c.grid_h, band.rows), pieces = c.images * c.groups * bands;
  const double cost = 0.02 * static_cast<double>((c.taps + 4) * band.rows * ceil_div(c.grid_w, kLanes<T>) * 16);
  const int64_t each = larger(static_cast<int64_t>(4000 / cost), 1);  // small planes go several to a task
  const bool late_activation = c.activation != Activation::none && c.activation != Activation::relu;
  parallel_for(ws, ceil_div(pieces, each), cost * static_cast<double>(each), [&](int64_t task, int slot) {
    T* const piece = scratch.planes[slot];
    int64_t at = task * each, channel = at / bands, group = channel % c.groups, y = at % bands * band.rows;
    for (const int64_t end = smaller(at + each, pieces); at < end; ++at) {
      const int64_t rows = smaller(band.rows, c.grid_h - y);
      const T* const in = c.in + channel * c.in_h * c.in_w;
      const Plane<T> plane = {c, taps, scratch.weights + group * c.taps, c.bias != nullptr ? c.bias[group] : T(0),
                              c.out + channel * c.out_h * c.out_w + c.first_y * c.out_w + c.first_x};
      const int64_t in_rows = (rows - 1) * c.in_step_y + band.tall;
      if (run_whole != nullptr) {
        run_whole(plane, in, band.first_y);
      } else if (is_close) {
        run(plane, fill_close(piece, close, in, c.in_h, c.in_w, y + band.first_y, in_rows), y, rows);
      } else {
        fill_piece(piece, in, 1, c.in_h, c.in_w, band, y * c.in_step_y, in_rows, c.in_step_x);
        run(plane, piece, y, rows);
      }
      if (late_activation) activate_rows(plane, y, rows);
      y += band.rows;
      if (y < c.grid_h) continue;
      y = 0;
      ++channel;
      if (++group == c.groups) group = 0;
    }
  });
}

template void convolve_depthwise(const TapConvolution<float>&, const DirectScratch<float>&, const Workspace&);
template void convolve_depthwise(const TapConvolution<double>&, const DirectScratch<double>&, const Workspace&);

}  // namespace einkorn::EINKORN_ISA
