// The tiles of rnn_tile.h over float and double.

#include "kernels/rnn/rnn_tile_bodies.h"

namespace einkorn::EINKORN_ISA {

EINKORN_STATE_TILE(float, 2)
EINKORN_STATE_TILE(float, 3)
EINKORN_STATE_TILE(float, 4)
EINKORN_STATE_TILE(double, 2)
EINKORN_STATE_TILE(double, 3)
EINKORN_STATE_TILE(double, 4)

}  // namespace einkorn::EINKORN_ISA
