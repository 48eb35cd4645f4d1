// Weight gradient of a convolution over bfloat16, as a product of pairs of positions.
//
//   gw[k, (c, r, s)] = sum over positions of gy[k, position] * pixel[(c, r, s), position]
//
// Rows of gy run along positions and lie in pairs as they are; those of an image's block are copied together. Pixels are copied
// into rows too, and then transposed into panels of 32 taps (gemm_packed.h). Sums are float over all blocks of a part, and the
// parts' are added in order and rounded once. gbias is summed beside, while gy is in the caches.
//
// One thread of a Zen 4 EPYC, N8 C256 14x14 K256 3x3: tiles take 80% of the time, rows of pixels 12%, their panels 2%.

#include "kernels/conv/conv_pairs.h"
#include "kernels/conv/conv_taps.h"

#if defined(__AVX512BF16__)

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t L = kLanes<float>, C = kPairColumns;

struct PairGrad {
  const Conv2dWeightGrad<bfloat16>& k;
  const ConvPairGradParts& parts;
  const ConvShape& s;
  PairGradBlocking b;
  int64_t taps, channels, out_channels, plane, positions;

  PairGrad(const Conv2dWeightGrad<bfloat16>& k, const ConvPairGradParts& parts)
      : k(k),
        parts(parts),
        s(k.shape),
        b(k.shape),
        taps(s.R * s.S),
        channels(s.C / s.groups),
        out_channels(s.K / s.groups),
        plane(s.OH * s.OW),
        positions(s.N * plane) {}

  // Rows of pixels: out[(c * taps + t) * row + j].
  void gather_pixels(bfloat16* out, int64_t first_channel, int64_t count_channels, int64_t first, int64_t count,
                     PairWindow* windows) const {
    const PairSource source = {s.H, s.W, s.OH, s.OW, s.stride_h, s.stride_w, parts.taps, static_cast<int>(taps)};
    source.for_runs(first, count, windows, [&](int64_t image, int64_t at, int64_t size) {
      const bfloat16* in = k.x + (image * s.C + first_channel) * s.H * s.W;
      bfloat16* to = out + at;
      for (int64_t c = 0; c < count_channels; ++c, in += s.H * s.W)
        for (int64_t t = 0; t < taps; ++t, to += b.row) {
          const PairWindow& w = windows[t];
          if (w.first_in_row) __builtin_prefetch(in + w.offset + 4 * s.H * s.W);
          // What whole vectors write past the run is the next run's, or room.
          if (s.stride_w == 1)
            _mm512_storeu_si512(to, _mm512_maskz_loadu_epi16(w.mask[0] | w.mask[1] << 16, in + w.offset));
          else if (s.stride_w == 2)
            for (int part = 0; part < 2; ++part)
              _mm256_storeu_si256(
                  reinterpret_cast<__m256i*>(to + part * L),
                  _mm512_cvtepi32_epi16(pixels_in_lanes<2>(in + w.offset + part * 2 * L, w.mask[part])));
          else
            for (int64_t j = 0; j < size; ++j)
              to[j] = w.low <= j && j < w.high ? in[w.offset + j * s.stride_w] : bfloat16{0};
        }
    });
  }

  // Rows of gy, zero past an odd count.
  void gather_gy(bfloat16* out, int64_t first_output, int64_t first, int64_t count) const {
    for (int64_t i = 0; i < out_channels; ++i, out += b.row) {
      for (int64_t p = 0; p < count;) {
        const int64_t n = (first + p) / plane, at = (first + p) % plane, run = smaller(plane - at, count - p);
        const bfloat16* const from = k.gy + (n * s.K + first_output + i) * plane + at;
        __builtin_prefetch(from + 2 * plane);
        for (int64_t j = 0; j < run; j += 2 * L) {
          const __mmask32 live = static_cast<__mmask32>((1ull << smaller(2 * L, run - j)) - 1);
          _mm512_mask_storeu_epi16(out + p + j, live, _mm512_maskz_loadu_epi16(live, from + j));
        }
        p += run;
      }
      out[count] = 0;
    }
  }

  void add_bias(float* sums, const bfloat16* gy, int64_t count) const {
    for (int64_t i = 0; i < out_channels; ++i, gy += b.row) {
      Vec<float> sum = {};
      for_vectors<float>(count, [&](int64_t j, int64_t n) { sum += load_bf16_n(gy + j, n); });
      sums[i] += sum_lanes<float>(sum);
    }
  }

