// matmul_bf16: packed panels and a register tile (gemm_packed.h), dot products and sums of rows for vectors.
//
// With vdpbf16ps a lane holds two neighbours along k and a step of the tile multiplies both: half the steps of float, each as long.
// AMX multiplies whole tiles (gemm_tiles.h): its packing and cuts are tested, no processor that has it has timed it yet.
// Elsewhere packing widens to float, and the tile is that of float: the speed of float, from half the bytes.
//
// versions, bfloat16 to bfloat16, two Zen 4 cores (the tile alone, one panel after the other: 450)  256  1024  2048  GFLOP/s
//   pairs, 14 x 2 vectors, all sums through the epilogue                                            286   392   390
//   the tile's lines of out asked for early; plain sums rounded straight into out                   344   419   406
//   (torch, oneDNN, by turns with that: 320, 418, 399; matmul in float: 176, 211, 207)
// Tiles of 12 x 2, 9 x 3, 7 x 4 and 6 x 4, panels of B asked for 2 to 8 steps ahead, other unrolling, and slices of
// 64 and 32 columns were within 1%.
// One row times a layer, from memory (gemm_cuts.h), GB/s     768x768   3072x768   768x3072   50257x768
//   columns by fours; one by one; torch                       9, 17, 10   10, 24, 12   17, 24, 13   11, 26, 14
// A layer's product, 128 x 768 times 3072 along k, takes 1.9 ms whichever operand comes first (torch 1.7, float 3.3): packing
// the weights, which 128 rows use once, is what lies between.

#include "kernels/matmul_bf16.h"

#include "kernels/gemm_pairs.h"
#include "kernels/gemm_tiles.h"
#include "kernels/matmul_epilogue.h"

namespace einkorn::EINKORN_ISA {

// As load_n, store_n and what an epilogue asks for besides take pointers.
EINKORN_INLINE Vec<float> load_n(HalfOrFloat at, int64_t n) {
  if (at.bytes == 2) return load_bf16_n(reinterpret_cast<const bfloat16*>(at.p), n);
  return load_n(reinterpret_cast<const float*>(at.p), n);
}
EINKORN_INLINE void store_n(HalfOrFloat at, int64_t n, Vec<float> v) {
  if (at.bytes == 2) return store_bf16_n(reinterpret_cast<bfloat16*>(at.p), n, v);
  store_n(reinterpret_cast<float*>(at.p), n, v);
}
EINKORN_INLINE float one(HalfOrFloat at) {
  return at.bytes == 2 ? widened(*reinterpret_cast<const bfloat16*>(at.p)) : *reinterpret_cast<const float*>(at.p);
}
EINKORN_INLINE void ask_for(HalfOrFloat at) {
  __builtin_prefetch(at.p, 1);
}

namespace {

#if defined(__AVX512BF16__)
using Product = Pairs;
constexpr double kCost = 0.012;
#else
// Widened, one in a lane.
struct Reader {
  static constexpr bool kAcross = true;
  EINKORN_INLINE static Vec<float> along(const bfloat16* p, int64_t n) { return load_bf16_n(p, n); }
  EINKORN_INLINE static Vec<float> across(const bfloat16* p, int64_t, int64_t, int64_t lanes) {
    return load_bf16_n(p, lanes);
  }
};

struct Product : Fused<float> {
  using A = Reader;
  using B = Reader;
  static constexpr int kGroup = 1;
};
constexpr double kCost = 0.02;
#endif

using Finish = Epilogue<MatmulBf16>;

// Sums of products of bfloat16, rounded. Their NaN have nothing in the lower half that could carry, as others may.
EINKORN_INLINE void store_sums(bfloat16* p, int64_t n, Vec<float> sum) {
  const LaneWords bits = (LaneWords)sum;
  const LaneHalves half = __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, LaneHalves);
  if (n == kLanes<float>)
    memcpy(p, &half, sizeof half);
  else
    store_bf16_n(p, n, sum);
}

struct FinishOfEntry {
  const MatmulBf16& x;
  bool only_rounds =
      x.out.bytes == 2 && x.out_n == 1 && x.alpha == 1 && x.beta == 0 && !x.bias && x.activation == Activation::none;

