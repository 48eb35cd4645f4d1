// Copies from memory to shared memory that go on while the thread computes: cp.async, from compute capability 8.0 on.
//
//   copies.bring(to, from, live)     16 bytes, aligned; zeros where not live, and `from` is not read
//   copies.close()                   what was brought since the last time is a group
//   copies.wait<kLeft>()             until all groups but the last kLeft are there, for this thread; the others of a block need a barrier
//
// On the host device a copy is made when it is waited for, and not before: data that is read too early is not there.

#pragma once

#include <stdint.h>

#include "kernels/cuda_pack.h"

namespace einkorn::cuda {

// kMost: copies of a thread that may be under way.
template <int kMost>
class AsyncCopies {
 public:
#ifdef EINKORN_CUDA_HOST
  void bring(void* to, const void* from, bool live) { pending_[count_++] = {to, from, group_, live}; }
  void close() { ++group_; }

  template <int kLeft>
  void wait() {
    int left = 0;
    for (int i = 0; i < count_; ++i) {
      const Copy copy = pending_[i];
      if (copy.group >= group_ - kLeft)
        pending_[left++] = copy;
      else
        *static_cast<Sixteen*>(copy.to) = copy.live ? *static_cast<const Sixteen*>(copy.from) : Sixteen{};
    }
    count_ = left;
  }

 private:
  using Sixteen = Pack<uint32_t, 4>;
  struct Copy {
    void* to;
    const void* from;
    int group;
    bool live;
  };
  Copy pending_[kMost];
  int count_ = 0, group_ = 0;
#else
  __device__ __forceinline__ void bring(void* to, const void* from, bool live) {
#if __CUDA_ARCH__ >= 800
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(live ? 16 : 0));
#else
    __trap();
#endif
  }
  __device__ __forceinline__ void close() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;");
#endif
  }
  template <int kLeft>
  __device__ __forceinline__ void wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#endif
  }
#endif
};

}  // namespace einkorn::cuda
