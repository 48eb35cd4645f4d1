// The register tiles of the recurrent products: up to kTileRows rows of a state times a panel of 1 to 4 vectors, in one piece
// where the registers hold it.
//
//   rows  avx512   14 x 2 vectors (rnn, backward)   9 x 3 (gru)   7 x 4 (lstm)
//         others    6 x 2, and a wider panel in pieces

#pragma once

#include "kernels/gemm_tile.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <int kVectors>
constexpr int kStateRows = kVectorBytes == 64 ? 28 / kVectors : kTileRows;

// sums[r][v] = sum over k of state[r * state_step + k] * panel[k][v], vectors of k and of r kVectors apart.
template <class T, int kVectors>
void state_tile(int64_t rows, int64_t depth, const T* state, int64_t step, const T* panel, T* sums);

}  // namespace EINKORN_ISA
}  // namespace einkorn
