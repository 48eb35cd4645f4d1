// Convolution of bfloat16, forward and back, as a product of pairs of input channels: conv_gemm.cpp in half the steps.
//
//   weights    (w[o, 0, t] w[o, 1, t]) ...   rows of outputs; in a row pairs of channels, and of each the taps
//   columns    (x[0, j] x[1, j]) ...         the same pairs from 32 positions: two planes, a pixel each in a lane
//
// Columns are packed straight from the images: at stride 1 and 2 a lane takes a load from either plane, a shift and an or.
// Sums stay in registers for kTileDepth pairs; bias and activation are float, and the result is rounded once.
//
// Winograd's transforms would round what is multiplied once more, and save little: a product of pairs costs half.
//
// Versions, one thread of a Zen 4 EPYC, the least of many, ms: N8 C128 28x28 K256 3x3 stride 2 / N8 C256 14x14 K256 3x3 /
// N8 C256 14x14 K1024 1x1, forward
//   float of widened arrays (Winograd, Winograd, product)                 9.4 / 11.0 / 10.3     from two threads, doubled
//   this, rounded lane by lane through memory                             4.8 /  9.2 / 5.0
//   rounded by one instruction, written by shifted masks; even panels     4.8 /  9.0 / 4.9
//   (torch 2.13, by turns)                                                4.5 /  8.1 / 4.5
// The tiles take 85% of the time and run at the limit, a vector of pairs a cycle; packing columns and writing outputs take 10%.

#include "kernels/conv/conv_pairs.h"

#include "kernels/conv/conv_taps.h"
#include "simd/activate.h"

#if defined(__AVX512BF16__)

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t L = kLanes<float>, C = kPairColumns, kPlanesAhead = 4;

struct PairProduct {
  const TapConvolution<bfloat16>& c;
  const ConvPairParts& parts;
  const int32_t* weights;  // [groups][out_channels], `step` apart
  int64_t pairs, steps, step;

  PairProduct(const TapConvolution<bfloat16>& c, const ConvPairParts& parts)
      : c(c),
        parts(parts),
        weights(parts.weights),
        pairs(ceil_div(c.in_channels, 2)),
        steps(pairs * c.taps),
        step(odd_lines(larger(steps, 1))) {}

  void pack_weights(const Workspace& ws) const {
    const int64_t rows = c.groups * c.out_channels;
    parallel_for(ws, rows, 1.0 * static_cast<double>(steps), [&](int64_t row, int) {
      const bfloat16* w = c.w + row / c.out_channels * c.w_group_step + row % c.out_channels * c.w_out_step;
      int32_t* out = parts.weights + row * step;
      for (int64_t i = 0; i < c.in_channels; i += 2, w += 2 * c.w_in_step, out += c.taps)
        for (int t = 0; t < c.taps; ++t) {
          const uint32_t first = w[c.tap[t].index],
                         second = i + 1 < c.in_channels ? w[c.w_in_step + c.tap[t].index] : 0;
          out[t] = static_cast<int32_t>(first | second << 16);
        }
    });
  }

  // columns[(pair * taps + t) * C + at + j] for a run.
  template <int kStep>
  EINKORN_INLINE void pack_run(int32_t* out, const bfloat16* in, const PairWindow* windows, int64_t size,
                               int64_t room) const {
    const int64_t plane = c.in_h * c.in_w;
    for (int64_t i = 0; i < c.in_channels; i += 2, in += 2 * plane) {
      const bool both = i + 1 < c.in_channels;
      const bfloat16* const next = both ? in + plane : in;
      const uint32_t wanted = both ? ~0u : 0u;
      for (int t = 0; t < c.taps; ++t, out += C) {
        const PairWindow& w = windows[t];
        const auto pixels = [&](int part) __attribute__((always_inline)) {
          const int64_t at = w.offset + part * L * kStep;
          return (Vec<int32_t>)_mm512_or_si512(
              pixels_in_lanes<kStep>(in + at, w.mask[part]),
              _mm512_slli_epi32(pixels_in_lanes<kStep>(next + at, w.mask[part] & wanted), 16));
        };
        if (w.first_in_row) {
          __builtin_prefetch(in + w.offset + kPlanesAhead * plane);
          __builtin_prefetch(in + w.offset + (kPlanesAhead + 1) * plane);
        }
        // What a whole vector writes past the run is the next run's.
        store_n(out, room >= L ? L : size, pixels(0));
        if (size > L) store_n(out + L, room >= 2 * L ? L : size - L, pixels(1));
      }
    }
  }

