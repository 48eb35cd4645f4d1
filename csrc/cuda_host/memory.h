// What the host device knows of memory: which bytes are an array's, which were ever written, and by whom in this launch.
//
// Kernels are compiled with -fsanitize=thread, which makes the compiler announce every load and store by calling
// __tsan_read4(address) and its like. Those functions are ours (memory.cpp); no sanitizer is linked.

#pragma once

#include <stddef.h>
#include <stdint.h>

namespace einkorn::cuda_host {

// The thread that accesses memory now. Accesses are ordered by the block's barriers and the warp's.
struct Accessor {
  uint32_t block;        // number of the block since the process began
  uint32_t first_block;  // the launch's first: what others did before is over
  uint32_t barrier, warp_barrier;
  uint32_t thread;  // within the block
  uintptr_t stack_low, stack_high, host_stack_low;
};

extern Accessor accessor;
extern bool in_kernel;

// Reports a fault of the running thread; does not return.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Memory that somebody else owns, an array of NumPy's: taken as written throughout.
void track(const void* low, size_t bytes, size_t item);
void untrack(const void* low);
bool is_tracked(const void* p);

// The first byte of [p, p + bytes) that neither a kernel nor the host has written, or -1.
int64_t first_unwritten(const void* p, size_t bytes);

// The running thread reads so many bytes, of a kernel's code that the compiler did not see.
void kernel_reads(const void* p, size_t bytes);

void set_dynamic_shared(const void* low, size_t bytes);

}  // namespace einkorn::cuda_host
