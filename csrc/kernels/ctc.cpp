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

EINKORN_INSTANTIATE(ctc_forward, CtcForward)
EINKORN_INSTANTIATE(ctc_backward, CtcBackward)

}  // namespace einkorn::EINKORN_ISA
