// Attention of a few queries, as in generation token by token: bound by reading the keys and values once.
//
//   a task: the keys of a chunk, for one key head and all queries that read it (the heads of its group)
//     for each block of keys             stays in L1 and L2 while the queries pass by
//       for each query                   dot products along the width, 16 keys at a time, summed by one transposition;
//                                        online softmax; out = out * shrink + sum p[j] v[j], vectors along the width
//   then the chunks of a query are merged in order
//
// Keys and values are read where they lie: a cache that is longer than what is in use is passed as a view.

#pragma once

#include "kernels/attention/attention_tile.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int64_t kDecodeBlock = 128;  // keys

// scores[j] = query . keys[j], j < count; room for whole vectors.
template <class In, class T>
inline void dot_rows(T* scores, const In* query, const In* keys, int64_t step, int64_t count, int64_t width) {
  constexpr int L = kLanes<T>;
  for (int64_t j = 0; j < count; j += L) {
    Vec<T> sum[L];
    EINKORN_UNROLL for (int l = 0; l < L; ++l) sum[l] = Vec<T>{};
    const In* row[L];
    EINKORN_UNROLL for (int l = 0; l < L; ++l) row[l] = keys + least(j + l, count - 1) * step;
    for_vectors<T>(width, [&](int64_t d, int64_t n) __attribute__((always_inline)) {
      const Vec<T> q = load_n(query + d, n);
      EINKORN_UNROLL for (int l = 0; l < L; ++l) sum[l] += q * load_n(row[l] + d, n);
    });
    transpose_square<T>(sum);
    EINKORN_UNROLL for (int half = L / 2; half > 0; half /= 2) EINKORN_UNROLL for (int l = 0; l < half; ++l) sum[l] +=
        sum[l + half];
    store(scores + j, sum[0]);
  }
}

// out[d] = out[d] * shrink + sum over j of weights[j] * rows[j][d].
template <class In, class T>
inline void add_rows(T* out, T shrink, const T* weights, const In* rows, int64_t step, int64_t count, int64_t width) {
  constexpr int L = kLanes<T>, N = 4;
  for (int64_t d = 0; d < width; d += N * L) {
    Vec<T> even[N], odd[N];
    int64_t live[N];
    EINKORN_UNROLL for (int v = 0; v < N; ++v) {
      live[v] = most(0, least(L, width - d - v * L));
      even[v] = load(out + d + v * L) * shrink;
      odd[v] = Vec<T>{};
    }
    int64_t j = 0;
    if (live[N - 1] == L) {
      for (; j + 2 <= count; j += 2) {
        const In* const row = rows + j * step + d;
        EINKORN_UNROLL for (int v = 0; v < N; ++v) even[v] += load(row + v * L) * weights[j];
        EINKORN_UNROLL for (int v = 0; v < N; ++v) odd[v] += load(row + step + v * L) * weights[j + 1];
      }
    }
    for (; j < count; ++j)
      EINKORN_UNROLL for (int v = 0; v < N; ++v) even[v] +=
          (live[v] > 0 ? load_n(rows + j * step + d + v * L, live[v]) : Vec<T>{}) * weights[j];
    EINKORN_UNROLL for (int v = 0; v < N; ++v) store(out + d + v * L, even[v] + odd[v]);
  }
}

// What is added to the score of key j and query i.
template <class T>
inline T mask_of(const AttentionProblem<T>& p, int64_t batch, int64_t head, int64_t i, int64_t j) {
  if (j - i < p.low || j - i > p.high) return -(T)INFINITY;
  if (p.keep != nullptr && p.keep[batch * p.keep_b + head * p.keep_h + i * p.keep_i + j * p.keep_j] == 0)
    return -(T)INFINITY;
  T mask = 0;
  if (p.bias != nullptr) mask += p.bias[batch * p.bias_b + head * p.bias_h + i * p.bias_i + j * p.bias_j];
  if (p.slopes != nullptr) {
    const int64_t away = j - i - (p.k_len - p.q_len);
    mask -= static_cast<T>(away < 0 ? -away : away) * p.slopes[head];
  }
  return mask;
}

// The result of one query over one chunk: out, not divided yet, then the maximum and the sum of exponentials.
template <class T>
struct DecodeRow {
  T* out;
  T &maximum, &sum;

  template <class Parts>
  DecodeRow(const Parts& parts, const AttentionProblem<T>& p, int64_t query_row, int64_t chunk)
      : out(parts.partials + (query_row * decode_chunks(p) + chunk) * decode_row(p)),
        maximum(out[decode_row(p) - 2]),
        sum(out[decode_row(p) - 1]) {}
};

