// How attention is blocked and where its scratch lies. Follows from the problem's size alone.

#pragma once

#include "kernels/attention/attention.h"
#include "kernels/packed_operands.h"
#include "runtime/carver.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Bounds over all instruction sets: queries side by side in a panel, rows of a register tile.
template <class T>
constexpr int64_t kMostQueries = 128 / static_cast<int64_t>(sizeof(T));
constexpr int64_t kMostRows = 14;
constexpr int64_t kMostWords = 32;  // random words of a row of a panel

constexpr int64_t kKeys = 64;       // keys of a block, forward: their scores, values and the queries fit the L1 cache
constexpr int64_t kGradKeys = 64;   // the same, backward, where a block is several panels wide
constexpr int64_t kGradPanels = 2;  // panels of queries of a block, backward

// Few queries (generation) are vectors along the width instead of across queries; not before a backward pass, which takes scores
// in the other order: of large ones it would not find the weights again.
template <class In>
inline bool is_decoding(const Attention<In>& x) {
  return x.problem.q_len <= 4 && x.lse == nullptr;
}

// Keys a task of decoding takes, so that one long row splits too.
constexpr int64_t kDecodeKeys = 1024;
template <class T>
inline int64_t decode_chunks(const AttentionProblem<T>& p) {
  return p.k_len <= kDecodeKeys ? 1 : (p.k_len + kDecodeKeys - 1) / kDecodeKeys;
}

// A row of partial results of decoding: the sum, then the maximum and the sum of exponentials.
template <class T>
inline int64_t decode_row(const AttentionProblem<T>& p) {
  return (p.v_width + 63) / 64 * 64 + 64;
}

template <class In>
inline int64_t decode_size(const Attention<In>& x) {
  const auto& p = x.problem;
  return is_decoding(x) ? p.batch * p.heads * p.q_len * decode_chunks(p) * decode_row(p) : 0;
}

// Keys a task of the backward pass takes: their gradients stay in the L2 cache, and few heads still make many tasks.
template <class T>
inline int64_t grad_chunk(const AttentionProblem<T>& p) {
  const int64_t heads = p.batch * p.kv_heads, wanted = heads >= 16 || heads == 0 ? 1 : (16 + heads - 1) / heads;
  int64_t chunk = (p.k_len + wanted - 1) / wanted;
  if (chunk < 256) chunk = 256;
  if (chunk > 2048) chunk = 2048;
  return chunk < p.k_len ? chunk : (p.k_len > 0 ? p.k_len : 1);
}
template <class T>
inline int64_t grad_chunks(const AttentionProblem<T>& p) {
  return p.k_len == 0 ? 1 : (p.k_len + grad_chunk(p) - 1) / grad_chunk(p);
}

// Widths padded to whole vectors of any instruction set.
inline int64_t padded(int64_t width) {
  return (width + 15) / 16 * 16;
}

// What a running task of the forward pass needs.
template <class T>
struct AttentionTask {
  T* q;       // [width][queries], scaled
  T* out;     // [v_width][queries]
  T* scores;  // [keys][queries]
  T* mask;    // the same
  T* sums;    // a register tile
  uint32_t* words;

  AttentionTask(Carver& c, const AttentionProblem<T>& p)
      : q(c.take<T>(p.width * kMostQueries<T>)),
        out(c.take<T>(p.v_width * kMostQueries<T>)),
        scores(c.take<T>(kKeys * kMostQueries<T>)),
        mask(c.take<T>(kKeys * kMostQueries<T>)),
        sums(c.take<T>(kMostRows * kMostQueries<T>)),
        words(c.take<uint32_t>(p.dropout > 0 ? kKeys * kMostWords : 0)) {}
};

template <class T>
struct AttentionParts {
  T* partials;  // decoding: [batch, kv head, chunk][query][decode_row]
  PartsOfEach<AttentionTask<T>, AttentionProblem<T>> task;

  AttentionParts(Carver& c, const Attention<T>& x)
      : partials(c.take<T>(decode_size(x))), task(c.each<AttentionTask<T>>(x.ws.threads, x.problem)) {}
};

// What a running task of the backward pass needs.
template <class T>
struct AttentionGradTask {
  T *q_down, *g_down;  // [width][queries] scaled, [v_width][queries]
  T *q, *g;            // [queries][padded width]
  T *p, *ds;           // [keys][queries]
  T* mask;             // [keys][queries of a panel]
  T* gq_down;          // [width][queries]
  T *gk, *gv;          // [chunk][padded width]
  T *lse, *delta;      // [queries]
  T* sums;
  uint32_t* words;

  AttentionGradTask(Carver& c, const AttentionProblem<T>& s)
      : q_down(c.take<T>(s.width * kQueries)),
        g_down(c.take<T>(s.v_width * kQueries)),
        q(c.take<T>(kQueries * padded(s.width))),
        g(c.take<T>(kQueries * padded(s.v_width))),
        p(c.take<T>(kGradKeys * kQueries)),
        ds(c.take<T>(kGradKeys * kQueries)),
        mask(c.take<T>(kGradKeys * kMostQueries<T>)),
        gq_down(c.take<T>(s.width * kQueries)),
        gk(c.take<T>(grad_chunk(s) * padded(s.width))),
        gv(c.take<T>(grad_chunk(s) * padded(s.v_width))),
        lse(c.take<T>(kQueries)),
        delta(c.take<T>(kQueries)),
        sums(c.take<T>(kMostRows * kMostQueries<T>)),
        words(c.take<uint32_t>(s.dropout > 0 ? kGradKeys * kMostWords : 0)) {}

  static constexpr int64_t kQueries = kGradPanels * kMostQueries<T>;
};

