// Conditional random field: a step over tags as a product of a row and a matrix, in place of tags^2 exponentials.
//
//     log sum_j exp(alpha_j + T_ji)  =  m + M_i + log( sum_j  exp(alpha_j - m)  exp(T_ji - M_i) )     m = max alpha, M_i = max_j T_ji
//                                                             row p, per step    table, once a call
//
// All factors are at most 1, so nothing overflows. What vanishes is below the smallest float: where the sum is above kSmall it
// is not missed. Where it is not, the largest alpha and the largest transition belong to different tags, far apart (forbidden
// steps have such scores), and the column is summed in logarithms.
//
// Backward, the share of a pair is p_j table_ji w_i with w_i = exp(e_i + beta_i + M_i + m - log Z), at most 1 / kSmall where the
// sum is above kSmall: a step adds p_j w_i to a matrix, which is multiplied by the table when all sequences are done. The other
// columns go to a second matrix, in logarithms, as do the pairs of the tags themselves.

#include "kernels/crf.h"

#include <math.h>

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
constexpr T kNever = static_cast<T>(-INFINITY);
template <class T>
constexpr T kSmall = static_cast<T>(1e-20);

template <class T>
T exp_of(T x) {
  return exp(broadcast(x))[0];
}

template <class T>
T log_of(T x) {
  return log(broadcast(x))[0];
}

int64_t within(int64_t x, int64_t most) {
  return x < 0 ? 0 : x > most ? most : x;
}

template <class T>
void fill(T* out, int64_t n, T value) {
  for_vectors<T>(n, [&](int64_t i, int64_t live) { store_n(out + i, live, broadcast(value)); });
}

// The largest of a padded row, 0 where there is none.
template <class T>
T largest(const T* row, int64_t width) {
  Vec<T> most = load(row);
  for (int64_t i = kLanes<T>; i < width; i += kLanes<T>) most = maximum(most, load(row + i));
  const T found = max_lanes<T>(most);
  return found == kNever<T> ? T{0} : found;
}

// log[j, i] = transitions[j, i], or [i, j] where turned.
template <class T>
void make_table(const CrfTable<T>& table, const T* transitions, int64_t tags, bool turned) {
  const int64_t width = crf_width(tags);
  fill(table.log, tags * width, kNever<T>);
  fill(table.most, width, kNever<T>);
  for (int64_t j = 0; j < tags; ++j)
    for (int64_t i = 0; i < tags; ++i) table.log[j * width + i] = transitions[turned ? i * tags + j : j * tags + i];
  for (int64_t i = 0; i < width; i += kLanes<T>) {
    Vec<T> most = broadcast(kNever<T>);
    for (int64_t j = 0; j < tags; ++j) most = maximum(most, load(table.log + j * width + i));
    most = most == kNever<T> ? Vec<T>{} : most;
    store(table.most + i, most);
    for (int64_t j = 0; j < tags; ++j) store(table.exp + j * width + i, exp(load(table.log + j * width + i) - most));
  }
  // Beyond the tags -inf comes out, of a sum that is not small.
  for (int64_t i = tags; i < width; ++i) {
    table.most[i] = kNever<T>;
    for (int64_t j = 0; j < tags; ++j) table.exp[j * width + i] = 1;
  }
}

// A column summed in logarithms.
template <class T>
T log_sum(const CrfTable<T>& table, const T* in, int64_t i, int64_t tags) {
  const int64_t width = crf_width(tags);
  T most = kNever<T>;
  for (int64_t j = 0; j < tags; ++j) {
    const T x = in[j] + table.log[j * width + i];
    most = x > most ? x : most;
  }
  if (most == kNever<T>) return most;
  T sum = 0;
  for (int64_t j = 0; j < tags; ++j) sum += exp_of(in[j] + table.log[j * width + i] - most);
  return most + log_of(sum);
}

