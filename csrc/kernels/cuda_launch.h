// What the CUDA bodies share: the stream, grids of any size, launches, and scratch in the order of the stream.
//
// A body launches on the stream that was set for its thread and returns; nothing here waits for the device. Bodies say launch()
// and never <<<>>>, so that the same source runs on the host device (csrc/cuda_host). Threads stride
// over the work by the size of the grid, with 64-bit indices, so that a grid of bounded size covers arrays of any size.

#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

#include <stdexcept>
#include <string>
#include <type_traits>

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

// How many pieces of `size` cover n.
inline int64_t pieces_of(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::string words = std::string(what) + ": " + cudaGetErrorString(error);
  if (error == cudaErrorNoKernelImageForDevice)
    words += "; einkorn was built for other cards: reinstall it with CUDAARCHS=native in the environment";
  throw CudaError(words);
}

// Memory for as long as the scope that makes it, in the order of the stream: the kernels launched meanwhile may use it.
class StreamScratch {
 public:
  // `item`: the least that threads write at once, as the host device has to know.
  explicit StreamScratch(size_t bytes, [[maybe_unused]] size_t item = 4) {
    if (bytes == 0) return;
#ifdef EINKORN_CUDA_HOST
    block_ = cuda_host::allocate_tracked(bytes, item);
#else
    check(cudaMallocAsync(&block_, bytes, current_stream()), "scratch memory");
#endif
  }
  ~StreamScratch() {
    if (block_ != nullptr) (void)cudaFreeAsync(block_, current_stream());
  }
  StreamScratch(const StreamScratch&) = delete;
  StreamScratch& operator=(const StreamScratch&) = delete;

  template <class T>
  T* as() const {
    return static_cast<T*>(block_);
  }

 private:
  void* block_ = nullptr;
};

#if defined(__CUDACC__) || defined(EINKORN_CUDA_HOST)

// Every kernel starts here, on the thread's stream; `name` says whose it is where something fails. A launch that the device
// refused is an exception here; errors inside a kernel show in a later call. The host device (csrc/cuda_host) runs the threads
// of the grid before it returns.
template <class... Params>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
            std::type_identity_t<Params>... args) {
#ifdef EINKORN_CUDA_HOST
  auto call = [&] { kernel(args...); };
  cuda_host::run_grid(
      name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes,
      [](void* context) { (*static_cast<decltype(call)*>(context))(); }, &call);
#else
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = current_stream();
  if (shared_bytes > size_t{48} << 10)  // more has to be asked for
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          name);
  check(cudaLaunchKernelEx(&config, kernel, args...), name);
#endif
}

// One element a thread, or as many as the grid's size makes of it.
template <class... Params>
void launch_over(const char* name, void (*kernel)(Params...), int64_t threads, std::type_identity_t<Params>... args) {
  if (threads > 0) launch(name, kernel, grid_for(threads), kBlock, 0, args...);
}

// The shared memory that the launch asked for.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#ifdef EINKORN_CUDA_HOST
  return static_cast<T*>(cuda_host::dynamic_shared());
#else
  extern __shared__ __align__(16) unsigned char einkorn_dynamic_shared[];
  return reinterpret_cast<T*>(einkorn_dynamic_shared);
#endif
}

// Calls body(i) for every i in [0, size), spread over the whole grid.
template <class Body>
__device__ __forceinline__ void grid_stride(int64_t size, const Body& body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += step) body(i);
}

// a / b of numbers >= 0, in 32 bits where they fit: several times faster on a GPU.
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  if ((a | b) >> 32 == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

// a > b ? a : b, that is b when either is NaN.
template <class T>
__device__ __forceinline__ T larger(T a, T b) {
  return a > b ? a : b;
}

#endif  // device code

}  // namespace cuda
}  // namespace einkorn