  // At any stride, a pixel at a time.
  void pack_run_slowly(int32_t* out, const bfloat16* in, const PairWindow* windows, int64_t size) const {
    const int64_t plane = c.in_h * c.in_w;
    for (int64_t i = 0; i < c.in_channels; i += 2, in += 2 * plane)
      for (int t = 0; t < c.taps; ++t, out += C) {
        const PairWindow& w = windows[t];
        for (int64_t j = 0; j < size; ++j) {
          const bfloat16* const p = in + w.offset + j * c.in_step_x;
          const bool inside = w.low <= j && j < w.high;
          const uint32_t first = inside ? p[0] : 0, second = inside && i + 1 < c.in_channels ? p[plane] : 0;
          out[j] = static_cast<int32_t>(first | second << 16);
        }
      }
  }

  void pack_columns(int32_t* columns, int64_t group, int64_t first, int64_t count, PairWindow* windows) const {
    const PairSource source = {c.in_h, c.in_w, c.grid_h, c.grid_w, c.in_step_y, c.in_step_x, c.tap, c.taps};
    source.for_runs(first, count, windows, [&](int64_t image, int64_t at, int64_t size) {
      const bfloat16* const in = c.in + (image * c.groups + group) * c.in_channels * c.in_h * c.in_w;
      if (c.in_step_x == 1)
        pack_run<1>(columns + at, in, windows, size, C - at);
      else if (c.in_step_x == 2)
        pack_run<2>(columns + at, in, windows, size, C - at);
      else
        pack_run_slowly(columns + at, in, windows, size);
    });
  }

  // A piece of a block whose outputs lie together, or in steps.
  struct Piece {
    bfloat16* out;  // of the group's first channel
    int64_t at, size;
  };

  int64_t pieces_of(Piece* pieces, int64_t group, int64_t first, int64_t count) const {
    const int64_t grid = c.grid_h * c.grid_w, plane = c.out_h * c.out_w;
    const bool neighbors = grid == plane;
    int64_t found = 0;
    for (int64_t j = 0; j < count;) {
      const int64_t image = (first + j) / grid, rest = (first + j) % grid;
      const int64_t y = rest / c.grid_w, x = rest % c.grid_w;
      const int64_t size = smaller(neighbors ? grid - rest : c.grid_w - x, count - j);
      bfloat16* const out = c.out + (image * c.groups + group) * c.out_channels * plane;
      const int64_t place = neighbors ? rest : (c.first_y + y * c.out_step_y) * c.out_w + c.first_x + x * c.out_step_x;
      pieces[found++] = {out + place, j, size};
      j += size;
    }
    return found;
  }

  // Sums of `rows` channels from `channel` of the group on, to their places.
  void finish(const float* sums, const Piece* pieces, int64_t count, int64_t group, int64_t channel,
              int64_t rows) const {
    const int64_t plane = c.out_h * c.out_w;
    for (int64_t r = 0; r < rows; ++r) {
      const Vec<float> bias = broadcast(c.bias != nullptr ? c.bias[group * c.out_channels + channel + r] : 0.0f);
      const auto value = [&](int v) __attribute__((always_inline)) {
        return activate(load(sums + r * C + v * L) + bias, c.activation);
      };
      const __m512i row = (__m512i)rounded_one_after_the_other(value(0), value(1));
      for (int64_t p = 0; p < count; ++p) {
        const Piece& piece = pieces[p];
        bfloat16* const to = piece.out + (channel + r) * plane;
        if (piece.size == C && c.out_step_x == 1) {
          _mm512_storeu_si512(to, row);
        } else if (c.out_step_x == 1) {
          const uint64_t live = ((1ull << piece.size) - 1) << piece.at;
          _mm512_mask_storeu_epi16(to - piece.at, static_cast<__mmask32>(live), row);
        } else {
          alignas(64) bfloat16 pixels[C];
          _mm512_store_si512(pixels, row);
          for (int64_t j = 0; j < piece.size; ++j) to[j * c.out_step_x] = pixels[piece.at + j];
        }
      }
    }
  }

