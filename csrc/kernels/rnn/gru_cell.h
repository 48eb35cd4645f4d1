// The cell of gru.cpp, for walks of every type.

#pragma once

#include "kernels/rnn/rnn_steps.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

struct Gru {
  static constexpr int kGates = 3, kUnitVectors = 1;

  template <class T>
  EINKORN_INLINE static Vec<Number<T>> forward(const Recurrent<T>& x, const Place& at, Gates<Number<T>> sums,
                                               Gates<Number<T>> input, const Number<T>* former) {
    using N = Number<T>;
    const int64_t H = x.layer.units;
    N* const gate = x.gates + at.row * 3 * H + at.unit;
    const auto given = [&](int k) __attribute__((always_inline)) { return load_n(input.of(k), at.live); };
    const Vec<N> r = sigmoid(load(sums.of(0)) + given(0)), z = sigmoid(load(sums.of(1)) + given(1));
    Vec<N> q = load(sums.of(2));
    if (x.layer.bias_n != nullptr) q += load_n(x.layer.bias_n + at.unit, at.live);
    const Vec<N> n = tanh(r * q + given(2));
    if (x.cells != nullptr) {
      store_n(gate, at.live, r);
      store_n(gate + H, at.live, z);
      store_n(gate + 2 * H, at.live, n);
      store_n(x.cells + at.row * H + at.unit, at.live, q);
    }
    return (1 - z) * n + z * load_n(former, at.live);
  }

  template <class T>
  EINKORN_INLINE static void backward(const RecurrentGrad<T>& x, const Place& at, Vec<Number<T>> gh, T* flow,
                                      Number<T>* carry) {
    using N = Number<T>;
    const int64_t H = x.layer.units;
    const N* const gate = x.gates + at.row * 3 * H + at.unit;
    const Vec<N> r = load_n(gate, at.live), z = load_n(gate + H, at.live), n = load_n(gate + 2 * H, at.live),
                 q = load_n(x.cells + at.row * H + at.unit, at.live);
    Vec<N> former = {};
    if (at.before >= 0)
      former = load_n(x.out + at.before * H + at.unit, at.live);
    else if (x.layer.h0 != nullptr)
      former = load_n(x.layer.h0 + at.sequence * H + at.unit, at.live);
    const Vec<N> gn = gh * (1 - z) * (1 - n * n), gq = gn * r, gr = gn * q * r * (1 - r),
                 gz = gh * (former - n) * z * (1 - z);
    N* const ggate = x.ggates + at.row * 3 * H + at.unit;
    store_n(ggate, at.live, gr);
    store_n(ggate + H, at.live, gz);
    store_n(ggate + 2 * H, at.live, gn);
    store_n(x.gcells + at.row * H + at.unit, at.live, gq);
    store_n(flow, at.live, gr);
    store_n(flow + H, at.live, gz);
    store_n(flow + 2 * H, at.live, gq);
    store_n(carry, at.live, gh * z);
  }

  template <class T>
  static void reads(Lines& lines, const RecurrentGrad<T>& x, const Place& at, int64_t count, int64_t before) {
    const int64_t H = x.layer.units;
    lines.add(x.cells + at.row * H + at.unit, at.live, H, count);
    if (before > 0) lines.add(x.out + at.before * H + at.unit, at.live, H, before);
  }

  template <class T>
  static void writes(Lines& lines, const RecurrentGrad<T>& x, const Place& at, int64_t count) {
    lines.add(x.gcells + at.row * x.layer.units + at.unit, at.live, x.layer.units, count);
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
