// rnn: the plain recurrent cell, tanh or relu, on the walk of rnn_steps.h.

#include "kernels/rnn/rnn.h"

#include "kernels/instantiate.h"
#include "kernels/rnn/rnn_steps.h"

namespace einkorn::EINKORN_ISA {

namespace {

struct Plain {
  static constexpr int kGates = 1, kUnitVectors = 2;

  template <class T>
  EINKORN_INLINE static Vec<T> forward(const Recurrent<T>& x, const Place& at, const T* sum, int64_t, const T*) {
    const Vec<T> a = load(sum) + load_n(x.gates + at.row * x.layer.units + at.unit, at.live);
    if (x.layer.relu) return a < 0 ? Vec<T>{} : a;
    return tanh(a);
  }

  template <class T>
  EINKORN_INLINE static void backward(const RecurrentGrad<T>& x, const Place& at, Vec<T> gh, T* flow, T* carry) {
    const int64_t place = at.row * x.layer.units + at.unit;
    const Vec<T> h = load_n(x.out + place, at.live);
    const Vec<T> ga = x.layer.relu ? (h > 0 ? gh : Vec<T>{}) : gh * (1 - h * h);
    store_n(x.ggates + place, at.live, ga);
    store_n(flow, at.live, ga);
    store_n(carry, at.live, Vec<T>{});
  }

  template <class T>
  static void reads(Lines& lines, const RecurrentGrad<T>& x, const Place& at) {
    lines.add(x.out + at.row * x.layer.units + at.unit, at.live);
  }

  template <class T>
  static void writes(Lines&, const RecurrentGrad<T>&, const Place&) {}
};

}  // namespace

template <class T>
void rnn_forward(const Recurrent<T>& x) {
  recurrent_forward<Plain>(x);
}
EINKORN_INSTANTIATE(rnn_forward, Recurrent)

template <class T>
void rnn_backward(const RecurrentGrad<T>& x) {
  recurrent_backward<Plain>(x);
}
EINKORN_INSTANTIATE(rnn_backward, RecurrentGrad)

}  // namespace einkorn::EINKORN_ISA
