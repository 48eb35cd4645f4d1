// CTC: the sum over paths as a recursion over frames, a vector of states at a time.
//
//     frame t - 1     -inf -inf | a0  a1  a2  a3 ...          three loads, at s, s - 1 and s - 2
//                        \    \    \ |                        the last plus 0 where a path may skip the blank, else -inf
//     frame t                       a0' ...                   m + log(e^(a-m) + e^(b-m) + e^(c-m)) + emission of l[s]
//
// States beyond the target's have emission -inf and so stay -inf: loads that reach over the ends add nothing. A frame's
// emissions are gathered once, log_probs[t, n, l[s]].

#include "kernels/ctc.h"

#include <float.h>

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
constexpr T kNever = static_cast<T>(-INFINITY);

// log(e^a + e^b + e^c), -inf for three times that; NaN stays, which a maximum would lose.
template <class T>
EINKORN_INLINE Vec<T> log_add(Vec<T> a, Vec<T> b, Vec<T> c) {
  const Vec<T> m = maximum(maximum(a, b), c);
  const Vec<T> sum = exp(a - m) + exp(b - m) + exp(c - m);
  return (a == kNever<T>)&(b == kNever<T>)&(c == kNever<T>) ? a : m + log(sum);
}

// One sequence of the batch: its states, and what leads from one to another.
template <class T>
struct Sequence {
  int64_t frames, states;
  int64_t* label;             // [states]
  T *skip, *emission, *beta;  // [width] each, beta two of them
  T* share;

  template <class Args>
  Sequence(const Args& k, const CtcParts<T>& parts, int64_t n, int slot) {
    T* const rows = parts.rows[slot];
    label = parts.labels[slot];
    skip = rows;
    emission = rows + k.width;
    beta = rows + 2 * k.width;
    share = rows + 4 * k.width;
    const auto within = [](int64_t x, int64_t most) { return x < 0 ? 0 : x > most ? most : x; };
    frames = within(k.input_lengths[n], k.steps);
    const int64_t start = within(k.starts[n], k.targets_size);
    int64_t length = within(k.target_lengths[n], k.targets_size - start);
    while (ctc_width(length) > k.width) --length;
    states = 2 * length + 1;
    for (int64_t i = 0; i < k.width; ++i) skip[i] = emission[i] = kNever<T>;
    for (int64_t s = 0; s < states; ++s) {
      label[s] = within(s % 2 == 0 ? k.blank : k.targets[start + s / 2], k.classes - 1);
      if (s % 2 == 1 && s >= 2 && label[s] != label[s - 2]) skip[s] = 0;
    }
  }

  EINKORN_INLINE void emit(const T* log_probs) const {
    for (int64_t s = 0; s < states; ++s) emission[s] = log_probs[label[s]];
  }

  // -log of the sum of the last frame's last two states.
  T loss(const T* alpha, int64_t width) const {
    if (frames == 0) return states == 1 ? T{0} : static_cast<T>(INFINITY);
    const T* const last = alpha + (frames - 1) * width;
    const T a = last[kCtcFront + states - 1], b = states > 1 ? last[kCtcFront + states - 2] : kNever<T>;
    return -log_add<T>(broadcast(a), broadcast(b), broadcast(kNever<T>))[0];
  }
};

template <class T>
void fill(T* out, int64_t n, T value) {
  for_vectors<T>(n, [&](int64_t i, int64_t live) { store_n(out + i, live, broadcast(value)); });
}

template <class Args>
double cost_of(const Args& k) {
  return 3.0 * static_cast<double>(k.steps * k.width) + 0.3 * static_cast<double>(k.steps * k.classes);
}

}  // namespace

template <class T>
void ctc_forward(const CtcForward<T>& k) {
  constexpr int L = kLanes<T>;
  const auto parts = carve<CtcParts<T>>(k);
  parallel_for(k.ws, k.batch, cost_of(k), [&](int64_t n, int slot) {
    const Sequence<T> seq(k, parts, n, slot);
    T* const alpha = k.log_alpha + n * k.steps * k.width;
    for (int64_t t = 0; t < seq.frames; ++t) {
      T* const now = alpha + t * k.width;
      seq.emit(k.log_probs + (t * k.batch + n) * k.classes);
      fill(now, k.width, kNever<T>);
      if (t == 0) {
        for (int64_t s = 0; s < 2 && s < seq.states; ++s) now[kCtcFront + s] = seq.emission[s];
        continue;
      }
      const T* const before = now - k.width + kCtcFront;
      for (int64_t s = 0; s < seq.states; s += L)
        store(now + kCtcFront + s,
              log_add<T>(load(before + s), load(before + s - 1), load(before + s - 2) + load(seq.skip + s)) +
                  load(seq.emission + s));
    }
    const T loss = seq.loss(alpha, k.width);
    k.loss[n] = k.zero_infinity && loss == static_cast<T>(INFINITY) ? T{0} : loss;
  });
}

