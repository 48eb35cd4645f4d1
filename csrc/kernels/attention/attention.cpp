// attention, forward: a panel of queries walks over the keys in blocks, with an online softmax.
//
//   for each panel of queries (a task)                    q turned on its side once: [width][queries]
//     for each block of kKeys keys that a query may see
//       scores [keys][queries] = k q                      register tiles, k read where it lies
//       mask; new maximum; p = exp(scores - maximum)      down the columns, in vectors
//       out' = out' * exp(old maximum - new) + v' p       register tiles, v read where it lies
//     out = out' / sum(p), turned back
//
// Causal: blocks past the last query's key are not visited, so half the work of long sequences falls away; of the block on the
// diagonal, keys that the first vector of queries does not see are multiplied with the second alone.
//
// versions tried, float32, one core of Zen 4 (limit 117 GFLOP/s), % of the limit,      8x8x128x64        1x12x1024x64
// causal products counted as half                                                      full   causal     full   causal
//   blocks of 112 keys and the rest; masked blocks get a mask of all their scores       51     32         75     70
//   blocks of equal size, at most 128; hidden scores alone are overwritten; queries
//   and the lines of the result asked for ahead; up to 4 panels of a head to a task     64     45         82     76
//   at most 96 keys                                                                     70     52         82     77
//   at most 64 keys: scores, values and queries fit the L1 cache together               68     54         82     77
// and on one core of Emerald Rapids beside other programs, by turns, the least in ms       8x8x128x64, causal, both with backward
//   the lanes of transpositions built where they are used                                   2.46  1.71  11.2  8.32
//   known when they are compiled (simd/transpose.h)                                         2.28  1.51  10.5  7.85
// Keys and values of a block asked for beside the one before, where a head is first met: 2.54 to 2.52, 1.55 to 1.56, with backward 10.6 to
// 10.8 and 7.92 to 7.95: it does not wait for them. Causal 8x8x128x64 has 43% of the limit there on two threads (60 were wanted): of 80
// keys a panel, the products are 9200 of about 20000 cycles, as this processor starts two multiply-adds a cycle.
// Heads that lie in the second cache, four of them, take no less than 64 that do not (24 us a causal head of 128 rows, 34 a full one): the
// rest of a panel is arithmetic, some 100 cycles to begin and end each tile of 600 to 800 among it. Blocks of 128 keys, whose tiles are
// fewer and deeper: 1 to 3% quicker, less than the 3 to 5% by which heads of 64 keys, one block either way, differed. Left at 64.
// Counted for 128 keys, in cycles a panel of 32 queries: products 32768 (causal: 9/8 of its half, as 16 queries see a key or do
// not), exponentials 4400, turning the queries and the result 2000 and their waits for the last cache.

#include "kernels/attention/attention_decode.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/instantiate.h"

