// Products by a group of four warps that go on beside its threads: wgmma.mma_async, compute capability 9.0 ("90a").
//
//   D[64][8 n] (+)= A[64][16] B[16][8 n]      bfloat16 operands, float sums; n is 4, 8 or 16
//
//   D    in registers: warp w of the group has rows 16 w .. 16 w + 15, each laid out as Sums are (cuda_mma.h), n of them a thread
//   A    in shared memory, or in registers, laid out as PairsA
//   B    in shared memory, rows along k as they lie (B[k][n] is row n's number k), or turned (rows along n)
//
// A matrix in shared memory is a descriptor, 64 bits: from the lowest on 14 bits of address, 14 of `leading` and, from bit 32 on, 14 of `stride`, all
// in 16 bytes; bits 62 and 63 name the pattern, here rows of 128 bytes as the copy engine leaves them (cuda_bulk.h).
//
//        as it lies    8 rows of 64 numbers are 1024 bytes, the next 8 rows `stride` further;   16 further k: 32 bytes on, within the rows
//        turned        8 k of 64 numbers are 1024 bytes, the next 8 k `stride` further, the next 64 numbers `leading` further
//
// A group of products: products.begin(d), or begin(d, a) with A in registers; multiply ...; products.close(). products.wait<kLeft>(d) returns when all but the last kLeft groups
// are made. Until then d, and A in registers, belong to the products.
//
// On the host device products are made when they are waited for (csrc/cuda_host/bulk.h).

#pragma once

#include "kernels/cuda_bulk.h"
#include "kernels/cuda_mma.h"

namespace einkorn::cuda {

constexpr int kGroupThreads = 128;

// All warps of a group have so many registers a thread from here on: what some leave, others may take. ptxas gives a kernel what a thread has
// before (168 for three groups), and its parts what they take.
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}
template <int kRegisters>
__device__ __forceinline__ void leave_registers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

// The matrix of rows of 128 bytes from `start` on.
__device__ __forceinline__ uint64_t matrix_of(const void* start, unsigned leading, unsigned stride) {
  const auto field = [](unsigned bytes) { return static_cast<uint64_t>(bytes >> 4 & 0x3fff); };
  return field(shared_address(start)) | field(leading) << 16 | field(stride) << 32 | uint64_t{1} << 62;
}

// The same matrix some bytes further on.
__device__ __forceinline__ uint64_t advanced(uint64_t matrix, unsigned bytes) {
  return matrix + (bytes >> 4);
}

// kMost: products of a thread that may be under way.
template <int kMost>
class GroupProducts {
 public:
#ifdef EINKORN_CUDA_HOST
  template <int kGroups>
  void begin(Sums (&)[kGroups]) {
    begun_ = true;
  }
  template <int kGroups, int kSteps>
  void begin(Sums (&d)[kGroups], PairsA (&)[kSteps]) {
    begin(d);
  }
  template <int kGroups>
  void multiply(Sums (&d)[kGroups], uint64_t a, uint64_t b, bool add) {
    put({&d[0].of[0], nullptr, {a, false}, {b, false}, kGroups, group_, add});
  }
  template <int kGroups>
  void multiply_turned(Sums (&d)[kGroups], const PairsA& a, uint64_t b) {
    put({&d[0].of[0], a.of, {}, {b, true}, kGroups, group_, true});
  }
  void close() {
    ++group_;
    begun_ = false;
  }
  template <int kLeft, int kGroups>
  void wait(Sums (&)[kGroups]) {
    int left = 0;
    for (int i = 0; i < count_; ++i) {
      const Product p = pending_[i];
      if (p.group >= group_ - kLeft) {
        pending_[left++] = p;
        continue;
      }
      cuda_host::multiply_by_group(p.d, p.groups, p.registers, p.a, p.b, p.add, made_++);
    }
    count_ = left;
  }

 private:
  struct Product {
    float* d;
    const uint32_t* registers;
    cuda_host::SharedMatrix a, b;
    int groups, group;
    bool add;
  };
  void put(const Product& product) {
    cuda_host::check_begun(begun_);
    pending_[count_++] = product;
  }
  Product pending_[kMost];
  int count_ = 0, group_ = 0;
  unsigned made_ = 0;
  bool begun_ = false;
#else
  template <int kGroups>
  __device__ __forceinline__ void begin(Sums (&d)[kGroups]) {
    hold(d);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
  }