template <class T>
void ctc_backward(const CtcBackward<T>& k) {
  constexpr int L = kLanes<T>;
  const auto parts = carve<CtcParts<T>>(k);
  parallel_for(k.ws, k.batch, cost_of(k), [&](int64_t n, int slot) {
    const Sequence<T> seq(k, parts, n, slot);
    const T* const alpha = k.log_alpha + n * k.steps * k.width;
    const T g = k.gloss[n], loss = seq.loss(alpha, k.width);
    const bool impossible = loss == static_cast<T>(INFINITY);
    for (int64_t t = 0; t < k.steps; ++t)
      if (t >= seq.frames || impossible)
        fill(k.glog_probs + (t * k.batch + n) * k.classes, k.classes,
             t >= seq.frames || k.zero_infinity ? T{0} : static_cast<T>(__builtin_nan("")));
    if (impossible) return;
    for (int64_t t = seq.frames - 1; t >= 0; --t) {
      const int64_t at = (t * k.batch + n) * k.classes;
      const T* const log_probs = k.log_probs + at;
      const T* const states = alpha + t * k.width + kCtcFront;
      T* const now = seq.beta + t % 2 * k.width;
      const T* const next = seq.beta + (t + 1) % 2 * k.width;
      seq.emit(log_probs);
      if (t == seq.frames - 1) {
        fill(seq.beta, 2 * k.width, kNever<T>);
        for (int64_t s = seq.states - 1; s >= 0 && s >= seq.states - 2; --s) now[s] = seq.emission[s];
      } else {
        for (int64_t s = 0; s < seq.states; s += L)
          store(now + s, log_add<T>(load(next + s), load(next + s + 1), load(next + s + 2) + load(seq.skip + s + 2)) +
                             load(seq.emission + s));
      }
      for (int64_t s = 0; s < seq.states; s += L) {
        const Vec<T> both = load(states + s) + load(now + s);
        store(seq.share + s, both == kNever<T> ? Vec<T>{} : exp(both - load(seq.emission + s) + loss) * g);
      }
      T* const out = k.glog_probs + at;
      for_vectors<T>(k.classes,
                     [&](int64_t c, int64_t live) { store_n(out + c, live, exp(load_n(log_probs + c, live)) * g); });
      for (int64_t s = 0; s < seq.states; ++s) out[seq.label[s]] -= seq.share[s];
    }
  });
}

namespace {

// Prefixes as a tree: a node is a label behind its parent's; the root is the empty prefix. A prefix has one node, also when it
// has left the search and comes back.
struct Prefixes {
  int64_t *parent, *label, *child, *sibling;
  int64_t count = 1;

  Prefixes(int64_t* nodes, int64_t most)
      : parent(nodes), label(nodes + most), child(nodes + 2 * most), sibling(nodes + 3 * most) {
    parent[0] = label[0] = child[0] = sibling[0] = -1;
  }

  int64_t longer(int64_t node, int64_t c) {
    for (int64_t at = child[node]; at >= 0; at = sibling[at])
      if (label[at] == c) return at;
    parent[count] = node;
    label[count] = c;
    child[count] = -1;
    sibling[count] = child[node];
    child[node] = count;
    return count++;
  }
};

// The most probable of what was seen, in order; of equals the first.
template <class T>
struct Best {
  T* score;
  int64_t *from, *label;  // a prefix and the label behind it, -1: none
  int64_t most, count = 0;

  T least() const { return count < most ? kNever<T> : score[most - 1]; }

  void see(T x, int64_t prefix, int64_t c) {
    if (!(x > least())) return;
    int64_t at = count < most ? count++ : most - 1;
    for (; at > 0 && x > score[at - 1]; --at) {
      score[at] = score[at - 1];
      from[at] = from[at - 1];
      label[at] = label[at - 1];
    }
    score[at] = x;
    from[at] = prefix;
    label[at] = c;
  }
};

template <class T>
EINKORN_INLINE Vec<T> log_add(Vec<T> a, Vec<T> b) {
  return log_add<T>(a, b, broadcast(kNever<T>));
}

template <class T>
struct Search {
  const CtcBeam<T>& k;
  T *blank, *other, *total;            // sums over a prefix's paths that end with the blank, that do not, and both
  T *stay_blank, *stay_other, *stays;  // the same one frame on, without a further label
  T* next_blank;
  int64_t *node, *next_node;
  Best<T> best;
  Prefixes tree;
  int64_t live = 1;

  Search(const CtcBeam<T>& args, const CtcBeamParts<T>& parts, int slot)
      : k(args), best{}, tree(parts.nodes[slot], 1 + args.beams * args.steps) {
    const int64_t width = (k.beams + 15) / 16 * 16;
    T* const sums = parts.sums[slot];
    blank = sums, other = sums + width, total = sums + 2 * width, stay_blank = sums + 3 * width;
    stay_other = sums + 4 * width, stays = sums + 5 * width, next_blank = sums + 6 * width;
    int64_t* const chosen = parts.chosen[slot];
    node = chosen, next_node = chosen + k.beams;
    best = {sums + 7 * width, chosen + 2 * k.beams, chosen + 3 * k.beams, k.beams};
    fill(sums, 8 * width, kNever<T>);
    node[0] = 0;
    blank[0] = total[0] = 0;
  }

