// A recurrent layer of few units in one launch: the weight stays on the multiprocessor over all steps.
//
//   a block takes kSlice sequences through all their steps      no block waits for another: no barrier of the grid
//
//     shared memory    | state [H][kSlice] | sums [kSlice][G H] | weight [H - kHeld][G H] |
//     registers        kHeld of the weight's rows, where shared memory does not hold all of it
//
//     product    thread c has columns c and c + 256 of the weight and the sums of kSlice sequences for both      barrier
//     cell       thread (sequence, unit) reads the gates' sums, makes the state, writes results                  barrier
//
// Backward the same with the gates' gradients in the state's place: column (g, p) is sum over units k of flow[g][k] W[g H + k][p], and the cell's
// thread adds up the gates' columns in order. What the cell reads of `gates` is asked for before the product.
//
// Sizes   with 227 KB of shared memory a float's weight is all there up to H = 116 (lstm), 135 (gru), 237 (rnn); kHeld = 64 rows in registers take
//         lstm to 128, gru to 169, rnn to 270. Other layers, those with a projection and those of more than kMostSlices slices walk by
//         launches (recurrent_cuda.h). Sums of forward go along the units in order, as there.
//
// Roofline: a step reads the weight once from shared memory, 128 bytes a clock, 3 wavefronts for 8 multiply-adds of a warp. LSTM, H = 64, 64 KB:
// 64 x 8 x 3 / 2 = 770 clocks, 0.4 us, and two barriers, exp and tanh 0.4 us: 0.8 us a step beside 3 us and more for a launch. H = 128: 3000 clocks
// for what is in shared memory and half as much for the rest, 2 us. 64 sequences are 16 blocks: FLOPs, 2 G H^2 a row, are far from the card's limit;
// the chain of steps is what bounds.
// Plan: persistent_forward, persistent_backward: 255 registers, 1 block of 256 threads an SM, 160 KB of shared memory

#pragma once

#include "kernels/cuda_pack.h"
#include "kernels/rnn/recurrent_cuda.h"

namespace einkorn::cuda {

constexpr int kSlice = 4;                 // sequences of a block
constexpr int kMostHeld = 64;             // rows of the weight in registers
constexpr int64_t kMostSlices = 2 * 132;  // two waves of blocks on an H100

template <class T, int kHeld>
struct Held {
  T w[2][kHeld > 0 ? kHeld : 1];  // of columns c and c + kBlock
};

template <class T>
struct Slice {
  T *state, *sums, *weights;
  int columns, stride;  // columns padded to an odd number, so that neither way of writing them meets a bank twice

  // kParts states: of forward one, of backward one a gate.
  __device__ Slice(int units, int gates, int parts) : columns(gates * units), stride(columns | 1) {
    state = dynamic_shared<T>();
    sums = state + parts * units * kSlice;
    weights = sums + kSlice * columns;
  }
  static size_t bytes(int64_t units, int64_t gates, int64_t parts, int64_t held) {
    const int64_t columns = gates * units;
    return static_cast<size_t>((parts * units + columns) * kSlice + (units - held) * (columns | 1)) * sizeof(T);
  }
};

template <class T>
struct OfSlice {
  T v[kSlice];

  __device__ __forceinline__ explicit OfSlice(const T* p) {
    constexpr int kEach = kPackBytes / static_cast<int>(sizeof(T));
#pragma unroll
    for (int i = 0; i < kSlice; i += kEach) {
      const auto piece = *reinterpret_cast<const Pack<T, kEach>*>(p + i);
#pragma unroll
      for (int j = 0; j < kEach; ++j) v[i + j] = piece.v[j];
    }
  }
};

// weight(k, c) into shared memory and registers. along_k: neighbours in memory go along k.
template <int kHeld, class T, class Weight>
__device__ void keep_weights(const Slice<T>& s, Held<T, kHeld>& held, int units, bool along_k, const Weight& weight) {
  for (int i = static_cast<int>(threadIdx.x); i < units * s.columns; i += kBlock) {
    const int k = along_k ? i % units : i / s.columns, c = along_k ? i / units : i % s.columns;
    if (k >= kHeld) s.weights[(k - kHeld) * s.stride + c] = weight(k, c);
  }
#pragma unroll
  for (int j = 0; j < 2; ++j)
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      const int c = static_cast<int>(threadIdx.x) + j * kBlock;
      held.w[j][k] = c < s.columns ? weight(k, c) : T{0};
    }
}

