// rnn: the plain recurrent cell, tanh or relu, on the walk of rnn_steps.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/rnn_cell.h"

namespace einkorn::EINKORN_ISA {

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
