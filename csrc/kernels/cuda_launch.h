// What the CUDA bodies share: the stream, grids of any size, and the check of a launch.
//
// A body launches on the stream that was set for its thread and returns; nothing here waits for the device. Threads stride
// over the work by the size of the grid, with 64-bit indices, so that a grid of bounded size covers arrays of any size.

#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

#include <stdexcept>
#include <string>

namespace einkorn {

struct CudaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The stream that this thread's kernels go to. See bind/cuda/runtime.cpp.
cudaStream_t current_stream();

namespace cuda {

constexpr int kBlock = 256;              // threads
constexpr int64_t kMaxBlocks = 1 << 16;  // many waves of blocks on any device

inline unsigned blocks_for(int64_t blocks) {
  return static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

// Blocks of kBlock threads for `size` elements, one element a thread.
inline unsigned grid_for(int64_t size) {
  return blocks_for((size + kBlock - 1) / kBlock);
}

// After each launch: a launch that the device refused is an exception here. Errors inside a kernel show in a later call.
inline void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) throw CudaError(std::string(kernel) + ": " + cudaGetErrorString(error));
}

#ifdef __CUDACC__

// Calls body(i) for every i in [0, size), spread over the whole grid.
template <class Body>
__device__ __forceinline__ void grid_stride(int64_t size, const Body& body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += step) body(i);
}

// a > b ? a : b, that is b when either is NaN.
template <class T>
__device__ __forceinline__ T larger(T a, T b) {
  return a > b ? a : b;
}

#endif  // __CUDACC__

}  // namespace cuda
}  // namespace einkorn
