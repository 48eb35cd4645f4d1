// The cell of rnn.cpp, for walks of every type.

#pragma once

#include "kernels/rnn/rnn_steps.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

struct Plain {
  static constexpr int kGates = 1, kUnitVectors = 2;

  template <class T>
  EINKORN_INLINE static Vec<Number<T>> forward(const Recurrent<T>& x, const Place& at, Gates<Number<T>> sums,
                                               Gates<Number<T>> input, const Number<T>*) {
    using N = Number<T>;
    const Vec<N> a = load(sums.first) + load_n(input.first, at.live);
    if (x.layer.relu) return a < 0 ? Vec<N>{} : a;
    return tanh(a);
  }

  template <class T>
  EINKORN_INLINE static void backward(const RecurrentGrad<T>& x, const Place& at, Vec<Number<T>> gh, T* flow,
                                      Number<T>* carry) {
    using N = Number<T>;
    const int64_t place = at.row * x.layer.units + at.unit;
    const Vec<N> h = load_n(x.out + place, at.live);
    const Vec<N> ga = x.layer.relu ? (h > 0 ? gh : Vec<N>{}) : gh * (1 - h * h);
    store_n(x.ggates + place, at.live, ga);
    store_n(flow, at.live, ga);
    store_n(carry, at.live, Vec<N>{});
  }

  template <class T>
  static void reads(Lines& lines, const RecurrentGrad<T>& x, const Place& at, int64_t count, int64_t) {
    lines.add(x.out + at.row * x.layer.units + at.unit, at.live, x.layer.units, count);
  }

  template <class T>
  static void writes(Lines&, const RecurrentGrad<T>&, const Place&, int64_t) {}
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