// sums[r][c] = sum over k of state[part of c][k][r] weight(k, c).
template <int kHeld, bool kByGate, class T>
__device__ __forceinline__ void multiply_slice(const Slice<T>& s, const Held<T, kHeld>& held, int units) {
  for (int c = static_cast<int>(threadIdx.x); c < s.columns; c += 2 * kBlock) {
    const int other = c + kBlock < s.columns ? c + kBlock : c;
    const T* const one = kByGate ? s.state + c / units * units * kSlice : s.state;
    const T* const two = kByGate ? s.state + other / units * units * kSlice : s.state;
    T sums[2][kSlice] = {};
    const auto add = [&](int k, T w_one, T w_two) {
      const OfSlice<T> a(one + k * kSlice), b(kByGate ? two + k * kSlice : one + k * kSlice);
#pragma unroll
      for (int r = 0; r < kSlice; ++r) {
        sums[0][r] += a.v[r] * w_one;
        sums[1][r] += b.v[r] * w_two;
      }
    };
    if constexpr (kHeld > 0) {
#pragma unroll
      for (int k = 0; k < kHeld; ++k) add(k, held.w[0][k], held.w[1][k]);
    }
    const T* row = s.weights;
#pragma unroll 4
    for (int k = kHeld; k < units; ++k, row += s.stride) add(k, row[c], row[other]);
#pragma unroll
    for (int r = 0; r < kSlice; ++r) {
      s.sums[r * s.columns + c] = sums[0][r];
      if (other != c) s.sums[r * s.columns + other] = sums[1][r];
    }
  }
}

// Asks for memory that is read soon.
template <class T>
__device__ __forceinline__ void ask_for(const T* from, int64_t count) {
  constexpr int kLine = 128 / static_cast<int>(sizeof(T));
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * kLine; i < count; i += kBlock * kLine) {
#ifndef EINKORN_CUDA_HOST
    asm volatile("prefetch.global.L1 [%0];" ::"l"(from + i));
#else
    (void)from;
#endif
  }
}

// How many of the block's sequences are among the first `count`.
__device__ __forceinline__ int live_of(int64_t count, int64_t first) {
  const int64_t live = count - first;
  return static_cast<int>(live < 0 ? 0 : live > kSlice ? kSlice : live);
}

template <class Cell, int kHeld, class T>
__global__ void __launch_bounds__(kBlock, 1) persistent_forward(Recurrent<T> x, Walk walk) {
  const RecurrentLayer<T>& l = x.layer;
  const int H = static_cast<int>(l.units), t = static_cast<int>(threadIdx.x);
  const Slice<T> s(H, Cell::kGates, 1);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kSlice;
  Held<T, kHeld> held;
  keep_weights(s, held, H, true, [&](int k, int c) { return l.weight[static_cast<int64_t>(c) * H + k]; });
  for (int i = t; i < H * kSlice; i += kBlock) {
    const int64_t sequence = first + i % kSlice;
    s.state[i] = l.h0 != nullptr && sequence < l.batch ? l.h0[sequence * H + i / kSlice] : T{0};
  }
  __syncthreads();
  for (int64_t number = 0; number < walk.steps; ++number) {
    const int live = live_of(walk.count(number), first);
    if (live == 0) continue;
    const int64_t row = walk.first(number) + first, left = walk.count(number + 1);
    ask_for(x.gates + row * s.columns, static_cast<int64_t>(live) * s.columns);
    const bool from_nothing = number == 0 && l.h0 == nullptr;
    if (!from_nothing) multiply_slice<kHeld, false>(s, held, H);
    __syncthreads();
    for (int i = t; i < live * H; i += kBlock) {
      const int r = i / H, u = i - r * H;
      T sums[Cell::kGates];
#pragma unroll
      for (int g = 0; g < Cell::kGates; ++g) sums[g] = from_nothing ? T{0} : s.sums[r * s.columns + g * H + u];
      T& state = s.state[u * kSlice + r];
      const T h = Cell::forward(x, row + r, first + r, u, sums, state);
      state = h;
      x.out[(row + r) * H + u] = h;
      if (first + r >= left) x.h_n[(first + r) * H + u] = h;
    }
    __syncthreads();
  }
}