// out[i] = log sum over j of exp(in[j] + log[j, i]), by way of p[j] = exp(in[j] - m). out is another row than in.
template <class T>
void step(const CrfTable<T>& table, const T* in, T* p, T* out, int64_t tags) {
  constexpr int L = kLanes<T>;
  const int64_t width = crf_width(tags);
  const T m = largest(in, width);
  for (int64_t j = 0; j < width; j += L) store(p + j, exp(load(in + j) - m));
  for (int64_t i = 0; i < width; i += L) {
    Vec<T> sum[4] = {};
    const T* column = table.exp + i;
    int64_t j = 0;
    for (; j + 4 <= tags; j += 4, column += 4 * width)
      EINKORN_UNROLL for (int s = 0; s < 4; ++s) sum[s] += broadcast(p[j + s]) * load(column + s * width);
    for (; j < tags; ++j, column += width) sum[0] += broadcast(p[j]) * load(column);
    const Vec<T> all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    store(out + i, m + load(table.most + i) + log(all));
    if (bits_of_lanes<T>(all < kSmall<T>) == 0) continue;
    for (int64_t s = i; s < i + L; ++s)
      if (all[s - i] < kSmall<T>) out[s] = s < tags ? log_sum(table, in, s, tags) : kNever<T>;
  }
}

// A row of tags into padded scratch.
template <class T>
void load_row(T* out, const T* row, int64_t tags) {
  fill(out, crf_width(tags), kNever<T>);
  for_vectors<T>(tags, [&](int64_t i, int64_t live) { store_n(out + i, live, load_n(row + i, live)); });
}

template <class T>
void add_row(T* out, const T* row, int64_t tags) {
  for_vectors<T>(
      tags, [&](int64_t i, int64_t live) { store_n(out + i, live, load_n(out + i, live) + load_n(row + i, live)); });
}

// log of the sum of exp(last + end).
template <class T>
T log_total(const T* last, const T* end, T* row, int64_t tags) {
  load_row(row, last, tags);
  add_row(row, end, tags);
  const int64_t width = crf_width(tags);
  const T m = largest(row, width);
  Vec<T> sum = {};
  for (int64_t i = 0; i < width; i += kLanes<T>) sum += exp(load(row + i) - m);
  return m + log_of(sum_lanes<T>(sum));
}

template <class Args>
double score_of_tags(const Args& k, int64_t n, int64_t length) {
  const auto* e = k.emissions + n * k.steps * k.tags;
  double score = 0;
  int64_t before = 0;
  for (int64_t t = 0; t < length; ++t) {
    const int64_t tag = within(k.chosen[n * k.steps + t], k.tags - 1);
    score += static_cast<double>(e[t * k.tags + tag]);
    score += static_cast<double>(t == 0 ? k.start[tag] : k.transitions[before * k.tags + tag]);
    before = tag;
  }
  return score + static_cast<double>(k.end[before]);
}

template <class Args>
double cost_of(const Args& k, double passes) {
  return passes * static_cast<double>(k.steps) * static_cast<double>(k.tags) *
         (1.0 + 0.06 * static_cast<double>(k.tags));
}

}  // namespace

template <class T>
void crf_forward(const CrfForward<T>& k) {
  const auto parts = carve<CrfForwardParts<T>>(k);
  make_table(parts.to, k.transitions, k.tags, false);
  const int64_t width = crf_width(k.tags);
  parallel_for(k.ws, k.batch, cost_of(k, 1), [&](int64_t n, int slot) {
    const int64_t length = within(k.lengths[n], k.steps);
    if (length == 0) {
      k.loss[n] = 0;
      return;
    }
    T* const rows = parts.rows[slot];
    T* const alpha = k.log_alpha + n * k.steps * k.tags;
    load_row(rows, k.start, k.tags);
    for (int64_t t = 0; t < length; ++t) {
      T* const row = rows + t % 2 * width;
      if (t > 0) step(parts.to, rows + (t + 1) % 2 * width, rows + 2 * width, row, k.tags);
      add_row(row, k.emissions + (n * k.steps + t) * k.tags, k.tags);
      for_vectors<T>(k.tags, [&](int64_t i, int64_t live) { store_n(alpha + t * k.tags + i, live, load(row + i)); });
    }
    const T total = log_total(alpha + (length - 1) * k.tags, k.end, rows, k.tags);
    k.loss[n] = k.chosen == nullptr ? total : static_cast<T>(static_cast<double>(total) - score_of_tags(k, n, length));
  });
}

