// attention over bfloat16, backward: the walk of attention_grad.cpp with products of pairs.
//
//   p  = 2^(k q' + mask - lse)     pairs along the width        p and ds are float until they are operands; then they are rounded,
//   ds = p (v g' - delta)          pairs along v's width        and lie once with pairs along the queries and, ds, along the keys
//   gv += p g      gk += ds q      pairs along the queries
//   gq' += k' ds                   pairs along the keys
//
// Sums are float, and rounded as they are stored. Chunks of keys begin at even ones.

#include "kernels/attention/attention_pairs.h"

#if defined(__AVX512BF16__)

namespace einkorn::EINKORN_ISA {

template <class T>
void attention_backward(const AttentionGrad<T>& x);

namespace {

using Grad = AttentionGrad<bfloat16>;
using Task = AttentionGradPairTask;

constexpr int L = kLanes<float>;
constexpr int64_t C = kQueries<float>, B = kGradPanels * C;  // queries of a panel and of a block
constexpr int64_t kPairs = B / 2;

// out[r][0 : columns] += sum over depth of rows[r] * b, by pairs of queries; columns in whole vectors.
void add_product(float* out, int64_t out_step, const int32_t* rows, int64_t count, const int32_t* b, int64_t depth,
                 float* sums) {
  for_tiles(count, [&](int64_t r, int64_t height) {
    for (int64_t c = 0; c < out_step; c += C) {
      const int vectors = out_step - c > L ? 2 : 1;
      choose_pair_tile(height, vectors, APanel::by_rows)(depth, rows + r * kPairs, kPairs, b + c, out_step, sums, C);
      for (int64_t i = 0; i < height; ++i)
        for (int v = 0; v < vectors; ++v) {
          float* const at = out + (r + i) * out_step + c + v * L;
          store(at, load(at) + load(sums + i * C + v * L));
        }
    }
  });
}

// Pairs of queries, [kPairs][padded width]; zeros past the last query and the width.
void pair_queries(int32_t* pairs, const bfloat16* rows, int64_t row_step, int64_t queries, int64_t width) {
  const int64_t step = padded(width);
  pair_columns(pairs, rows, row_step, queries, width, step);
  for (int64_t d = halved(queries) * step; d < kPairs * step; d += L) store(pairs + d, Vec<int32_t>{});
}

struct BlockGrad {
  const Grad& x;
  const AttentionGradParts<bfloat16>& parts;
  const Task& task;
  int64_t batch, head, kv_head, i0, queries, chunk_begin;

  void pack() const {
    const AttentionProblem<float>& p = x.problem;
    pair_down(task.q_down, B, x.q.at(batch, head, i0), x.q.row, queries, p.width);
    pair_down(task.g_down, B, x.g.at(batch, head, i0), x.g.row, queries, p.v_width);
    pair_queries(task.q, x.q.at(batch, head, i0), x.q.row, queries, p.width);
    pair_queries(task.g, x.g.at(batch, head, i0), x.g.row, queries, p.v_width);
    for (int64_t i = 0; i < B; ++i) {
      Vec<float> sum = {};
      if (i < queries) {
        const bfloat16* const g = x.g.at(batch, head, i0 + i);
        const bfloat16* const out = x.out.at(batch, head, i0 + i);
        for_vectors<float>(p.v_width, [&](int64_t d, int64_t n) { sum += load_n(g + d, n) * load_n(out + d, n); });
      }
      task.delta[i] = sum_lanes<float>(sum);
      task.lse[i] = i < queries ? x.lse[(batch * p.heads + head) * p.q_len + i0 + i] : INFINITY;
    }
    for (int64_t d = 0; d < p.width * B; d += L) store(task.gq_down + d, Vec<float>{});
  }