template <class Cell, int kHeld, class T>
__global__ void __launch_bounds__(kBlock, 1) persistent_backward(RecurrentGrad<T> x, Walk walk) {
  const RecurrentLayer<T>& l = x.layer;
  const int H = static_cast<int>(l.units), t = static_cast<int>(threadIdx.x), step = H * kSlice;
  const Slice<T> s(H, Cell::kGates, Cell::kGates);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kSlice;
  Held<T, kHeld> held;
  keep_weights(s, held, H, false, [&](int k, int c) {
    const int g = c / H;
    return l.weight[static_cast<int64_t>(g * H + k) * H + (c - g * H)];
  });
  for (int i = t; i < Cell::kGates * step; i += kBlock) s.state[i] = 0;
  __syncthreads();
  for (int64_t number = 0; number <= walk.steps; ++number) {
    const int live = live_of(walk.count(number), first), flowing = live_of(walk.count(number - 1), first);
    const int rows = live > flowing ? live : flowing;
    if (rows == 0) continue;
    const int64_t row = live > 0 ? walk.first(number) + first : 0;
    ask_for(x.gates + row * s.columns, static_cast<int64_t>(live) * s.columns);
    if (flowing > 0) multiply_slice<kHeld, true>(s, held, H);
    __syncthreads();
    for (int i = t; i < rows * H; i += kBlock) {
      const int r = i / H, u = i - r * H;
      T* const carry = x.gh0 + (first + r) * H + u;
      T* const flow = s.state + u * kSlice + r;
      T gh = 0;
#pragma unroll
      for (int g = 0; g < Cell::kGates; ++g) gh += r < flowing ? s.sums[r * s.columns + g * H + u] : T{0};
      gh += *carry;
      if (r >= live) {
        *carry = gh;
#pragma unroll
        for (int g = 0; g < Cell::kGates; ++g) flow[g * step] = 0;
        continue;
      }
      if (x.g != nullptr) gh += x.g[(row + r) * H + u];
      Cell::backward(x, row + r, row_before(walk, number, first + r), first + r, u, gh, flow, step, carry);
    }
    __syncthreads();
  }
}

// What a block of the current card may ask for.
inline size_t most_shared_memory() {
#ifdef EINKORN_CUDA_HOST
  return size_t{227} << 10;
#else
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "the current device");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "shared memory");
  return static_cast<size_t>(bytes);
#endif
}

// launch_held<kHeld>(bytes) where the layer fits; false: it does not.
template <class Cell, class T, class LaunchHeld>
bool launch_persistent(const RecurrentLayer<T>& l, int64_t parts, const LaunchHeld& launch_held) {
  constexpr int64_t kMostUnits = 1024;  // what fits is fewer; its squares fit in an int
  const int64_t H = l.units;
  if (l.projection != nullptr || l.width != H || H == 0 || H > kMostUnits || l.steps < 2) return false;
  if (pieces_of(l.batch, kSlice) > kMostSlices) return false;
  const size_t most = most_shared_memory(), whole = Slice<T>::bytes(H, Cell::kGates, parts, 0);
  if (whole <= most) {
    launch_held(std::integral_constant<int, 0>{}, whole);
    return true;
  }
  if constexpr (sizeof(T) == 4) {
    if (H < kMostHeld || Cell::kGates * H > 2 * kBlock) return false;
    const size_t rest = Slice<T>::bytes(H, Cell::kGates, parts, kMostHeld);
    if (rest > most) return false;
    launch_held(std::integral_constant<int, kMostHeld>{}, rest);
    return true;
  }
  return false;
}

template <class Cell, class T>
bool persist_forward(const char* name, const Recurrent<T>& x, const Walk& walk) {
  const auto blocks = static_cast<unsigned>(pieces_of(x.layer.batch, kSlice));
  return launch_persistent<Cell>(x.layer, 1, [&](auto held, size_t bytes) {
    launch(name, persistent_forward<Cell, held, T>, blocks, kBlock, bytes, x, walk);
  });
}

template <class Cell, class T>
bool persist_backward(const char* name, const RecurrentGrad<T>& x, const Walk& walk) {
  const auto blocks = static_cast<unsigned>(pieces_of(x.layer.batch, kSlice));
  return launch_persistent<Cell>(x.layer, Cell::kGates, [&](auto held, size_t bytes) {
    launch(name, persistent_backward<Cell, held, T>, blocks, kBlock, bytes, x, walk);
  });
}

}  // namespace einkorn::cuda
