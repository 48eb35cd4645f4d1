// attention over bfloat16, forward: the walk of attention.cpp with products of pairs.
//
//   scores = k q'                         pairs along the width; float, times scale and log2(e)
//   p = 2^(scores + mask - maximum)       float; their sum is taken before they are rounded to bfloat16
//   out' = out' shrink + v' p             pairs along the keys; float until it is stored
//
// A weight p is at most half a place of bfloat16, 2^-9, off; so is a result, of the largest value that it weighs, before it is itself
// rounded. torch rounds them likewise.
//
// Few queries read keys and values where they lie, in half the bytes, and compute in float (attention_decode.h).
//
// measured, two threads of a Zen 4 EPYC, ms, forward and with its gradients     float kernel     this             torch 2.13, bfloat16
//   4x12x1024x64 causal                                                        44.3   150       24.7   88.8      78.9   233
//   2x8x512x64                                                                  6.8    24.2      4.7   14.7      10.6    36.7

#include "kernels/attention/attention_pairs.h"

#include "kernels/attention/attention_decode.h"

#if defined(__AVX512BF16__)

namespace einkorn::EINKORN_ISA {

template <class T>
void attention_forward(const Attention<T>& x);

namespace {

constexpr int L = kLanes<float>;
constexpr int64_t C = kQueries<float>;

template <int N>
struct Running {
  Vec<float> maximum[N], sum[N];
};

// scores -> 2^(scores * factor + mask - maximum), rounded, as pairs of keys in their place; `shrink` is the factor for what was
// summed before. words: null, or those of the dropout.
template <int N>
EINKORN_INLINE void soften(float* scores, const float* mask, int64_t keys, float factor, const uint32_t* words,
                           const Dropping<float>& dropping, Running<N>& so_far, Vec<float> (&shrink)[N]) {
  constexpr int kStreams = 2;
  Vec<float> best[kStreams][N];
  EINKORN_UNROLL for (int s = 0; s < kStreams; ++s) EINKORN_UNROLL for (int v = 0; v < N; ++v) best[s][v] =
      so_far.maximum[v];
  const auto look = [&](int64_t j, int s) EINKORN_LAMBDA {
    EINKORN_UNROLL for (int v = 0; v < N; ++v) {
      float* const at = scores + j * C + v * L;
      Vec<float> x = load(at) * factor;
      if (mask != nullptr) x += load(mask + j * C + v * L);
      store(at, x);
      best[s][v] = maximum(x, best[s][v]);
    }
  };
  int64_t j = 0;
  for (; j + kStreams <= keys; j += kStreams) EINKORN_UNROLL for (int s = 0; s < kStreams; ++s) look(j + s, s);
  if (j < keys) look(j, 0);
  Vec<float> from[N], sum[N];
  EINKORN_UNROLL for (int v = 0; v < N; ++v) {
    const Vec<float> top = maximum(best[0][v], best[1][v]);
    from[v] = top == -INFINITY ? Vec<float>{} : top;  // nothing seen yet: 2^(-inf - 0) is 0
    shrink[v] = exp2_nonpositive(so_far.maximum[v] - from[v]);
    so_far.maximum[v] = top;
    sum[v] = Vec<float>{};
  }
  const auto weight = [&](int64_t row, int v) EINKORN_LAMBDA {
    const Vec<float> e = exp2_nonpositive(load(scores + row * C + v * L) - from[v]);
    sum[v] += e;
    return words == nullptr ? e : e * dropping.factor(words + row * kMostWords + v * L);
  };
  for (j = 0; j < keys; j += 2) {
    Vec<int32_t> pair[N];
    EINKORN_UNROLL for (int v = 0; v < N; ++v) {
      const Vec<float> first = weight(j, v);
      pair[v] = rounded_pairs(first, j + 1 < keys ? weight(j + 1, v) : Vec<float>{});
    }
    EINKORN_UNROLL for (int v = 0; v < N; ++v) store(scores + j / 2 * C + v * L, (Vec<float>)pair[v]);
  }
  EINKORN_UNROLL for (int v = 0; v < N; ++v) so_far.sum[v] = so_far.sum[v] * shrink[v] + sum[v];
}

template <int N>
void attend(const Attention<bfloat16>& x, const AttentionParts<bfloat16>& parts, const AttentionPairTask& task,
            int64_t batch, int64_t head, int64_t i0) {
  const AttentionProblem<float>& p = x.problem;
  const int64_t kv_head = head / (p.heads / p.kv_heads), queries = least(N * L, p.q_len - i0);
  const int64_t pairs = halved(p.width), which = batch * p.kv_heads + kv_head;
  const int32_t* const keys = parts.k + which * p.k_len * pairs;
  const int32_t* const values = parts.v + which * halved(p.k_len) * p.v_width;
  const float factor = p.scale * static_cast<float>(kLog2E);
  pair_down(task.q, C, x.q.at(batch, head, i0), x.q.row, queries, p.width);
  for (int64_t d = 0; d < p.v_width; ++d)
    EINKORN_UNROLL for (int v = 0; v < N; ++v) store(task.out + d * C + v * L, Vec<float>{});
  Running<N> so_far;
  EINKORN_UNROLL for (int v = 0; v < N; ++v) {
    so_far.maximum[v] = broadcast(-INFINITY);
    so_far.sum[v] = Vec<float>{};
  }
  const Dropping<float> dropping(p.dropout);
  const KeyRange range = visible_keys(p, i0, queries);
  for (int64_t j0 = range.begin & ~int64_t{1}; j0 < range.end; j0 += kKeys) {
    const ScoreBlock at = {batch, head, i0, queries, j0, least(kKeys, range.end - j0)};
    multiply_pairs(task.scores, C, keys + j0 * pairs, pairs, at.keys, task.q, C, pairs, N);
    const bool masked = is_masked(p, at), drops = p.dropout > 0;
    if (masked) make_mask(task.mask, p, at);
    if (drops) make_words(task.words, p, at);
    Vec<float> shrink[N];
    soften<N>(task.scores, masked ? task.mask : nullptr, at.keys, factor, drops ? task.words : nullptr, dropping,
              so_far, shrink);
    const int32_t* const weights = reinterpret_cast<const int32_t*>(task.scores);
    for_tiles(p.v_width, [&](int64_t d, int64_t height) {
      choose_pair_tile(height, N, APanel::by_columns)(halved(at.keys), values + j0 / 2 * p.v_width + d, p.v_width,
                                                      weights, C, task.sums, C);
      for (int64_t r = 0; r < height; ++r) EINKORN_UNROLL for (int v = 0; v < N; ++v) {
          float* const out = task.out + (d + r) * C + v * L;
          store(out, load(out) * shrink[v] + load(task.sums + r * C + v * L));
        }
    });
  }
  alignas(kVectorBytes) float divisor[C];
  EINKORN_UNROLL for (int v = 0; v < N; ++v) {
    const Vec<float> sum = so_far.sum[v];
    store(divisor + v * L, sum == 0 ? Vec<float>{} : 1 / sum);
    if (x.lse != nullptr && queries > v * L) {
      const Vec<float> lse =
          sum == 0 ? broadcast((float)INFINITY) : so_far.maximum[v] + log(sum) * static_cast<float>(kLog2E);
      store_n(x.lse + (batch * p.heads + head) * p.q_len + i0 + v * L, least(L, queries - v * L), lse);
    }
  }
  unpack_down(x.out.at(batch, head, i0), x.out.row, task.out, C, queries, p.v_width, divisor);
}

}  // namespace

template <>
void attention_forward(const Attention<bfloat16>& x) {
  const AttentionProblem<float>& p = x.problem;
  if (p.batch * p.heads * p.q_len == 0) return;
  const auto parts = carve<AttentionParts<bfloat16>>(x);
  if (is_decoding(x)) return decode(x, parts);
  for_key_heads(x.ws, p, [&](int64_t batch, int64_t head, int64_t which) {
    const int64_t pairs = halved(p.width);
    pair_rows(parts.k + which * p.k_len * pairs, x.k.at(batch, head, 0), x.k.row, p.k_len, p.width);
    pair_columns(parts.v + which * halved(p.k_len) * p.v_width, x.v.at(batch, head, 0), x.v.row, p.k_len, p.v_width,
                 p.v_width);
  });
  const int64_t panels = (p.q_len + C - 1) / C;
  const double cost = 0.01 * static_cast<double>(least(C, p.q_len) * p.k_len * (p.width + p.v_width + 32));
  parallel_for(x.ws, p.batch * p.heads * panels, cost, [&](int64_t t, int slot) {
    const int64_t i0 = t % panels * C, head = t / panels % p.heads, batch = t / panels / p.heads;
    const AttentionPairTask task = parts.task[slot];
    if (p.q_len - i0 > L)
      attend<2>(x, parts, task, batch, head, i0);
    else
      attend<1>(x, parts, task, batch, head, i0);
  });
}

}  // namespace einkorn::EINKORN_ISA

#endif
