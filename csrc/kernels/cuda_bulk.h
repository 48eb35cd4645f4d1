// Copies of boxes of a tensor to shared memory by the copy engine, and the barriers that tell when they are there: cp.async.bulk.tensor and
// mbarrier, compute capability 9.0. One thread asks for a box; addresses, edges and zeros beyond them are the engine's.
//
//   describe(map, ...)              on the host: a tensor of four axes and its boxes of kBoxRows x 64 bfloat16 (128 bytes a row)
//   barrier.make(arrivals)          by one thread; publish_barriers() and a barrier of the block before others use it
//   barrier.expect(bytes)           one arrival, and so many bytes belong to the phase
//   bring_box(to, map, ..., barrier)
//   barrier.wait(parity)            until the phase of that parity has ended: at once, for the phase before the first, with parity 1
//
// In shared memory the 16-byte chunk c of a row lies at c ^ (row % 8), by address bits 4 to 6 and 7 to 9 ("128-byte swizzle"), so that 8 rows
// of one column lie on different banks; products of cuda_wgmma.h read it so. A box begins on 1024 bytes.
//
// On the host device a box is there when no thread can go on without it, and not before (csrc/cuda_host/bulk.h).

#pragma once

#include "kernels/cuda_launch.h"

#ifdef EINKORN_CUDA_HOST
#include "cuda_host/bulk.h"
#else
#include <cuda.h>
#endif

namespace einkorn::cuda {

constexpr int kBoxColumns = 64;  // of bfloat16
constexpr size_t kBoxAlignment = 1024;

#ifdef EINKORN_CUDA_HOST
using TensorMap = cuda_host::TensorMap;
#else
using TensorMap = CUtensorMap;
#endif

// Whether the code that this file is part of was compiled for the card's copy engine and group products, and the card is one that has them.
inline bool has_group_products() {
#if defined(EINKORN_CUDA_HOST)
  return true;
#elif defined(EINKORN_CUDA_90A)
  int device = 0, major = 0, minor = 0;
  check(cudaGetDevice(&device), "the current device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "compute capability");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "compute capability");
  return major == 9 && minor == 0;
#else
  return false;
#endif
}

// data [sizes[3]][sizes[2]][sizes[1]][sizes[0]] of bfloat16, steps[d] numbers from one to the next (steps[0] is 1), by boxes of `rows` x 64. False:
// the engine does not take it.
inline bool describe(TensorMap& map, const uint16_t* data, const int64_t (&sizes)[4], const int64_t (&steps)[4],
                     unsigned rows) {
  constexpr int64_t kMostSize = int64_t{1} << 31,
                    kMostStep = int64_t{1} << 39;  // coordinates are int32, steps 40 bits of bytes
  for (int d = 0; d < 4; ++d) {
    if (sizes[d] < 1 || sizes[d] >= kMostSize) return false;
    if (d > 0 && sizes[d] > 1 && (steps[d] <= 0 || steps[d] >= kMostStep || steps[d] % 8 != 0)) return false;
  }
#ifdef EINKORN_CUDA_HOST
  map = {data,
         {sizes[0], sizes[1], sizes[2], sizes[3]},
         {1, steps[1], steps[2], steps[3]},
         kBoxColumns,
         rows,
         cuda_host::Swizzle::bytes_128};
  return true;
#else
  // The driver's own function, found when it is first needed: nothing is linked for it.
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    (void)cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
#else
    (void)cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found);
#endif
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found == cudaDriverEntryPointSuccess ? function
                                                                                                    : nullptr);
  }();
  if (encode == nullptr) return false;
  cuuint64_t counts[4], bytes[3];
  for (int d = 0; d < 4; ++d) counts[d] = static_cast<cuuint64_t>(sizes[d]);
  cuuint64_t whole = counts[0] * 2;  // an axis of one element has any step: as if it followed on
  for (int d = 1; d < 4; ++d) {
    bytes[d - 1] = sizes[d] > 1 ? static_cast<cuuint64_t>(steps[d]) * 2 : whole;
    whole = bytes[d - 1] * counts[d];
  }
  const cuuint32_t box[4] = {kBoxColumns, rows, 1, 1}, every[4] = {1, 1, 1, 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<uint16_t*>(data), counts, bytes, box, every,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
#endif
}

__device__ __forceinline__ uint32_t shared_address(const void* p) {
#ifdef EINKORN_CUDA_HOST
  return cuda_host::shared_address(p);
#else
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
#endif
}

// The block's shared memory from the first place that boxes may begin at; a launch asks for kBoxAlignment bytes more.
template <class T>
__device__ __forceinline__ T& aligned_shared() {
  char* const p = dynamic_shared<char>();
  return *reinterpret_cast<T*>(p + (kBoxAlignment - shared_address(p) % kBoxAlignment) % kBoxAlignment);
}

// In shared memory, and never looked at as a number.
class PhaseBarrier {
 public:
#ifdef EINKORN_CUDA_HOST
  void make(unsigned arrivals) { cuda_host::phase_init(this, arrivals); }
  void arrive() { cuda_host::phase_arrive(this, 0); }
  void expect(unsigned bytes) { cuda_host::phase_arrive(this, bytes); }
  void wait(unsigned parity) { cuda_host::phase_wait(this, parity); }
#else
  __device__ __forceinline__ void make([[maybe_unused]] unsigned arrivals) {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(this)), "r"(arrivals) : "memory");
#endif
  }
  __device__ __forceinline__ void arrive() {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(this)) : "memory");
#endif
  }
  __device__ __forceinline__ void expect([[maybe_unused]] unsigned bytes) {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(this)), "r"(bytes)
                 : "memory");
#endif
  }
  __device__ __forceinline__ void wait([[maybe_unused]] unsigned parity) {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{\n"
        ".reg .pred ended;\n"
        "AGAIN:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
        "@!ended bra AGAIN;\n"
        "}" ::"r"(shared_address(this)),
        "r"(parity)
        : "memory");
#endif
  }
#endif

 private:
  uint64_t word_;
};

// The barriers that this thread made are there for the copy engine.
__device__ __forceinline__ void publish_barriers() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// One box of the map, from [outer][middle][row][column] on, to shared memory.
__device__ __forceinline__ void bring_box(void* to, const TensorMap& map, int column, int row, int middle, int outer,
                                          PhaseBarrier& barrier) {
#ifdef EINKORN_CUDA_HOST
  cuda_host::copy_box(to, map, {column, row, middle, outer}, &barrier);
#elif __CUDA_ARCH__ >= 900
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], "
      "[%6];" ::"r"(shared_address(to)),
      "l"(&map), "r"(column), "r"(row), "r"(middle), "r"(outer), "r"(shared_address(&barrier))
      : "memory");
#else
  __trap();
#endif
}

}  // namespace einkorn::cuda