  Finish of(int64_t entry) const { return {x, x.out + batch_offset(x, x.out_batch, entry), true, true}; }
  void prefetch(int64_t entry, int64_t rows, int64_t i, int64_t j) const { of(entry).prefetch(rows, i, j); }
  void operator()(int64_t entry, const float* sums, int64_t rows, int64_t columns, int64_t i, int64_t j) const {
    const Finish finish = of(entry);
    if (!only_rounds) return finish(sums, rows, columns, i, j);
    for (int64_t r = 0; r < rows; ++r) {
      bfloat16* const out = reinterpret_cast<bfloat16*>((finish.out + (i + r) * x.out_m + j).p);
      for_vectors<float>(
          columns, [&](int64_t c, int64_t n) { store_sums(out + c, n, load(sums + r * kTileColumns<float> + c)); });
    }
  }
};

void products(const MatmulBf16& x, int64_t batch) {
  const auto parts = carve<MatmulBf16Parts>(x);
  const auto entry_of = [&](int64_t entry) {
    PackedOperands<bfloat16> operands = x.operands();
    operands.a += batch_offset(x, x.a_batch, entry);
    operands.b += batch_offset(x, x.b_batch, entry);
    return operands;
  };
  packed_products<Product, BestForm<Product>>(x.ws, parts.panels, batch, x.operands(), entry_of, kCost,
                                              FinishOfEntry{x});
}

inline const bfloat16* gathered(bfloat16* room, const bfloat16* p, int64_t step, int64_t n) {
  if (step == 1) return p;
  for (int64_t i = 0; i < n; ++i) room[i] = p[i * step];
  return room;
}

// The sum of the parts of a row, on to the epilogue.
void finish_row(const Finish& finish, int64_t columns, const PartOfEach<float>& sums, int64_t parts) {
  for_vectors<float>(columns, [&](int64_t j, int64_t live) {
    Vec<float> total = load(sums[0] + j);
    for (int64_t part = 1; part < parts; ++part) total += load(sums[part] + j);
    finish.to_row(0, j, live, total);
  });
}

// One row times columns that run along k. Pieces of K are tasks of their own.
void vector_dot(const MatmulBf16& x, const bfloat16* a, const bfloat16* b, HalfOrFloat out) {
  constexpr int L = kLanes<float>;
  const auto parts = carve<MatmulBf16Parts>(x);
  a = gathered(parts.row, a, x.a_k, x.k);
  if (x.n == 1) b = gathered(parts.column, b, x.b_k, x.k);
  const int64_t pieces = pieces_of_dot(x), most = least(kBf16DotPiece, x.k);
  const DotCuts cuts(x.n, most, sizeof(bfloat16));
  const int64_t per_task = L * ceil_div(cuts.elements, L * most), groups = ceil_div(x.n, per_task);
  const double cost = 0.03 * static_cast<double>(least(per_task, x.n) * most);
  parallel_for(x.ws, pieces * groups, cost, [&](int64_t task, int) {
    const int64_t piece = task / groups, k0 = piece * kBf16DotPiece, depth = least(kBf16DotPiece, x.k - k0);
    const int64_t begin = task % groups * per_task, end = least(x.n, begin + per_task);
    for (int64_t j = begin; cuts.one_by_one && j < end; ++j)
      packed::dots<Product, 1>(parts.sums[piece] + j, a + k0, b + j * x.b_n + k0, x.b_n, 1, depth);
    for (int64_t j = begin; !cuts.one_by_one && j < end; j += packed::kDotColumns)
      packed::dots<Product>(parts.sums[piece] + j, a + k0, b + j * x.b_n + k0, x.b_n,
                            least(packed::kDotColumns, end - j), depth);
  });
  finish_row(Finish{x, out, true, true}, x.n, parts.sums, pieces);
}

// One row times a matrix whose rows are contiguous: scaled rows are added up, eight at a time, a chunk of K per task; and the
// sums of kRowBlock rows, so that the error does not grow with K.
void vector_rows(const MatmulBf16& x, const bfloat16* a, const bfloat16* b, HalfOrFloat out) {
  constexpr int L = kLanes<float>, kStreams = 8;
  constexpr int64_t kRowBlock = 512;
  const int64_t chunks = chunks_of_row(x), chunk = ceil_div(x.k, chunks);
  const auto parts = carve<MatmulBf16Parts>(x);
  parallel_for(x.ws, chunks, 0.06 * static_cast<double>(chunk * x.n), [&](int64_t task, int) {
    float *const total = parts.sums[task], *const sums = parts.block_sums[task];
    const int64_t begin = task * chunk, end = least(x.k, begin + chunk);
    for (int64_t j = 0; j < x.n; j += L) store(total + j, Vec<float>{});
    for (int64_t block = begin; block < end; block += kRowBlock) {
      const int64_t block_end = least(end, block + kRowBlock);
      for (int64_t j = 0; j < x.n; j += L) store(sums + j, Vec<float>{});
      for (int64_t k = block; k < block_end; k += kStreams) {
        float factor[kStreams];
        const bfloat16* stream[kStreams];
        const int64_t streams = least(kStreams, block_end - k);
        for (int64_t s = 0; s < streams; ++s) factor[s] = widened(a[(k + s) * x.a_k]), stream[s] = b + (k + s) * x.b_k;
        for_vectors<float>(x.n, [&](int64_t j, int64_t n) {
          Vec<float> sum = load(sums + j);
          if (streams == kStreams)
            EINKORN_UNROLL for (int s = 0; s < kStreams; ++s) sum += load_bf16_n(stream[s] + j, n) * factor[s];
          else
            for (int64_t s = 0; s < streams; ++s) sum += load_bf16_n(stream[s] + j, n) * factor[s];
          store(sums + j, sum);
        });
      }
      for (int64_t j = 0; j < x.n; j += L) store(total + j, load(total + j) + load(sums + j));
    }
  });
  finish_row(Finish{x, out, true, true}, x.n, parts.sums, chunks);
}

}  // namespace

void matmul_bf16(const MatmulBf16& x) {
  int64_t batch = 1;
  for (int d = 0; d < x.batch_ndim; ++d) batch *= x.batch_shape[d];
  if (batch == 0 || x.m == 0 || x.n == 0) return;
  if (x.m > 1 || x.k == 0) return products(x, batch);
  for (int64_t entry = 0; entry < batch; ++entry) {
    const bfloat16* const a = x.a + batch_offset(x, x.a_batch, entry);
    const bfloat16* const b = x.b + batch_offset(x, x.b_batch, entry);
    const HalfOrFloat out = x.out + batch_offset(x, x.out_batch, entry);
    if (is_dot_of_row(x))
      vector_dot(x, a, b, out);
    else
      vector_rows(x, a, b, out);
  }
}

}  // namespace einkorn::EINKORN_ISA
