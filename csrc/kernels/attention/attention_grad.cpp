// attention, backward: the scores of a block once more, and the four products that need them.
//
//   for each chunk of keys of a key head (a task)                     gk, gv of the chunk stay in scratch, in L2
//     for each query head that reads it, for each block of queries    q and g packed once, by rows and turned
//       for each block of kGradKeys keys that a query may see
//         p  = exp(k q' + mask - lse)          [keys][queries]
//         ds = p (v g' - delta)                delta = g . out, one number a query
//         gv += p g        gk += ds q          register tiles over queries
//         gq' += k' ds                         register tiles over keys
//       gq of the block, turned back
//
// Two panels of queries make the sums over queries 64 long (AVX-512): their tiles are loaded from and stored to scratch
// once for 64 steps. On the diagonal of a causal mask each vector of queries takes part only with the keys that it sees. Where there
// are several chunks of keys, each leaves its own gq, and they are added up in order.
//
// versions tried, as in attention.cpp                                                  8x8x128x64        1x12x1024x64
//                                                                                      full   causal     full   causal
//   blocks of 56 keys and the rest, all queries of a block with all of its keys         58     34         75     69
//   blocks of equal size, at most 64; vectors of queries with the keys they see         66     46         81     73
//   the next block's rows and the lines of gq asked for ahead                           70     55         81     77

#include "kernels/attention/attention_tile.h"
#include "kernels/instantiate.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
constexpr int64_t kBlock = kGradPanels * kQueries<T>;  // queries

// out[r][0 : columns] += sum over depth of rows[r] * b, b [depth][columns], columns in whole vectors.
template <class T>
void add_product(T* out, int64_t out_step, const T* rows, int64_t row_step, int64_t count, const T* b, int64_t b_step,
                 int64_t depth, int64_t columns, T* sums) {
  constexpr int L = kLanes<T>;
  constexpr int64_t C = kQueries<T>;
  for_tiles(count, [&](int64_t r, int64_t height) {
    for (int64_t c = 0; c < columns; c += C) {
      const int vectors = columns - c > L ? 2 : 1;
      choose_tile<T>(height, vectors, APanel::by_rows)(depth, rows + r * row_step, row_step, b + c, b_step, sums, C);
      for (int64_t i = 0; i < height; ++i)
        for (int v = 0; v < vectors; ++v) {
          T* const at = out + (r + i) * out_step + c + v * L;
          store(at, load(at) + load(sums + i * C + v * L));
        }
    }
  });
}

// rows of `width`, padded with zeros to whole vectors; zero rows past `queries`.
template <class T>
void pack_rows(T* packed, const T* rows, int64_t row_step, int64_t queries, int64_t width) {
  const int64_t step = padded(width);
  for (int64_t i = 0; i < kBlock<T>; ++i)
    for (int64_t d = 0; d < step; d += kLanes<T>)
      store(packed + i * step + d,
            i < queries ? load_partial(rows + i * row_step + d, most(0, least(kLanes<T>, width - d))) : Vec<T>{});
}

template <class T>
struct BlockGrad {
  const AttentionGrad<T>& x;
  const AttentionGradTask<T>& task;
  int64_t batch, head, kv_head, i0, queries, chunk_begin;

  // What pack reads, of the next block, and where this one's gq goes.
  void ask_ahead() const {
    const AttentionProblem<T>& p = x.problem;
    const int64_t next = i0 + queries, left = least(kBlock<T>, p.q_len - next);
    ask_for_rows<true>(x.gq.at(batch, head, i0), x.gq.row, queries, p.width);
    if (left <= 0) return;
    ask_for_rows<false>(x.q.at(batch, head, next), x.q.row, left, p.width);
    ask_for_rows<false>(x.g.at(batch, head, next), x.g.row, left, p.v_width);
    ask_for_rows<false>(x.out.at(batch, head, next), x.out.row, left, p.v_width);
  }

  void pack() const {
    const AttentionProblem<T>& p = x.problem;
    constexpr int64_t B = kBlock<T>;
    pack_down(task.q_down, B, x.q.at(batch, head, i0), x.q.row, queries, p.width, B, p.scale * static_cast<T>(kLog2E));
    pack_down(task.g_down, B, x.g.at(batch, head, i0), x.g.row, queries, p.v_width, B, (T)1);
    pack_rows(task.q, x.q.at(batch, head, i0), x.q.row, queries, p.width);
    pack_rows(task.g, x.g.at(batch, head, i0), x.g.row, queries, p.v_width);
    for (int64_t i = 0; i < B; ++i) {
      Vec<T> sum = {};
      if (i < queries) {
        const T* const g = x.g.at(batch, head, i0 + i);
        const T* const out = x.out.at(batch, head, i0 + i);
        for_vectors<T>(p.v_width, [&](int64_t d, int64_t n) { sum += load_n(g + d, n) * load_n(out + d, n); });
      }
      task.delta[i] = sum_lanes<T>(sum);
      task.lse[i] = i < queries ? x.lse[(batch * p.heads + head) * p.q_len + i0 + i] : (T)INFINITY;
    }
    for (int64_t d = 0; d < p.width * B; d += kLanes<T>) store(task.gq_down + d, Vec<T>{});
  }