namespace {

// The matrices that a group of sequences adds to.
template <class T>
struct Sums {
  T *pairs, *outside, *first, *last;

  Sums(T* base, int64_t tags)
      : pairs(base),
        outside(base + tags * crf_width(tags)),
        first(base + 2 * tags * crf_width(tags)),
        last(first + crf_width(tags)) {}
};

// pairs[j, i] += p[j] w[i] for the step from `before` to a row whose log-shares without their transitions are `later`.
template <class T>
void add_pairs(const CrfTable<T>& to, const Sums<T>& sums, const T* before, const T* later, T* p, T* w, T g,
               int64_t tags) {
  constexpr int L = kLanes<T>;
  const int64_t width = crf_width(tags);
  const T m = largest(before, width);
  for (int64_t j = 0; j < width; j += L) store(p + j, exp(load(before + j) - m));
  for (int64_t i = 0; i < width; i += L) {
    const Vec<T> share = exp(load(later + i) + load(to.most + i) + m);
    const auto too_large = share > 1 / kSmall<T>;
    store(w + i, too_large ? Vec<T>{} : share * g);
    if (bits_of_lanes<T>(too_large) == 0) continue;
    for (int64_t s = i; s < i + L && s < tags; ++s)
      for (int64_t j = 0; share[s - i] > 1 / kSmall<T> && j < tags; ++j)
        sums.outside[j * width + s] += g * exp_of(before[j] + to.log[j * width + s] + later[s]);
  }
  for (int64_t j = 0; j < tags; ++j) {
    T* const out = sums.pairs + j * width;
    for (int64_t i = 0; i < width; i += L) store(out + i, load(out + i) + broadcast(p[j]) * load(w + i));
  }
}

template <class T>
void backward_of(const CrfBackward<T>& k, const CrfBackwardParts<T>& parts, const Sums<T>& sums, T* rows, int64_t n) {
  const int64_t width = crf_width(k.tags), length = within(k.lengths[n], k.steps);
  T* const gemissions = k.gemissions + n * k.steps * k.tags;
  const T* const alpha = k.log_alpha + n * k.steps * k.tags;
  fill(gemissions + length * k.tags, (k.steps - length) * k.tags, T{0});
  if (length == 0) return;
  T *beta = rows, *earlier = rows + width;
  T *const p = rows + 2 * width, *const w = rows + 3 * width, *const now = rows + 4 * width,
           *const before = rows + 5 * width;
  const T g = k.gloss[n], total = log_total(alpha + (length - 1) * k.tags, k.end, before, k.tags);
  load_row(beta, k.end, k.tags);
  for (int64_t t = length - 1; t >= 0; --t) {
    load_row(now, alpha + t * k.tags, k.tags);
    T* const out = gemissions + t * k.tags;
    for_vectors<T>(k.tags, [&](int64_t i, int64_t live) {
      store_n(out + i, live, exp(load(now + i) + load(beta + i) - total) * g);
    });
    if (t == length - 1) add_row(sums.last, out, k.tags);
    if (t == 0) {
      add_row(sums.first, out, k.tags);
      continue;
    }
    add_row(beta, k.emissions + (n * k.steps + t) * k.tags, k.tags);
    for (int64_t i = 0; i < width; i += kLanes<T>) store(now + i, load(beta + i) - total);
    load_row(before, alpha + (t - 1) * k.tags, k.tags);
    add_pairs(parts.to, sums, before, now, p, w, g, k.tags);
    step(parts.from, beta, p, earlier, k.tags);
    T* const used = beta;
    beta = earlier;
    earlier = used;
  }
  if (k.chosen == nullptr) return;
  int64_t last = 0;
  for (int64_t t = 0; t < length; ++t) {
    const int64_t tag = within(k.chosen[n * k.steps + t], k.tags - 1);
    gemissions[t * k.tags + tag] -= g;
    (t == 0 ? sums.first[tag] : sums.outside[last * width + tag]) -= g;
    last = tag;
  }
  sums.last[last] -= g;
}

}  // namespace