template <class In, class Task, class T>
inline void decode_block(const Attention<In>& x, const Task& task, const DecodeRow<T>& row, int64_t batch, int64_t head,
                         int64_t i, int64_t j0, int64_t keys) {
  constexpr int L = kLanes<T>;
  const AttentionProblem<T>& p = x.problem;
  const int64_t kv_head = head / (p.heads / p.kv_heads);
  T* const s = task.scores;
  dot_rows(s, x.q.at(batch, head, i), x.k.at(batch, kv_head, j0), x.k.row, keys, p.width);
  for (int64_t j = 0; j < keys; j += L) store(s + j, load(s + j) * p.scale);
  const ScoreBlock at = {batch, head, i, 1, j0, keys};
  if (is_masked(p, at))
    for (int64_t j = 0; j < keys; ++j) s[j] += mask_of(p, batch, head, i, j0 + j);
  T top = row.maximum;
  for_vectors<T>(keys, [&](int64_t j, int64_t n) {
    const Vec<T> v = n == L ? load(s + j) : (first_lanes<T>(n) ? load(s + j) : broadcast(-(T)INFINITY));
    const T m = max_lanes<T>(v);
    top = m > top ? m : top;
  });
  const T from = top == -(T)INFINITY ? (T)0 : top;
  const T shrink = exp(broadcast(row.maximum - from))[0];
  Vec<T> sum = {};
  for_vectors<T>(keys, [&](int64_t j, int64_t n) {
    const Vec<T> e = exp(load(s + j) - from);
    sum += n == L ? e : (first_lanes<T>(n) ? e : Vec<T>{});
    store(s + j, e);
  });
  row.maximum = top;
  row.sum = row.sum * shrink + sum_lanes<T>(sum);
  if (p.dropout > 0) {  // q_len is at most 4 here: a key has one counter, and word i of it is query i's
    const Dropping<T> dropping(p.dropout);
    philox(task.words, 4 * keys, p.seed, p.offset + static_cast<uint64_t>((batch * p.heads + head) * p.k_len + j0));
    for (int64_t j = 0; j < keys; ++j)
      s[j] *= static_cast<int32_t>(task.words[4 * j + i] >> 8) >= dropping.threshold ? dropping.scale : (T)0;
  }
  add_rows(row.out, shrink, s, x.v.at(batch, kv_head, j0), x.v.row, keys, p.v_width);
}

template <class In>
inline void merge_chunks(const Attention<In>& x, const AttentionParts<In>& parts, int64_t r) {
  using T = Number<In>;
  const AttentionProblem<T>& p = x.problem;
  const int64_t chunks = decode_chunks(p);
  T top = -(T)INFINITY;
  for (int64_t c = 0; c < chunks; ++c) {
    const T m = DecodeRow<T>(parts, p, r, c).maximum;
    top = m > top ? m : top;
  }
  const T from = top == -(T)INFINITY ? (T)0 : top;
  const DecodeRow<T> total(parts, p, r, 0);
  T sum = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    const DecodeRow<T> part(parts, p, r, c);
    const T shrink = exp(broadcast(part.maximum - from))[0];
    sum += part.sum * shrink;
    for (int64_t d = 0; d < p.v_width; d += kLanes<T>) {
      const Vec<T> before = c == 0 ? Vec<T>{} : load(total.out + d);
      store(total.out + d, before + load(part.out + d) * shrink);
    }
  }
  const T factor = sum == 0 ? (T)0 : 1 / sum;
  const int64_t i = r % p.q_len, head = r / p.q_len % p.heads, batch = r / p.q_len / p.heads;
  In* const out = x.out.at(batch, head, i);
  for_vectors<T>(p.v_width, [&](int64_t d, int64_t n) { store_n(out + d, n, load(total.out + d) * factor); });
}

template <class In>
inline void decode(const Attention<In>& x, const AttentionParts<In>& parts) {
  using T = Number<In>;
  const AttentionProblem<T>& p = x.problem;
  const int64_t chunks = decode_chunks(p), group = p.heads / p.kv_heads;
  const double key_cost = 0.05 * static_cast<double>(group * p.q_len * (p.width + p.v_width + 16));
  parallel_for(x.ws, p.batch * p.kv_heads * chunks, key_cost * static_cast<double>(least(kDecodeKeys, p.k_len)),
               [&](int64_t t, int slot) {
                 const auto task = parts.task[slot];
                 const int64_t chunk = t % chunks, kv_head = t / chunks % p.kv_heads, batch = t / chunks / p.kv_heads;
                 const int64_t end = least(p.k_len, (chunk + 1) * kDecodeKeys);
                 const auto for_queries = [&](const auto& body) {
                   for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
                     for (int64_t i = 0; i < p.q_len; ++i)
                       body(DecodeRow<T>(parts, p, (batch * p.heads + head) * p.q_len + i, chunk), head, i);
                 };
                 for_queries([&](const DecodeRow<T>& row, int64_t, int64_t) {
                   for (int64_t d = 0; d < decode_row(p); d += kLanes<T>) store(row.out + d, Vec<T>{});
                   row.maximum = -(T)INFINITY;
                 });
                 for (int64_t j0 = chunk * kDecodeKeys; j0 < end; j0 += kDecodeBlock)
                   for_queries([&](const DecodeRow<T>& row, int64_t head, int64_t i) {
                     const KeyRange range = visible_keys(p, i, 1);
                     const int64_t first = most(j0, range.begin),
                                   last = least(least(end, j0 + kDecodeBlock), range.end);
                     if (first < last) decode_block(x, task, row, batch, head, i, first, last - first);
                   });
               });
  const int64_t rows = p.batch * p.heads * p.q_len;
  parallel_for(x.ws, rows, 0.3 * static_cast<double>(chunks * p.v_width + 100),
               [&](int64_t r, int) { merge_chunks(x, parts, r); });
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
