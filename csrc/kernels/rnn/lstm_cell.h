// The cell of lstm.cpp, for walks of every type.

#pragma once

#include "kernels/rnn/rnn_steps.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

struct Lstm {
  static constexpr int kGates = 4, kUnitVectors = 1;

  template <class T>
  EINKORN_INLINE static Vec<Number<T>> forward(const Recurrent<T>& x, const Place& at, Gates<Number<T>> sums,
                                               Gates<Number<T>> input, const Number<T>*) {
    using N = Number<T>;
    const int64_t H = x.layer.units;
    N* const gate = x.gates + at.row * 4 * H + at.unit;
    const auto total = [&](int k)
                           __attribute__((always_inline)) { return load(sums.of(k)) + load_n(input.of(k), at.live); };
    const Vec<N> i = sigmoid(total(0)), f = sigmoid(total(1)), g = tanh(total(2)), o = sigmoid(total(3));
    N* const state = x.c_n + at.sequence * H + at.unit;
    const Vec<N> c = f * load_n(state, at.live) + i * g;
    store_n(state, at.live, c);
    if (x.cells != nullptr) {
      store_n(gate, at.live, i);
      store_n(gate + H, at.live, f);
      store_n(gate + 2 * H, at.live, g);
      store_n(gate + 3 * H, at.live, o);
      store_n(x.cells + at.row * H + at.unit, at.live, c);
    }
    return o * tanh(c);
  }

  // gc = what later steps pass back + gh o (1 - tanh(c)^2), and through c = f c' + i g to the gates and to c'.
  template <class T>
  EINKORN_INLINE static void backward(const RecurrentGrad<T>& x, const Place& at, Vec<Number<T>> gh, T* flow,
                                      Number<T>* carry) {
    using N = Number<T>;
    const int64_t H = x.layer.units;
    const N* const gate = x.gates + at.row * 4 * H + at.unit;
    const Vec<N> i = load_n(gate, at.live), f = load_n(gate + H, at.live), g = load_n(gate + 2 * H, at.live),
                 o = load_n(gate + 3 * H, at.live);
    const Vec<N> squashed = tanh(load_n(x.cells + at.row * H + at.unit, at.live));
    Vec<N> former = {};
    if (at.before >= 0)
      former = load_n(x.cells + at.before * H + at.unit, at.live);
    else if (x.layer.c0 != nullptr)
      former = load_n(x.layer.c0 + at.sequence * H + at.unit, at.live);
    N* const later = x.gc0 + at.sequence * H + at.unit;
    const Vec<N> gc = load_n(later, at.live) + gh * o * (1 - squashed * squashed);
    const Vec<N> grads[4] = {gc * g * i * (1 - i), gc * former * f * (1 - f), gc * i * (1 - g * g),
                             gh * squashed * o * (1 - o)};
    N* const ggate = x.ggates + at.row * 4 * H + at.unit;
    EINKORN_UNROLL for (int k = 0; k < 4; ++k) {
      store_n(ggate + k * H, at.live, grads[k]);
      store_n(flow + k * H, at.live, grads[k]);
    }
    store_n(later, at.live, gc * f);
    if (carry != nullptr) store_n(carry, at.live, Vec<N>{});
  }

  template <class T>
  static void reads(Lines& lines, const RecurrentGrad<T>& x, const Place& at, int64_t count, int64_t before) {
    const int64_t H = x.layer.units;
    lines.add(x.cells + at.row * H + at.unit, at.live, H, count);
    if (before > 0) lines.add(x.cells + at.before * H + at.unit, at.live, H, before);
  }

  template <class T>
  static void writes(Lines&, const RecurrentGrad<T>&, const Place&, int64_t) {}
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
