// rnn, lstm and gru with weights of bfloat16: the walk of rnn_steps.h with products of pairs.
//
//   panels of the weight     pairs along k, half the bytes and half the steps of float
//   state, gates' gradients  rounded where the product of the next step reads them; cells, h and what is given out are float
//
// measured, the whole layer of bfloat16, two threads of a Zen 4 EPYC, ms, forward   and backward
//   steps, batch, features, units              the walk in float     this           torch 2.13, bfloat16
//   lstm    64   32   65  128                    6.0   18.5         3.9   11.9        5.9   32.6
//          100   32  256  256                   19.7   59.9        12.0   33.6       10.0   41.6
//          128   64  512  512                    178    553          92    302         96    389
//           50    1  256  256                   1.06   2.96        0.64   1.62       0.60   3.91
//   gru    100   32  256  256                   15.2   49.5         9.1   29.7       22.9   64.4
//          128   64  512  512                    146    418          72    218        104    342
//   rnn    100   32  256  256                    5.5   19.9         3.1   10.9        7.6   22.6

#include "kernels/gemm_pairs.h"

#if defined(__AVX512BF16__)

#include "kernels/rnn/gru_cell.h"
#include "kernels/rnn/lstm_cell.h"
#include "kernels/rnn/rnn_cell.h"
#include "kernels/rnn/rnn_tile_bodies.h"

namespace einkorn::EINKORN_ISA {

EINKORN_STATE_TILE(bfloat16, 2)
EINKORN_STATE_TILE(bfloat16, 3)
EINKORN_STATE_TILE(bfloat16, 4)

#define EINKORN_PAIR_WALK(name, Cell)                       \
  template <class T>                                        \
  void name##_forward(const Recurrent<T>& x) {              \
    recurrent_forward<Cell>(x);                             \
  }                                                         \
  template <class T>                                        \
  void name##_backward(const RecurrentGrad<T>& x) {         \
    recurrent_backward<Cell>(x);                            \
  }                                                         \
  template void name##_forward(const Recurrent<bfloat16>&); \
  template void name##_backward(const RecurrentGrad<bfloat16>&);

EINKORN_PAIR_WALK(rnn, Plain)
EINKORN_PAIR_WALK(lstm, Lstm)
EINKORN_PAIR_WALK(gru, Gru)

}  // namespace einkorn::EINKORN_ISA

#endif
