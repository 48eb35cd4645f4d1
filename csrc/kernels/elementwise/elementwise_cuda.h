// Walking strided arrays of one shape: what copy.cu and elementwise.cu share.
//
// A unit is a pack of 16 bytes where the last axis allows it, else one element. A thread loads all of its units before it
// computes and stores, so that enough bytes are under way to fill the memory's time:
//
//      block 0                                     block 1
//      | t0 t1 ... t255 | t0 t1 ... t255 |         | t0 t1 ...        units, neighbours in out
//        first of each    second of each
//
// Packs need out without gaps along the last axis, and every input without gaps or constant there (a broadcast number, or
// the row's own: a bias). Contiguous arrays arrive as one dimension and need no division to find a unit's place.
// Roofline, 256 MB an operand, at 3.0 TB/s: a function of one 0.18 ms, of two 0.27 ms. The dearest ones take some 40 instructions an
// element of float32, 67 million of them 0.09 ms of a card's 132 x 128 lanes at 1.7 GHz: memory binds.
// Plan: for_units: 64 registers (double: 128), 4 blocks of 256 threads an SM, 64 bytes spilled in double

#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/cuda_pack.h"
#include "kernels/layout.h"

namespace einkorn::cuda {

// Offsets of element number i, in row-major order, in every operand. Rest of a division: in 32 bits where the number fits,
// which is several times faster on a GPU.
template <int N, class Index>
__device__ __forceinline__ void find_offsets(const Layout<N>& layout, Index i, int64_t (&at)[N]) {
  for (int k = 0; k < N; ++k) at[k] = 0;
  for (int d = layout.ndim - 1; d > 0; --d) {
    const Index size = static_cast<Index>(layout.shape[d]), rest = i / size;
    const int64_t index = static_cast<int64_t>(i - rest * size);
    for (int k = 0; k < N; ++k) at[k] += index * layout.strides[k][d];
    i = rest;
  }
  for (int k = 0; k < N; ++k) at[k] += static_cast<int64_t>(i) * layout.strides[k][0];
}

// As above; the branches go one way for the whole grid.
template <int N>
__device__ __forceinline__ void find_place(const Layout<N>& layout, int64_t size, int64_t i, int64_t (&at)[N]) {
  if (layout.ndim == 1) {
    for (int k = 0; k < N; ++k) at[k] = i * layout.strides[k][0];
  } else if (size <= UINT32_MAX) {
    find_offsets(layout, static_cast<uint32_t>(i), at);
  } else {
    find_offsets(layout, static_cast<uint64_t>(i), at);
  }
}

template <class T, class From, int kInputs>
struct Elements {
  T* out;
  const From* in[kInputs > 0 ? kInputs : 1];
  Layout<kInputs + 1> layout;  // of units
  int64_t units;
  int64_t rest;                              // elements behind the last unit, fewer than a pack
  bool constant[kInputs > 0 ? kInputs : 1];  // along the last axis
};

template <int kPack, class From>
__device__ __forceinline__ Pack<From, kPack> load_unit(const From* from, bool constant) {
  if (kPack == 1 || !constant) return *reinterpret_cast<const Pack<From, kPack>*>(from);
  Pack<From, kPack> unit;
  unit.v[0] = *from;
  for (int e = 1; e < kPack; ++e) unit.v[e] = unit.v[0];
  return unit;
}

template <int kInputs, class Function, class Unit>
__device__ __forceinline__ auto call(const Function& function, const Unit* in, int e) {
  if constexpr (kInputs == 0)
    return function();
  else if constexpr (kInputs == 1)
    return function(in[0].v[e]);
  else if constexpr (kInputs == 2)
    return function(in[0].v[e], in[1].v[e]);
  else
    return function(in[0].v[e], in[1].v[e], in[2].v[e]);
}

template <int kPack, int kInputs, class T, class From, class Function>
__global__ void __launch_bounds__(kBlock) for_units(Elements<T, From, kInputs> p, Function function) {
  constexpr int kUnits = kPack > 1 ? 2 : 4, kOperands = kInputs + 1;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock * kUnits;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kBlock * kUnits + threadIdx.x; first < p.units;
       first += step) {
    Pack<From, kPack> in[kUnits][kInputs > 0 ? kInputs : 1];
    int64_t to[kUnits];
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const int64_t unit = first + u * kBlock;
      if (unit >= p.units) break;
      int64_t at[kOperands];
      find_place(p.layout, p.units, unit, at);
      to[u] = at[0];
#pragma unroll
      for (int k = 0; k < kInputs; ++k) in[u][k] = load_unit<kPack>(p.in[k] + at[k + 1], p.constant[k]);
    }
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (first + u * kBlock >= p.units) break;
      Pack<T, kPack> result;
#pragma unroll
      for (int e = 0; e < kPack; ++e) result.v[e] = static_cast<T>(call<kInputs>(function, in[u], e));
      *reinterpret_cast<Pack<T, kPack>*>(p.out + to[u]) = result;
    }
  }
  if constexpr (kPack > 1) {
    if (blockIdx.x == 0 && threadIdx.x < p.rest) {
      const int64_t i = p.units * kPack + threadIdx.x;
      Pack<From, 1> in[kInputs > 0 ? kInputs : 1];
      for (int k = 0; k < kInputs; ++k) in[k].v[0] = p.in[k][p.constant[k] ? 0 : i];
      p.out[i] = static_cast<T>(call<kInputs>(function, in, 0));
    }
  }
}