  // p and ds of a panel of the block, rounded.
  void weights(const ScoreBlock& at, int64_t panel) const {
    const AttentionProblem<float>& p = x.problem;
    const int64_t column = panel * C, pairs = halved(p.width), v_pairs = halved(p.v_width);
    const int64_t first_key = (batch * p.kv_heads + kv_head) * p.k_len + at.j0;
    float* const score = task.p + column;
    float* const slope = task.ds + column;
    multiply_pairs(score, B, parts.k_rows + first_key * pairs, pairs, at.keys, task.q_down + column, B, pairs, 2);
    multiply_pairs(slope, B, parts.v_rows + first_key * v_pairs, v_pairs, at.keys, task.g_down + column, B, v_pairs, 2);
    const bool masked = is_masked(p, at), drops = p.dropout > 0;
    if (masked) make_mask(task.mask, p, at);
    if (drops) make_words(task.words, p, at);
    const Dropping<float> dropping(p.dropout);
    const float factor = p.scale * static_cast<float>(kLog2E);
    Vec<float> lse[2], delta[2];
    EINKORN_UNROLL for (int v = 0; v < 2; ++v) {
      lse[v] = load(task.lse + column + v * L);
      delta[v] = load(task.delta + column + v * L);
    }
    const auto weigh = [&](int64_t j, Vec<float>(&weight)[2], Vec<float>(&ds)[2]) EINKORN_LAMBDA {
      EINKORN_UNROLL for (int v = 0; v < 2; ++v) {
        Vec<float> s = load(score + j * B + v * L) * factor, g = load(slope + j * B + v * L);
        if (masked) s += load(task.mask + j * C + v * L);
        const Vec<float> e = weights_of(s, lse[v]);
        weight[v] = e;
        if (drops) {
          const Vec<float> kept = dropping.factor(task.words + j * kMostWords + v * L);
          weight[v] *= kept;
          g *= kept;
        }
        ds[v] = e * (g - delta[v]);
        if (x.gbias != nullptr) store(slope + j * B + v * L, ds[v]);
      }
      store(task.p_rows + j * kPairs + column / 2, rounded_one_after_the_other(weight[0], weight[1]));
      store(task.ds_rows + j * kPairs + column / 2, rounded_one_after_the_other(ds[0], ds[1]));
    };
    for (int64_t j = 0; j < at.keys; j += 2) {
      Vec<float> weight[2], first[2], second[2] = {};
      weigh(j, weight, first);
      if (j + 1 < at.keys) weigh(j + 1, weight, second);
      EINKORN_UNROLL for (int v = 0; v < 2; ++v)
          store(task.ds_down + j / 2 * B + column + v * L, rounded_pairs(first[v], second[v]));
    }
  }

  void keep_bias_gradient(const ScoreBlock& at) const {
    const AttentionProblem<float>& p = x.problem;
    float* const out = x.gbias + ((batch * p.heads + head) * p.q_len + i0) * p.k_len + at.j0;
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t j = 0; j < at.keys; ++j) out[i * p.k_len + j] = task.ds[j * B + i];
  }