  // p and ds of a panel of the block.
  void weights(const ScoreBlock& at, int64_t panel) const {
    constexpr int L = kLanes<T>;
    constexpr int64_t B = kBlock<T>;
    const AttentionProblem<T>& p = x.problem;
    const int64_t column = panel * kQueries<T>;
    T* const weight = task.p + column;
    T* const ds = task.ds + column;
    const bool masked = has_mask(p), drops = p.dropout > 0;
    // Later keys are hidden from all queries of the first vector.
    const int64_t wide = masked ? at.keys : keys_up_to(p, at, at.i0 + L - 1), narrow = at.keys - wide;
    const T* const keys = x.k.at(batch, kv_head, at.j0);
    const T* const values = x.v.at(batch, kv_head, at.j0);
    multiply_rows(weight, B, keys, x.k.row, wide, task.q_down + column, B, p.width, 2);
    multiply_rows(ds, B, values, x.v.row, wide, task.g_down + column, B, p.v_width, 2);
    if (narrow > 0) {
      multiply_rows(weight + wide * B + L, B, keys + wide * x.k.row, x.k.row, narrow, task.q_down + column + L, B,
                    p.width, 1);
      multiply_rows(ds + wide * B + L, B, values + wide * x.v.row, x.v.row, narrow, task.g_down + column + L, B,
                    p.v_width, 1);
      for (int64_t j = wide; j < at.keys; ++j) store(ds + j * B, Vec<T>{});
    }
    if (masked)
      make_mask(task.mask, p, at);
    else
      hide_outside_band(weight, B, p, at);
    if (drops) make_words(task.words, p, at);
    const Dropping<T> dropping(p.dropout);
    Vec<T> lse[kTileVectors], delta[kTileVectors];
    EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) {
      lse[v] = load(task.lse + column + v * L);
      delta[v] = load(task.delta + column + v * L);
    }
    for (int64_t j = 0; j < at.keys; ++j) EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) {
        const int64_t place = j * B + v * L;
        Vec<T> score = load(weight + place), slope = load(ds + place);
        if (masked) score += load(task.mask + j * kQueries<T> + v * L);
        const Vec<T> e = weights_of(score, lse[v]);
        Vec<T> kept = e;
        if (drops) {
          const Vec<T> factor = dropping.factor(task.words + j * kMostWords + v * L);
          kept *= factor;
          slope *= factor;
        }
        store(weight + place, kept);
        store(ds + place, e * (slope - delta[v]));
      }
  }

  void keep_bias_gradient(const ScoreBlock& at) const {
    const AttentionProblem<T>& p = x.problem;
    T* const out = x.gbias + ((batch * p.heads + head) * p.q_len + i0) * p.k_len + at.j0;
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t j = 0; j < keys_up_to(p, at, i0 + i); ++j) out[i * p.k_len + j] = task.ds[j * kBlock<T> + i];
  }

  void add_keys(int64_t j0, int64_t keys) const {
    constexpr int L = kLanes<T>;
    constexpr int64_t B = kBlock<T>, C = kQueries<T>;
    const AttentionProblem<T>& p = x.problem;
    const int64_t first = j0 - chunk_begin, panels = queries > C ? 2 : 1;
    const ScoreBlock all = {batch, head, i0, queries, j0, keys};
    int64_t seen[kGradPanels] = {};  // keys of the block that a panel sees any of
    for (int64_t panel = 0; panel < panels; ++panel) {
      ScoreBlock at = all;
      at.i0 = i0 + panel * C;
      at.queries = least(C, queries - panel * C);
      at.keys = seen[panel] = keys_up_to(p, all, at.i0 + at.queries - 1);
      if (at.keys > 0) weights(at, panel);
    }
    if (x.gbias != nullptr) keep_bias_gradient(all);
    // Sums over queries begin with the first vector of them that sees any of the keys.
    const int64_t width = padded(p.width), v_width = padded(p.v_width), depth = panels * C;
    const bool masked = has_mask(p);
    for (int64_t from = 0, key = 0; from < depth && key < keys; from += L) {
      const int64_t end = masked ? (from % C == 0 ? seen[from / C] : key) : keys_up_to(p, all, i0 + from + L - 1);
      const int64_t until = from + L == depth ? keys : end, count = until - key;
      if (count <= 0) continue;
      add_product(task.gv + (first + key) * v_width, v_width, task.p + key * B + from, B, count,
                  task.g + from * v_width, v_width, depth - from, v_width, task.sums);
      add_product(task.gk + (first + key) * width, width, task.ds + key * B + from, B, count, task.q + from * width,
                  width, depth - from, width, task.sums);
      key = until;
    }
    for_tiles(p.width, [&](int64_t d, int64_t height) {
      for (int64_t c = 0; c < panels * C; c += C) {
        if (seen[c / C] == 0) continue;
        choose_tile<T>(height, kTileVectors, APanel::by_columns)(seen[c / C], x.k.at(batch, kv_head, j0) + d, x.k.row,
                                                                 task.ds + c, B, task.sums, C);
        for (int64_t r = 0; r < height; ++r) EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) {
            T* const sum = task.gq_down + (d + r) * B + c + v * L;
            store(sum, load(sum) + load(task.sums + r * C + v * L));
          }
      }
    });
  }
};

