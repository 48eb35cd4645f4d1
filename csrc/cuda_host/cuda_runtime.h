// Stands in for the CUDA runtime where csrc/kernels/*.cu are compiled by the C++ compiler for the host device.
//
// Only what the bodies use, with the meaning CUDA gives it: qualifiers, vector types, built-in variables, barriers, shuffles and
// votes, atomics, and the few runtime calls around a launch. A `__shared__` variable is a static one: blocks run one after the
// other, and memory.cpp takes the writable data of this module for the shared memory of the block that runs.

#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bit>

#include "cuda_host/device.h"

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

// --- vector types ---

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// --- built-in variables ---

#define threadIdx (::einkorn::cuda_host::thread_index())
#define blockIdx (::einkorn::cuda_host::block_index())
#define blockDim (::einkorn::cuda_host::block_size())
#define gridDim (::einkorn::cuda_host::grid_size())

// --- barriers, shuffles, votes ---

inline void __syncthreads() {
  ::einkorn::cuda_host::block_barrier();
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  ::einkorn::cuda_host::warp_barrier(mask);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

#define EINKORN_SHUFFLE(name, kind)                                                          \
  template <class T>                                                                         \
  EINKORN_NOT_CHECKED T name(unsigned mask, T value, int operand, int width = 32) {          \
    using ::einkorn::cuda_host::WarpOp;                                                      \
    ::einkorn::cuda_host::shuffle(WarpOp::kind, mask, &value, sizeof value, operand, width); \
    return value;                                                                            \
  }
EINKORN_SHUFFLE(__shfl_sync, shuffle)
EINKORN_SHUFFLE(__shfl_up_sync, shuffle_up)
EINKORN_SHUFFLE(__shfl_down_sync, shuffle_down)
EINKORN_SHUFFLE(__shfl_xor_sync, shuffle_xor)
#undef EINKORN_SHUFFLE

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return ::einkorn::cuda_host::ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}

// --- atomics: the host device runs one thread at a time, so that they only have to be known as such ---

template <class T, class Change>
EINKORN_NOT_CHECKED T einkorn_atomic(T* p, const Change& change) {
  ::einkorn::cuda_host::atomic_access(p, sizeof(T));
  const T old = *p;
  *p = change(old);
  return old;
}

#define EINKORN_ATOMIC(name, expression)                                                      \
  template <class T>                                                                          \
  EINKORN_NOT_CHECKED T name(T* p, T value) {                                                 \
    return einkorn_atomic(p, [value] EINKORN_NOT_CHECKED(T old) -> T { return expression; }); \
  }
EINKORN_ATOMIC(atomicAdd, old + value)
EINKORN_ATOMIC(atomicMin, value < old ? value : old)
EINKORN_ATOMIC(atomicMax, value > old ? value : old)
EINKORN_ATOMIC(atomicOr, old | value)
EINKORN_ATOMIC(atomicAnd, old& value)
EINKORN_ATOMIC(atomicExch, ((void)old, value))
#undef EINKORN_ATOMIC

template <class T>
EINKORN_NOT_CHECKED T atomicCAS(T* p, T expected, T value) {
  return einkorn_atomic(p, [=] EINKORN_NOT_CHECKED(T old) -> T { return old == expected ? value : old; });
}

// --- arithmetic ---

template <class T>
inline T __ldg(const T* p) {
  return *p;
}
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline long long __double_as_longlong(double value) {
  return std::bit_cast<long long>(value);
}
inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __clz(int x) {
  return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}

// One rounding for each operation, whatever the compiler may contract elsewhere.
#define EINKORN_ROUNDED(name, T, op) \
  inline T name(T a, T b) {          \
    volatile T result = a op b;      \
    return result;                   \
  }
EINKORN_ROUNDED(__fadd_rn, float, +)
EINKORN_ROUNDED(__fmul_rn, float, *)
EINKORN_ROUNDED(__dadd_rn, double, +)
EINKORN_ROUNDED(__dmul_rn, double, *)
#undef EINKORN_ROUNDED

// --- the runtime's functions ---

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorNoKernelImageForDevice = 209 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "out of memory";
}
inline cudaError_t cudaMallocAsync(void** block, size_t bytes, cudaStream_t) {
  *block = ::einkorn::cuda_host::allocate_tracked(bytes, 4);
  return cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* block, cudaStream_t) {
  ::einkorn::cuda_host::free_tracked(block);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return cudaSuccess;
}