  void add_keys(int64_t j0, int64_t keys) const {
    const AttentionProblem<float>& p = x.problem;
    const int64_t first = j0 - chunk_begin, panels = queries > C ? 2 : 1;
    ScoreBlock at = {batch, head, i0, queries, j0, keys};
    for (int64_t panel = 0; panel < panels; ++panel) {
      at.i0 = i0 + panel * C;
      at.queries = least(C, queries - panel * C);
      weights(at, panel);
    }
    if (x.gbias != nullptr) keep_bias_gradient(at);
    const int64_t width = padded(p.width), v_width = padded(p.v_width), depth = panels * C / 2;
    add_product(task.gv + first * v_width, v_width, task.p_rows, keys, task.g, depth, task.sums);
    add_product(task.gk + first * width, width, task.ds_rows, keys, task.q, depth, task.sums);
    const int32_t* const k_pairs =
        parts.k_pairs + ((batch * p.kv_heads + kv_head) * halved(p.k_len) + j0 / 2) * p.width;
    for_tiles(p.width, [&](int64_t d, int64_t height) {
      for (int64_t c = 0; c < panels * C; c += C) {
        choose_pair_tile(height, 2, APanel::by_columns)(halved(keys), k_pairs + d, p.width, task.ds_down + c, B,
                                                        task.sums, C);
        for (int64_t r = 0; r < height; ++r) EINKORN_UNROLL for (int v = 0; v < 2; ++v) {
            float* const sum = task.gq_down + (d + r) * B + c + v * L;
            store(sum, load(sum) + load(task.sums + r * C + v * L));
          }
      }
    });
  }
};

void grad_task(const Grad& x, const AttentionGradParts<bfloat16>& parts, const Task& task, int64_t batch,
               int64_t kv_head, int64_t chunk) {
  const AttentionProblem<float>& p = x.problem;
  const int64_t group = p.heads / p.kv_heads, chunks = pair_chunks(p);
  const int64_t begin = chunk * pair_chunk(p), end = least(p.k_len, begin + pair_chunk(p));
  const int64_t width = padded(p.width), v_width = padded(p.v_width);
  for (int64_t j = 0; j < (end - begin) * width; j += L) store(task.gk + j, Vec<float>{});
  for (int64_t j = 0; j < (end - begin) * v_width; j += L) store(task.gv + j, Vec<float>{});
  alignas(kVectorBytes) float factor[B];
  for (int64_t i = 0; i < B; i += L) store(factor + i, broadcast(p.scale));
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
    for (int64_t i0 = 0; i0 < p.q_len; i0 += B) {
      const BlockGrad block = {x, parts, task, batch, head, kv_head, i0, least(B, p.q_len - i0), begin};
      const KeyRange range = visible_keys(p, i0, block.queries);
      const int64_t first = most(begin, range.begin & ~int64_t{1}), last = least(end, range.end);
      if (first < last) {
        block.pack();
        for (int64_t j = first; j < last; j += kGradKeys) block.add_keys(j, least(kGradKeys, last - j));
      } else {
        for (int64_t d = 0; d < p.width * B; d += L) store(task.gq_down + d, Vec<float>{});
      }
      if (chunks == 1) {
        unpack_down(x.gq.at(batch, head, i0), x.gq.row, task.gq_down, B, block.queries, p.width, factor);
        continue;
      }
      float* const share = parts.gq + ((chunk * p.batch + batch) * p.heads + head) * p.q_len * p.width;
      unpack_down(share + i0 * p.width, p.width, task.gq_down, B, block.queries, p.width, factor);
    }
  for (int64_t j = begin; j < end; ++j) {
    bfloat16* const gk = x.gk.at(batch, kv_head, j);
    bfloat16* const gv = x.gv.at(batch, kv_head, j);
    for_vectors<float>(
        p.width, [&](int64_t d, int64_t n) { store_n(gk + d, n, load(task.gk + (j - begin) * width + d) * p.scale); });
    for_vectors<float>(p.v_width,
                       [&](int64_t d, int64_t n) { store_n(gv + d, n, load(task.gv + (j - begin) * v_width + d)); });
  }
}

// The chunks' shares of gq, added up in order.
void add_chunks(const Grad& x, const AttentionGradParts<bfloat16>& parts) {
  const AttentionProblem<float>& p = x.problem;
  const int64_t chunks = pair_chunks(p), size = p.batch * p.heads * p.q_len * p.width;
  if (chunks == 1) return;
  parallel_for(x.ws, p.batch * p.heads * p.q_len, 0.2 * static_cast<double>(chunks * p.width), [&](int64_t r, int) {
    bfloat16* const out = x.gq.at(r / p.q_len / p.heads, r / p.q_len % p.heads, r % p.q_len);
    for_vectors<float>(p.width, [&](int64_t d, int64_t n) {
      Vec<float> sum = load_n(parts.gq + r * p.width + d, n);
      for (int64_t c = 1; c < chunks; ++c) sum += load_n(parts.gq + c * size + r * p.width + d, n);
      store_n(out + d, n, sum);
    });
  });
}

}  // namespace

template <>
void attention_backward(const Grad& x) {
  const AttentionProblem<float>& p = x.problem;
  if (p.batch * p.heads == 0) return;
  const auto parts = carve<AttentionGradParts<bfloat16>>(x);
  if (x.gbias != nullptr) {  // hidden blocks are not visited
    const int64_t size = p.batch * p.heads * p.q_len * p.k_len;
    for_vectors<float>(size, [&](int64_t i, int64_t n) { store_n(x.gbias + i, n, Vec<float>{}); });
  }
  for_key_heads(x.ws, p, [&](int64_t batch, int64_t head, int64_t which) {
    const int64_t pairs = halved(p.width), v_pairs = halved(p.v_width);
    const bfloat16* const k = x.k.at(batch, head, 0);
    pair_rows(parts.k_rows + which * p.k_len * pairs, k, x.k.row, p.k_len, p.width);
    pair_columns(parts.k_pairs + which * halved(p.k_len) * p.width, k, x.k.row, p.k_len, p.width, p.width);
    pair_rows(parts.v_rows + which * p.k_len * v_pairs, x.v.at(batch, head, 0), x.v.row, p.k_len, p.v_width);
  });
  const int64_t chunks = pair_chunks(p), tasks = p.batch * p.kv_heads * chunks;
  const double cost = 0.025 * static_cast<double>(p.heads / p.kv_heads * p.q_len * least(p.k_len, pair_chunk(p))) *
                      static_cast<double>(p.width + p.v_width + 32);
  parallel_for(x.ws, tasks, cost, [&](int64_t t, int slot) {
    grad_task(x, parts, parts.task[slot], t / chunks / p.kv_heads, t / chunks % p.kv_heads, t % chunks);
  });
  add_chunks(x, parts);
}

}  // namespace einkorn::EINKORN_ISA

#endif
