// The host device: runs a kernel's blocks in order, the threads of a block as fibers on one thread of the processor.
//
// A fiber runs until it ends or meets a barrier, a shuffle or a vote; then the next one runs. When none can go on, the
// operations that all their threads have reached are carried out; if there is none, some thread has gone another way, and the
// launch fails naming the kernel, the block and the threads. Nothing here is fast: it is a device for tests.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include <stdexcept>

// Code that memory.cpp does not look at: the device's own.
#define EINKORN_NOT_CHECKED __attribute__((no_sanitize("thread")))

struct uint3 {
  unsigned x, y, z;
};

namespace einkorn::cuda_host {

// What a kernel did wrong.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

uint3 thread_index();
uint3 block_index();
uint3 block_size();
uint3 grid_size();

enum class WarpOp : int { none, barrier, shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot };

void block_barrier();
void warp_barrier(unsigned mask);
void shuffle(WarpOp op, unsigned mask, void* value, size_t bytes, int operand, int width);
unsigned ballot(unsigned mask, bool predicate);
void atomic_access(const void* p, size_t bytes);
void* dynamic_shared();  // the block's shared memory, as much as the launch asked for
size_t dynamic_shared_bytes();
// Returns once holds(context); `what` says in a fault what the thread does meanwhile.
void suspend_until(bool (*holds)(const void*), const void* context, const char* what);

// Calls thread(context) for every thread of the grid. Throws Fault.
void run_grid(const char* kernel, uint3 grid, uint3 block, size_t shared_bytes, void (*thread)(void*), void* context);

// Memory of the device: poisoned, every element known as written or not. `item` is the size of its elements, which accesses are
// not smaller than.
void* allocate_tracked(size_t bytes, size_t item);
void free_tracked(void* block);

}  // namespace einkorn::cuda_host