  void operator()(int64_t task, int slot) const {
    if (out_channels == 0) return;
    const int64_t chunk = task % b.chunks, group = task / b.chunks % s.groups, part = task / b.chunks / s.groups;
    const int64_t first_channel = chunk * b.chunk, live = smaller(b.chunk, channels - first_channel);
    const int64_t cols = live * taps, padded = ceil_div(cols, C) * C, first_output = group * out_channels;
    const RowPanels panels = row_panels(out_channels, kTileRows);
    bfloat16 *const pixels = parts.columns[slot], *const gy = parts.gy[slot];
    int32_t* const slice = parts.panels[slot];
    float *const tile_sums = parts.sums[slot], *const sums = tile_sums + kPairRows * C;
    float* const bias = k.gbias != nullptr && chunk == 0 ? parts.bias + part * s.K + first_output : nullptr;
    for (int64_t e = 0; e < out_channels * padded; e += L) store(sums + e, Vec<float>{});
    if (bias != nullptr)
      for (int64_t i = 0; i < out_channels; ++i) bias[i] = 0;

    for (int64_t block = part * b.part_blocks; block < smaller(b.blocks, (part + 1) * b.part_blocks); ++block) {
      const int64_t first = block * b.block, count = smaller(b.block, positions - first), depth = halved(count);
      if (count <= 0) break;
      gather_pixels(pixels, group * channels + first_channel, live, first, count, parts.windows[slot]);
      packed::pack_slice<Pairs>(slice, cols, count, depth, pixels, int64_t{1}, b.row);
      gather_gy(gy, first_output, first, count);
      if (bias != nullptr) add_bias(bias, gy, count);
      for (int64_t j = 0; j < padded; j += C)
        for (int64_t p = 0; p < panels.count; ++p) {
          const int64_t o = out_channels * p / panels.count, rows = out_channels * (p + 1) / panels.count - o;
          const int vectors = cols - j > L ? 2 : 1;
          choose_pair_tile(rows, vectors, APanel::by_rows)(depth, reinterpret_cast<const int32_t*>(gy + o * b.row),
                                                           b.row / 2, slice + j * depth, C, tile_sums, C);
          for (int64_t r = 0; r < rows; ++r)
            for (int v = 0; v < vectors; ++v) {
              float* const to = sums + (o + r) * padded + j + v * L;
              store(to, load(to) + load(tile_sums + r * C + v * L));
            }
        }
    }

    const int64_t width = channels * taps;
    float* const partial = parts.partial + (part * s.K + first_output) * width + first_channel * taps;
    for (int64_t i = 0; i < out_channels; ++i)
      for_vectors<float>(
          cols, [&](int64_t j, int64_t n) { store_n(partial + i * width + j, n, load(sums + i * padded + j)); });
  }
};

}  // namespace

template <class T>
void conv2d_weight_grad(const Conv2dWeightGrad<T>& k) {
  const auto parts = carve<ConvPairGradParts>(k);
  const PairGrad work(k, parts);
  const ConvShape& s = k.shape;
  const PairGradBlocking& b = work.b;
  const int64_t total = s.K * work.channels * work.taps, slice = 4096;
  forward_taps<T>({}, s, parts.taps);
  const double cost = 0.005 * static_cast<double>(b.part_blocks * b.block * b.chunk * work.taps * work.out_channels);
  parallel_for(k.ws, b.parts * s.groups * b.chunks, cost, [&](int64_t task, int slot) { work(task, slot); });
  parallel_for(k.ws, ceil_div(total, slice), 0.2 * static_cast<double>(slice * b.parts), [&](int64_t task, int) {
    const int64_t begin = task * slice;
    for_vectors<float>(smaller(slice, total - begin), [&](int64_t i, int64_t n) {
      Vec<float> sum = load_n(parts.partial + begin + i, n);
      for (int64_t part = 1; part < b.parts; ++part) sum += load_n(parts.partial + part * total + begin + i, n);
      store_bf16_n(k.gw + begin + i, n, sum);
    });
  });
  if (k.gbias == nullptr) return;
  for (int64_t i = 0; i < s.K; ++i) {
    float sum = b.chunks > 0 ? parts.bias[i] : 0;
    for (int64_t part = 1; part < b.parts && b.chunks > 0; ++part) sum += parts.bias[part * s.K + i];
    k.gbias[i] = sum;
  }
}

template void conv2d_weight_grad(const Conv2dWeightGrad<bfloat16>&);

}  // namespace einkorn::EINKORN_ISA

#endif