template <class T>
void grad_task(const AttentionGrad<T>& x, const AttentionGradParts<T>& parts, const AttentionGradTask<T>& task,
               int64_t batch, int64_t kv_head, int64_t chunk) {
  constexpr int L = kLanes<T>;
  constexpr int64_t B = kBlock<T>;
  const AttentionProblem<T>& p = x.problem;
  const int64_t group = p.heads / p.kv_heads, chunks = grad_chunks(p);
  const int64_t begin = chunk * grad_chunk(p), end = least(p.k_len, begin + grad_chunk(p));
  const int64_t width = padded(p.width), v_width = padded(p.v_width);
  for (int64_t j = 0; j < (end - begin) * width; j += L) store(task.gk + j, Vec<T>{});
  for (int64_t j = 0; j < (end - begin) * v_width; j += L) store(task.gv + j, Vec<T>{});
  alignas(kVectorBytes) T factor[B];
  for (int64_t i = 0; i < B; i += L) store(factor + i, broadcast(p.scale));
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
    for (int64_t i0 = 0; i0 < p.q_len; i0 += B) {
      const BlockGrad<T> block = {x, task, batch, head, kv_head, i0, least(B, p.q_len - i0), begin};
      const KeyRange range = visible_keys(p, i0, block.queries);
      const int64_t first = most(begin, range.begin), last = least(end, range.end);
      if (first < last) {
        block.pack();
        block.ask_ahead();
        for_blocks(first, last, kGradKeys, [&](int64_t j, int64_t keys) { block.add_keys(j, keys); });
      } else {
        for (int64_t d = 0; d < p.width * B; d += L) store(task.gq_down + d, Vec<T>{});
      }
      Rows<T> gq = x.gq;
      if (chunks > 1)
        gq = {parts.gq + chunk * p.batch * p.heads * p.q_len * p.width, p.heads * p.q_len * p.width, p.q_len * p.width,
              p.width};
      unpack_down(gq.at(batch, head, i0), gq.row, task.gq_down, B, block.queries, p.width, factor);
    }
  for (int64_t j = begin; j < end; ++j) {
    T* const gk = x.gk.at(batch, kv_head, j);
    T* const gv = x.gv.at(batch, kv_head, j);
    for_vectors<T>(
        p.width, [&](int64_t d, int64_t n) { store_n(gk + d, n, load(task.gk + (j - begin) * width + d) * p.scale); });
    for_vectors<T>(p.v_width,
                   [&](int64_t d, int64_t n) { store_n(gv + d, n, load(task.gv + (j - begin) * v_width + d)); });
  }
}

// The chunks' shares of gq, added up in order.
template <class T>
void add_chunks(const AttentionGrad<T>& x, const AttentionGradParts<T>& parts) {
  const AttentionProblem<T>& p = x.problem;
  const int64_t chunks = grad_chunks(p), size = p.batch * p.heads * p.q_len * p.width;
  if (chunks == 1) return;
  parallel_for(x.ws, p.batch * p.heads * p.q_len, 0.2 * static_cast<double>(chunks * p.width), [&](int64_t r, int) {
    T* const out = x.gq.at(r / p.q_len / p.heads, r / p.q_len % p.heads, r % p.q_len);
    for_vectors<T>(p.width, [&](int64_t d, int64_t n) {
      Vec<T> sum = load_n(parts.gq + r * p.width + d, n);
      for (int64_t c = 1; c < chunks; ++c) sum += load_n(parts.gq + c * size + r * p.width + d, n);
      store_n(out + d, n, sum);
    });
  });
}

}  // namespace

template <class T>
void attention_backward(const AttentionGrad<T>& x) {
  const AttentionProblem<T>& p = x.problem;
  if (p.batch * p.heads == 0) return;
  const auto parts = carve<AttentionGradParts<T>>(x);
  if (x.gbias != nullptr) {  // hidden blocks are not visited
    const int64_t size = p.batch * p.heads * p.q_len * p.k_len;
    for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(x.gbias + i, n, Vec<T>{}); });
  }
  const int64_t chunks = grad_chunks(p), tasks = p.batch * p.kv_heads * chunks;
  const double cost = 0.05 * static_cast<double>(p.heads / p.kv_heads * p.q_len * least(p.k_len, grad_chunk(p))) *
                      static_cast<double>(p.width + p.v_width + 16);
  parallel_for(x.ws, tasks, cost, [&](int64_t t, int slot) {
    grad_task(x, parts, parts.task[slot], t / chunks / p.kv_heads, t / chunks % p.kv_heads, t % chunks);
  });
  add_chunks(x, parts);
}

EINKORN_INSTANTIATE(attention_backward, AttentionGrad)

}  // namespace einkorn::EINKORN_ISA