template <class T>
void crf_backward(const CrfBackward<T>& k) {
  const auto parts = carve<CrfBackwardParts<T>>(k);
  make_table(parts.to, k.transitions, k.tags, false);
  make_table(parts.from, k.transitions, k.tags, true);
  const int64_t width = crf_width(k.tags), groups = crf_groups(k.batch);
  parallel_for(k.ws, groups, cost_of(k, 3) * static_cast<double>(k.batch) / static_cast<double>(groups + 1),
               [&](int64_t group, int slot) {
                 const Sums<T> sums(parts.sums[group], k.tags);
                 fill(parts.sums[group], (2 * k.tags + 2) * width, T{0});
                 for (int64_t n = group * k.batch / groups; n < (group + 1) * k.batch / groups; ++n)
                   backward_of(k, parts, sums, parts.rows[slot], n);
               });
  const auto total = [&](T* out, const T* table, int64_t row) EINKORN_LAMBDA {
    for_vectors<T>(k.tags, [&](int64_t i, int64_t live) {
      Vec<T> sum = {};
      for (int64_t group = 0; group < groups; ++group) {
        const T* const at = parts.sums[group] + row * width + i;
        sum += table == nullptr ? load(at) : load(at) * load(table + i) + load(at + k.tags * width);
      }
      store_n(out + i, live, sum);
    });
  };
  for (int64_t j = 0; j < k.tags; ++j) total(k.gtransitions + j * k.tags, parts.to.exp + j * width, j);
  total(k.gstart, nullptr, 2 * k.tags);
  total(k.gend, nullptr, 2 * k.tags + 1);
}

template <class T>
void crf_viterbi(const CrfViterbi<T>& k) {
  const auto parts = carve<CrfViterbiParts<T>>(k);
  const int64_t width = crf_width(k.tags);
  for (int64_t i = 0; i < k.tags; ++i)
    for (int64_t j = 0; j < k.tags; ++j) parts.into[i * k.tags + j] = k.transitions[j * k.tags + i];
  parallel_for(k.ws, k.batch, cost_of(k, 0.5), [&](int64_t n, int slot) {
    const int64_t length = within(k.lengths[n], k.steps);
    int64_t* const best = k.best + n * k.steps;
    T* const scores = parts.scores[slot];
    for (int64_t t = length; t < k.steps; ++t) best[t] = -1;
    k.score[n] = 0;
    for (int64_t t = 0; t < length; ++t) {
      T* const now = scores + t * width;
      const T* const e = k.emissions + (n * k.steps + t) * k.tags;
      if (t == 0) {
        for_vectors<T>(k.tags, [&](int64_t i, int64_t live) { store_n(now + i, live, load_n(k.start + i, live)); });
      } else {
        for_vectors<T>(k.tags, [&](int64_t i, int64_t live) {
          Vec<T> most = broadcast(kNever<T>);
          for (int64_t j = 0; j < k.tags; ++j)
            most = maximum(broadcast(now[j - width]) + load_n(k.transitions + j * k.tags + i, live), most);
          store_n(now + i, live, most);
        });
      }
      add_row(now, e, k.tags);
    }
    // The way back: which tag the best score of the next came from is found again, for that one alone.
    for (int64_t t = length - 1; t >= 0; --t) {
      const T* const now = scores + t * width;
      const T* const step = t == length - 1 ? k.end : parts.into + best[t + 1] * k.tags;
      T most = kNever<T>;
      best[t] = 0;
      for (int64_t j = 0; j < k.tags; ++j) {
        const T x = now[j] + step[j];
        if (x > most) {
          most = x;
          best[t] = j;
        }
      }
      if (t == length - 1) k.score[n] = most;
    }
  });
}

EINKORN_INSTANTIATE(crf_forward, CrfForward)
EINKORN_INSTANTIATE(crf_backward, CrfBackward)
EINKORN_INSTANTIATE(crf_viterbi, CrfViterbi)

}  // namespace einkorn::EINKORN_ISA