  T spoken(int64_t last, int64_t c) const {
    return k.language == nullptr ? T{0} : k.language[(last < 0 ? k.blank : last) * k.classes + c];
  }

  // What prefix b passes to the one with c behind it.
  T passed(int64_t b, int64_t c, const T* log_probs) const {
    const int64_t last = tree.label[node[b]];
    return (last == c ? blank[b] : total[b]) + log_probs[c] + spoken(last, c);
  }

  bool is_live(int64_t before, int64_t c) const {
    for (int64_t b = 0; b < live; ++b)
      if (tree.parent[node[b]] == before && tree.label[node[b]] == c) return true;
    return false;
  }

  void frame(const T* log_probs) {
    constexpr int L = kLanes<T>;
    for (int64_t b = 0; b < live; ++b) {
      const int64_t last = tree.label[node[b]], before = tree.parent[node[b]];
      stay_blank[b] = total[b] + log_probs[k.blank];
      stay_other[b] = last < 0 ? kNever<T> : other[b] + log_probs[last];
      for (int64_t a = 0; last >= 0 && a < live; ++a)
        if (node[a] == before)
          stay_other[b] = log_add<T>(broadcast(stay_other[b]), broadcast(passed(a, last, log_probs)))[0];
    }
    best.count = 0;
    for (int64_t b = 0; b < live; b += L) store(stays + b, log_add<T>(load(stay_blank + b), load(stay_other + b)));
    for (int64_t b = 0; b < live; ++b) best.see(stays[b], b, -1);
    for (int64_t b = 0; b < live; ++b) {
      const int64_t last = tree.label[node[b]];
      const T* const row = k.language == nullptr ? nullptr : k.language + (last < 0 ? k.blank : last) * k.classes;
      for_vectors<T>(k.classes, [&](int64_t c, int64_t n) {
        const Vec<T> most = load_n(log_probs + c, n) + (row == nullptr ? Vec<T>{} : load_n(row + c, n)) + total[b];
        if (bits_of_lanes<T>(most > best.least()) == 0) return;
        for (int64_t i = c; i < c + n; ++i)
          if (i != k.blank && most[i - c] > best.least() && !is_live(node[b], i))
            best.see(passed(b, i, log_probs), b, i);
      });
    }
    for (int64_t i = 0; i < best.count; ++i) {
      const int64_t b = best.from[i];
      const bool is_longer = best.label[i] >= 0;
      next_node[i] = is_longer ? tree.longer(node[b], best.label[i]) : node[b];
      next_blank[i] = is_longer ? kNever<T> : stay_blank[b];
      total[i] = is_longer ? best.score[i] : stay_other[b];  // for the moment the sum that becomes `other`
    }
    live = best.count;
    for (int64_t i = 0; i < live; ++i) {
      node[i] = next_node[i];
      blank[i] = next_blank[i];
      other[i] = total[i];
      total[i] = best.score[i];
    }
  }

  void write(int64_t n, int64_t path) const {
    int64_t* const labels = k.labels + (n * k.paths + path) * k.steps;
    int64_t count = 0;
    if (path < live)
      for (int64_t at = node[path]; at > 0; at = tree.parent[at]) ++count;
    for (int64_t t = count; t < k.steps; ++t) labels[t] = -1;
    for (int64_t t = count, at = count > 0 ? node[path] : 0; t > 0; at = tree.parent[at]) labels[--t] = tree.label[at];
    k.label_counts[n * k.paths + path] = count;
    k.scores[n * k.paths + path] = path < live ? total[path] : kNever<T>;
  }
};

}  // namespace

template <class T>
void ctc_beam(const CtcBeam<T>& k) {
  const auto parts = carve<CtcBeamParts<T>>(k);
  const double beams = static_cast<double>(k.beams);
  const double cost = static_cast<double>(k.steps) * beams * (beams + 0.2 * static_cast<double>(k.classes) + 20.0);
  parallel_for(k.ws, k.batch, cost, [&](int64_t n, int slot) {
    Search<T> search(k, parts, slot);
    const int64_t frames = k.input_lengths[n];
    for (int64_t t = 0; t < frames && t < k.steps; ++t) search.frame(k.log_probs + (t * k.batch + n) * k.classes);
    for (int64_t path = 0; path < k.paths; ++path) search.write(n, path);
  });
}

EINKORN_INSTANTIATE(ctc_beam, CtcBeam)
EINKORN_INSTANTIATE(ctc_forward, CtcForward)
EINKORN_INSTANTIATE(ctc_backward, CtcBackward)

}  // namespace einkorn::EINKORN_ISA