template <class T>
struct AttentionGradParts {
  T* gq;  // [chunk][batch][head][q_len][width]; unused where there is one chunk
  PartsOfEach<AttentionGradTask<T>, AttentionProblem<T>> task;

  AttentionGradParts(Carver& c, const AttentionGrad<T>& x)
      : gq(c.take<T>(grad_chunks(x.problem) > 1 ? grad_chunks(x.problem) * x.problem.batch * x.problem.heads *
                                                      x.problem.q_len * x.problem.width
                                                : 0)),
        task(c.each<AttentionGradTask<T>>(x.ws.threads, x.problem)) {}
};

// The same over bfloat16, whose products are of pairs in lanes of 32 bits. Blocks of keys begin at even ones.
inline int64_t pair_chunk(const AttentionProblem<float>& p) {
  return 2 * halved(grad_chunk(p));
}
inline int64_t pair_chunks(const AttentionProblem<float>& p) {
  return p.k_len == 0 ? 1 : (p.k_len + pair_chunk(p) - 1) / pair_chunk(p);
}

struct AttentionPairTask {
  int32_t* q;     // [pairs of the width][queries]
  float* out;     // [v_width][queries]
  float* scores;  // [keys][queries], then [pairs of keys][queries]
  float* mask;
  float* sums;
  uint32_t* words;

  AttentionPairTask(Carver& c, const AttentionProblem<float>& p)
      : q(c.take<int32_t>(halved(p.width) * kMostQueries<float>)),
        out(c.take<float>(p.v_width * kMostQueries<float>)),
        scores(c.take<float>(kKeys * kMostQueries<float>)),
        mask(c.take<float>(kKeys * kMostQueries<float>)),
        sums(c.take<float>(kMostRows * kMostQueries<float>)),
        words(c.take<uint32_t>(p.dropout > 0 ? kKeys * kMostWords : 0)) {}
};

template <>
struct AttentionParts<uint16_t> {
  float* partials;  // decoding
  int32_t* k;       // [batch, kv head][k_len][pairs of the width]
  int32_t* v;       // [batch, kv head][pairs of keys][v_width]
  PartsOfEach<AttentionPairTask, AttentionProblem<float>> task;

  AttentionParts(Carver& c, const Attention<uint16_t>& x) : partials(c.take<float>(decode_size(x))) {
    const AttentionProblem<float>& p = x.problem;
    const int64_t heads = is_decoding(x) ? 0 : p.batch * p.kv_heads;
    k = c.take<int32_t>(heads * p.k_len * halved(p.width));
    v = c.take<int32_t>(heads * halved(p.k_len) * p.v_width);
    task = c.each<AttentionPairTask>(x.ws.threads, p);
  }
};

struct AttentionGradPairTask {
  int32_t *q_down, *g_down;   // [pairs of the width][queries], of v_width
  int32_t *q, *g;             // [pairs of queries][padded width]
  float *p, *ds;              // [keys][queries]
  int32_t *p_rows, *ds_rows;  // [keys][pairs of queries]
  int32_t* ds_down;           // [pairs of keys][queries]
  float* mask;                // [keys][queries of a panel]
  float* gq_down;             // [width][queries]
  float *gk, *gv;             // [chunk][padded width]
  float *lse, *delta, *sums;
  uint32_t* words;

  AttentionGradPairTask(Carver& c, const AttentionProblem<float>& s)
      : q_down(c.take<int32_t>(halved(s.width) * kQueries)),
        g_down(c.take<int32_t>(halved(s.v_width) * kQueries)),
        q(c.take<int32_t>(kQueries / 2 * padded(s.width))),
        g(c.take<int32_t>(kQueries / 2 * padded(s.v_width))),
        p(c.take<float>(kGradKeys * kQueries)),
        ds(c.take<float>(kGradKeys * kQueries)),
        p_rows(c.take<int32_t>(kGradKeys * kQueries / 2)),
        ds_rows(c.take<int32_t>(kGradKeys * kQueries / 2)),
        ds_down(c.take<int32_t>(kGradKeys / 2 * kQueries)),
        mask(c.take<float>(kGradKeys * kMostQueries<float>)),
        gq_down(c.take<float>(s.width * kQueries)),
        gk(c.take<float>(pair_chunk(s) * padded(s.width))),
        gv(c.take<float>(pair_chunk(s) * padded(s.v_width))),
        lse(c.take<float>(kQueries)),
        delta(c.take<float>(kQueries)),
        sums(c.take<float>(kMostRows * kMostQueries<float>)),
        words(c.take<uint32_t>(s.dropout > 0 ? kGradKeys * kMostWords : 0)) {}

  static constexpr int64_t kQueries = kGradPanels * kMostQueries<float>;
};

template <>
struct AttentionGradParts<uint16_t> {
  float* gq;                 // [chunk][batch][head][q_len][width]; unused where there is one chunk
  int32_t *k_rows, *v_rows;  // [batch, kv head][k_len][pairs of the width]
  int32_t* k_pairs;          // [batch, kv head][pairs of keys][width]
  PartsOfEach<AttentionGradPairTask, AttentionProblem<float>> task;

  AttentionGradParts(Carver& c, const AttentionGrad<uint16_t>& x) {
    const AttentionProblem<float>& p = x.problem;
    const int64_t chunks = pair_chunks(p), heads = p.batch * p.kv_heads;
    gq = c.take<float>(chunks > 1 ? chunks * p.batch * p.heads * p.q_len * p.width : 0);
    k_rows = c.take<int32_t>(heads * p.k_len * halved(p.width));
    v_rows = c.take<int32_t>(heads * p.k_len * halved(p.v_width));
    k_pairs = c.take<int32_t>(heads * halved(p.k_len) * p.width);
    task = c.each<AttentionGradPairTask>(x.ws.threads, p);
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