  // What a holds is there before the fence, which says that the registers are the products' from now on: the compiler might round it later.
  template <int kGroups, int kSteps>
  __device__ __forceinline__ void begin(Sums (&d)[kGroups], PairsA (&a)[kSteps]) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step)
#pragma unroll
      for (int e = 0; e < 4; ++e) asm volatile("" : "+r"(a[step].of[e])::"memory");
    begin(d);
  }

// The registers of 4, 8 and 16 Sums, and their places in an instruction.
#define EINKORN_D(n) "+f"(d[n].of[0]), "+f"(d[n].of[1]), "+f"(d[n].of[2]), "+f"(d[n].of[3])
#define EINKORN_D4(n) EINKORN_D(n), EINKORN_D(n + 1), EINKORN_D(n + 2), EINKORN_D(n + 3)
#define EINKORN_16 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define EINKORN_32 EINKORN_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define EINKORN_64                                                                                             \
  EINKORN_32                                                                                                   \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52," \
  " %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

  template <int kGroups>
  __device__ __forceinline__ void multiply([[maybe_unused]] Sums (&d)[kGroups], [[maybe_unused]] uint64_t a,
                                           [[maybe_unused]] uint64_t b, [[maybe_unused]] bool add) {
    static_assert(kGroups == 4 || kGroups == 8 || kGroups == 16);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    if constexpr (kGroups == 4)
      asm volatile(
          "{\n.reg .pred add;\nsetp.ne.b32 add, %18, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 " EINKORN_16 "}, %16, %17, add, 1, 1, 0, 0;\n}"
          : EINKORN_D4(0)
          : "l"(a), "l"(b), "r"(static_cast<int>(add)));
    else if constexpr (kGroups == 8)
      asm volatile(
          "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " EINKORN_32 "}, %32, %33, add, 1, 1, 0, 0;\n}"
          : EINKORN_D4(0), EINKORN_D4(4)
          : "l"(a), "l"(b), "r"(static_cast<int>(add)));
    else
      asm volatile(
          "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
          "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " EINKORN_64 "}, %64, %65, add, 1, 1, 0, 0;\n}"
          : EINKORN_D4(0), EINKORN_D4(4), EINKORN_D4(8), EINKORN_D4(12)
          : "l"(a), "l"(b), "r"(static_cast<int>(add)));
#endif
  }

  template <int kGroups>
  __device__ __forceinline__ void multiply_turned([[maybe_unused]] Sums (&d)[kGroups], [[maybe_unused]] const PairsA& a,
                                                  [[maybe_unused]] uint64_t b) {
    static_assert(kGroups == 8 || kGroups == 16);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    if constexpr (kGroups == 8)
      asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " EINKORN_32
                   "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
                   : EINKORN_D4(0), EINKORN_D4(4)
                   : "r"(a.of[0]), "r"(a.of[1]), "r"(a.of[2]), "r"(a.of[3]), "l"(b));
    else
      asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " EINKORN_64
                   "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
                   : EINKORN_D4(0), EINKORN_D4(4), EINKORN_D4(8), EINKORN_D4(12)
                   : "r"(a.of[0]), "r"(a.of[1]), "r"(a.of[2]), "r"(a.of[3]), "l"(b));
#endif
  }

#undef EINKORN_64
#undef EINKORN_32
#undef EINKORN_16
#undef EINKORN_D4
#undef EINKORN_D

  __device__ __forceinline__ void close() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
  }
  template <int kLeft, int kGroups>
  __device__ __forceinline__ void wait(Sums (&d)[kGroups]) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
#endif
    hold(d);
  }

 private:
  // The compiler keeps what it does to d on the side of this line where it is written: it does not know of registers that change later.
  template <int kGroups>
  static __device__ __forceinline__ void hold(Sums (&d)[kGroups]) {
#pragma unroll
    for (int n = 0; n < kGroups; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) asm volatile("" : "+f"(d[n].of[e])::"memory");
  }
#endif
};

}  // namespace einkorn::cuda