  void operator()(const Workspace& ws) const {
    const int64_t positions = c.images * c.grid_h * c.grid_w;
    const RowPanels panels = row_panels(c.out_channels, kTileRows);
    // Few positions: cut the panels of w as well, so that there is work for all threads.
    const int64_t blocks = ceil_div(positions, C), task_blocks = blocks < 128 ? 1 : gemm_blocks(steps),
                  block_tasks = ceil_div(blocks, task_blocks);
    const int64_t splits = smaller(panels.count, ceil_div(16, block_tasks * c.groups));
    const int64_t split_panels = ceil_div(panels.count, splits);
    const double cost = 0.005 * static_cast<double>(2 * steps * split_panels * panels.rows * C * task_blocks);
    parallel_for(ws, block_tasks * c.groups * splits, cost, [&](int64_t task, int slot) {
      const int64_t split = task % splits, group = task / splits % c.groups,
                    begin = task / splits / c.groups * task_blocks * C,
                    end = smaller(positions, begin + task_blocks * C);
      int32_t* const columns = parts.columns[slot];
      float *const sums = parts.sums[slot], *const more = sums + kPairRows * C;
      for (int64_t first = begin, b = 0; first < end; first += C, ++b)
        pack_columns(columns + b * steps * C, group, first, smaller(C, end - first), parts.windows[slot]);
      Piece pieces[4][C];
      int64_t found[4];
      for (int64_t first = begin, b = 0; first < end; first += C, ++b)
        found[b] = pieces_of(pieces[b], group, first, smaller(C, end - first));

      for (int64_t p = split * split_panels; p < smaller(panels.count, (split + 1) * split_panels); ++p) {
        const int64_t channel = c.out_channels * p / panels.count,
                      rows = c.out_channels * (p + 1) / panels.count - channel;
        const int32_t* const w = weights + (group * c.out_channels + channel) * step;
        for (int64_t first = begin, b = 0; first < end; first += C, ++b) {
          const PairSums tile = choose_pair_tile(rows, end - first > L ? 2 : 1, APanel::by_rows);
          const int32_t* const from = columns + b * steps * C;
          tile(smaller(kTileDepth, steps), w, step, from, C, sums, C);
          for (int64_t at = kTileDepth; at < steps; at += kTileDepth) {
            tile(smaller(kTileDepth, steps - at), w + at, step, from + at * C, C, more, C);
            for (int64_t e = 0; e < rows * C; e += L) store(sums + e, load(sums + e) + load(more + e));
          }
          finish(sums, pieces[b], found[b], group, channel, rows);
        }
      }
    });
  }
};

void convolve(const TapConvolution<bfloat16>& c, const ConvPairParts& parts, const Workspace& ws) {
  if (c.images * c.grid_h * c.grid_w * c.out_channels * c.groups == 0) return;
  const PairProduct product(c, parts);
  product.pack_weights(ws);
  product(ws);
}

template <class Args>
void convolve_back(const Args& k, const TapArrays<bfloat16>& arrays) {
  const auto parts = carve<ConvPairParts>(k);
  for (int64_t phase = 0; phase < phases_in_all(k.shape); ++phase)
    convolve(phase_taps(arrays, k.shape, phase, parts.taps), parts, k.ws);
}

}  // namespace

template <class T>
void conv2d_forward(const Conv2dForward<T>& k) {
  const auto parts = carve<ConvPairParts>(k);
  convolve(forward_taps<T>({k.out, k.x, k.w, k.bias, k.activation}, k.shape, parts.taps), parts, k.ws);
}

template <class T>
void conv2d_input_grad(const Conv2dInputGrad<T>& k) {
  convolve_back(k, {k.gx, k.gy, k.w, nullptr, Activation::none});
}

template <class T>
void conv2d_transpose(const Conv2dTranspose<T>& k) {
  convolve_back(k, {k.out, k.x, k.w, k.bias, k.activation});
}

template void conv2d_forward(const Conv2dForward<bfloat16>&);
template void conv2d_input_grad(const Conv2dInputGrad<bfloat16>&);
template void conv2d_transpose(const Conv2dTranspose<bfloat16>&);

}  // namespace einkorn::EINKORN_ISA

#endif