template <int kPack, int kInputs, class T, class From>
bool takes_packs(const Elements<T, From, kInputs>& p) {
  const int last = p.layout.ndim - 1;
  if (p.layout.ndim > 1 && p.layout.shape[last] % kPack != 0) return false;
  const auto fits = [&](int operand, const void* pointer, size_t item, bool is_input) {
    const int64_t* const strides = p.layout.strides[operand];
    if (is_input && strides[last] == 0) return true;
    bool whole = strides[last] == 1 && is_aligned(pointer, kPack * item);
    for (int d = 0; d < last; ++d) whole = whole && strides[d] % kPack == 0;
    return whole;
  };
  bool all = fits(0, p.out, sizeof(T), false);
  for (int k = 0; k < kInputs; ++k) all = all && fits(k + 1, p.in[k], sizeof(From), true);
  return all;
}

// out = function(inputs) for every element; operand 0 of the layout is out.
template <int kInputs, class T, class From, class Function>
void for_elements(const char* name, const Layout<kInputs + 1>& layout, T* out,
                  const From* const (&in)[kInputs > 0 ? kInputs : 1], const Function& function) {
  constexpr int kPack = kPackBytes / (sizeof(T) > sizeof(From) ? sizeof(T) : sizeof(From));
  Elements<T, From, kInputs> p = {out, {}, layout, 1, 0, {}};
  const int last = layout.ndim - 1;
  for (int d = 0; d < layout.ndim; ++d) p.units *= layout.shape[d];
  if (p.units == 0) return;
  for (int k = 0; k < kInputs; ++k) {
    p.in[k] = in[k];
    p.constant[k] = layout.strides[k + 1][last] == 0;
  }
  if (!takes_packs<kPack>(p)) {
    launch_over(name, for_units<1, kInputs, T, From, Function>, pieces_of(p.units, 4), p, function);
    return;
  }
  p.rest = p.units % kPack;
  p.units /= kPack;
  p.layout.shape[last] /= kPack;
  for (auto& strides : p.layout.strides) strides[last] *= kPack;
  const int64_t threads = pieces_of(p.units, 2);
  launch_over(name, for_units<kPack, kInputs, T, From, Function>, threads > 0 ? threads : 1, p, function);
}

}  // namespace einkorn::cuda