namespace einkorn::EINKORN_ISA {

namespace {

// A panel's maximum and sum of exponentials, so far.
template <class T, int N>
struct Running {
  Vec<T> maximum[N], sum[N];
};

// scores -> 2^(scores - maximum), in place; returns by `shrink` the factor for what was summed before.
template <class T, int N>
EINKORN_INLINE void soften(T* scores, int64_t keys, Running<T, N>& so_far, Vec<T> (&shrink)[N]) {
  constexpr int L = kLanes<T>;
  constexpr int64_t C = kQueries<T>;
  constexpr int kStreams = 4;
  Vec<T> best[kStreams][N];
  EINKORN_UNROLL for (int s = 0; s < kStreams; ++s) EINKORN_UNROLL for (int v = 0; v < N; ++v) best[s][v] =
      so_far.maximum[v];
  const auto look = [&](int64_t j, int s) __attribute__((always_inline)) {
    EINKORN_UNROLL for (int v = 0; v < N; ++v) {
      best[s][v] = maximum(load(scores + j * C + v * L), best[s][v]);
    }
  };
  int64_t j = 0;
  for (; j + kStreams <= keys; j += kStreams) EINKORN_UNROLL for (int s = 0; s < kStreams; ++s) look(j + s, s);
  for (; j < keys; ++j) look(j, 0);
  Vec<T> from[N], sum[2][N];
  EINKORN_UNROLL for (int v = 0; v < N; ++v) {
    const Vec<T> top = maximum(maximum(best[0][v], best[1][v]), maximum(best[2][v], best[3][v]));
    from[v] = top == -(T)INFINITY ? Vec<T>{} : top;  // nothing seen yet: 2^(-inf - 0) is 0
    shrink[v] = exp2_nonpositive(so_far.maximum[v] - from[v]);
    so_far.maximum[v] = top;
    sum[0][v] = sum[1][v] = Vec<T>{};
  }
  const auto weigh = [&](int64_t row, int s) __attribute__((always_inline)) {
    EINKORN_UNROLL for (int v = 0; v < N; ++v) {
      T* const at = scores + row * C + v * L;
      const Vec<T> e = exp2_nonpositive(load(at) - from[v]);
      sum[s][v] += e;
      store(at, e);
    }
  };
  for (j = 0; j + 2 <= keys; j += 2) {
    weigh(j, 0);
    weigh(j + 1, 1);
  }
  if (j < keys) weigh(j, 0);
  EINKORN_UNROLL for (int v = 0; v < N; ++v) so_far.sum[v] = so_far.sum[v] * shrink[v] + (sum[0][v] + sum[1][v]);
}

// Scores of a block, masked. Where the band hides a key from all queries of the first vector, only the second is computed.
template <class T, int N>
EINKORN_INLINE void make_scores(const Attention<T>& x, const AttentionTask<T>& task, const ScoreBlock& at,
                                int64_t kv_head) {
  constexpr int L = kLanes<T>;
  constexpr int64_t C = kQueries<T>;
  const AttentionProblem<T>& p = x.problem;
  const T* const keys = x.k.at(at.batch, kv_head, at.j0);
  const bool masked = has_mask(p);
  const int64_t wide = N == 1 || masked ? at.keys : keys_up_to(p, at, at.i0 + L - 1);
  multiply_rows(task.scores, C, keys, x.k.row, wide, task.q, C, p.width, N);
  if (wide < at.keys)
    multiply_rows(task.scores + wide * C + L, C, keys + wide * x.k.row, x.k.row, at.keys - wide, task.q + L, C, p.width,
                  1);
  if (!masked) return hide_outside_band(task.scores, C, p, at);
  make_mask(task.mask, p, at);
  for (int64_t j = 0; j < at.keys; ++j) EINKORN_UNROLL for (int v = 0; v < N; ++v) {
      T* const score = task.scores + j * C + v * L;
      store(score, load(score) + load(task.mask + j * C + v * L));
    }
}

template <class T, int N>
void attend(const Attention<T>& x, const AttentionTask<T>& task, int64_t batch, int64_t head, int64_t i0) {
  constexpr int L = kLanes<T>;
  constexpr int64_t C = kQueries<T>;
  const AttentionProblem<T>& p = x.problem;
  const int64_t kv_head = head / (p.heads / p.kv_heads), queries = least(N * L, p.q_len - i0);
  pack_down(task.q, C, x.q.at(batch, head, i0), x.q.row, queries, p.width, N * L, p.scale * static_cast<T>(kLog2E));
  ask_for_rows<true>(x.out.at(batch, head, i0), x.out.row, queries, p.v_width);
  const int64_t left = p.q_len - i0 - queries;
  if (left > 0) ask_for_rows<false>(x.q.at(batch, head, i0 + queries), x.q.row, least(left, C), p.width);
  Running<T, N> so_far;
  EINKORN_UNROLL for (int v = 0; v < N; ++v) {
    so_far.maximum[v] = broadcast(-(T)INFINITY);
    so_far.sum[v] = Vec<T>{};
  }
  const KeyRange range = visible_keys(p, i0, queries);
  if (range.begin >= range.end)
    for (int64_t d = 0; d < p.v_width; ++d)
      EINKORN_UNROLL for (int v = 0; v < N; ++v) store(task.out + d * C + v * L, Vec<T>{});
  for_blocks(range.begin, range.end, kKeys, [&](int64_t j0, int64_t keys) {
    const ScoreBlock at = {batch, head, i0, queries, j0, keys};
    make_scores<T, N>(x, task, at, kv_head);
    Vec<T> shrink[N];
    soften<T, N>(task.scores, at.keys, so_far, shrink);
    if (p.dropout > 0) {
      make_words(task.words, p, at);
      const Dropping<T> dropping(p.dropout);
      for (int64_t j = 0; j < at.keys; ++j) EINKORN_UNROLL for (int v = 0; v < N; ++v) {
          T* const weight = task.scores + j * C + v * L;
          store(weight, load(weight) * dropping.factor(task.words + j * kMostWords + v * L));
        }
    }
    const bool first = j0 == range.begin;
    for_tiles(p.v_width, [&](int64_t d, int64_t height) {
      choose_tile<T>(height, N, APanel::by_columns)(at.keys, x.v.at(batch, kv_head, j0) + d, x.v.row, task.scores, C,
                                                    first ? task.out + d * C : task.sums, C);
      if (first) return;
      for (int64_t r = 0; r < height; ++r) EINKORN_UNROLL for (int v = 0; v < N; ++v) {
          T* const out = task.out + (d + r) * C + v * L;
          store(out, load(out) * shrink[v] + load(task.sums + r * C + v * L));
        }
    });
  });
  alignas(kVectorBytes) T factor[C];
  EINKORN_UNROLL for (int v = 0; v < N; ++v) {
    const Vec<T> none = so_far.sum[v];
    store(factor + v * L, none == 0 ? Vec<T>{} : 1 / none);
    if (x.lse != nullptr) {
      const Vec<T> lse = none == 0 ? broadcast((T)INFINITY) : so_far.maximum[v] + log(none) * static_cast<T>(kLog2E);
      if (queries > v * L)
        store_n(x.lse + (batch * p.heads + head) * p.q_len + i0 + v * L, least(L, queries - v * L), lse);
    }
  }
  unpack_down(x.out.at(batch, head, i0), x.out.row, task.out, C, queries, p.v_width, factor);
}

}  // namespace

template <class T>
void attention_forward(const Attention<T>& x) {
  const AttentionProblem<T>& p = x.problem;
  if (p.batch * p.heads * p.q_len == 0) return;
  const auto parts = carve<AttentionParts<T>>(x);
  if (is_decoding(x)) return decode(x, parts);
  constexpr int64_t C = kQueries<T>;
  // Panels of a task: they read the same keys and values, and each asks for the next one's queries.
  const int64_t panels = (p.q_len + C - 1) / C, heads = p.batch * p.heads;
  const int64_t each = most(1, least(4, heads * panels / 32)), tasks = (panels + each - 1) / each;
  const double cost = 0.02 * static_cast<double>(least(each * C, p.q_len) * p.k_len * (p.width + p.v_width + 16));
  parallel_for(x.ws, heads * tasks, cost, [&](int64_t t, int slot) {
    const int64_t head = t / tasks % p.heads, batch = t / tasks / p.heads, begin = t % tasks * each * C;
    const AttentionTask<T> task = parts.task[slot];
    for (int64_t i0 = begin; i0 < least(p.q_len, begin + each * C); i0 += C) {
      if (p.q_len - i0 > kLanes<T>)
        attend<T, 2>(x, task, batch, head, i0);
      else
        attend<T, 1>(x, task, batch, head, i0);
    }
  });
}

EINKORN_INSTANTIATE(attention_forward, Attention)

}  // namespace einkorn::EINKORN_ISA
