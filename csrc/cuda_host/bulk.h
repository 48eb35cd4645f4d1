// Copies of boxes of a tensor to shared memory and products by groups of four warps, as compute capability 9.0 has them, on the host device.
//
// They go on beside the threads that ask for them, and here as late as they may: a copy is there when no thread can go on without it, a
// product is made when it is waited for. Until then the places that a copy fills belong to nobody. What a thread may not count on is a fault
// or a wrong number: a copy that it has not waited for, a place that is filled anew while a product still reads it, a descriptor that names
// other places than those that were filled.
//
// Layouts are the hardware's. Places of shared memory have addresses from kWindow on; a copy turns the 16-byte chunks of a row, and a product
// finds them again, by those addresses alone. Threads that pass data of their own by such a barrier are not followed: stores need one of the block.

#pragma once

#include <stddef.h>
#include <stdint.h>

namespace einkorn::cuda_host {

// How the 16-byte chunks are turned within 1024, 512 or 256 bytes: by the numbers that descriptors have for it.
enum class Swizzle : int { none = 0, bytes_128 = 1, bytes_64 = 2, bytes_32 = 3 };

// A tensor of numbers of two bytes, [sizes[3]][sizes[2]][sizes[1]][sizes[0]], read by boxes of `rows` x `columns` of the last two.
struct TensorMap {
  const void* data;
  int64_t sizes[4], steps[4];  // in numbers; steps[0] is 1
  unsigned columns, rows;
  Swizzle swizzle;
};

uint32_t shared_address(const void* p);

void phase_init(const void* barrier, unsigned arrivals);
void phase_arrive(const void* barrier, unsigned bytes);  // and so many bytes are expected
void phase_wait(const void* barrier, unsigned parity);

void copy_box(void* to, const TensorMap& map, const int32_t (&at)[4], const void* barrier);

// A matrix in shared memory by its descriptor; `turned`: its rows lie along the sum and not along the result.
struct SharedMatrix {
  uint64_t descriptor;
  bool turned;
};

// This thread's part of D[64][8 groups] (+)= A[64][16] B[16][8 groups], bfloat16: float sums d[4 groups]. A is in registers or, where
// those are null, in shared memory. All lanes of a warp take part. `number`: how many products the thread made before.
void multiply_by_group(float* d, int groups, const uint32_t* registers, SharedMatrix a, SharedMatrix b, bool add,
                       unsigned number);
void check_begun(bool begun);  // a group of products begins with a fence, or it reads registers that are being written

// --- for the device itself ---

void begin_bulk(unsigned threads);
bool land_copy();  // makes the oldest copy that is under way; false: there is none
bool copies_under_way();
// Whether an access of a thread's to shared memory was answered here: it lies where copies are brought.
bool answers_for(uintptr_t address, size_t bytes, bool writes);

}  // namespace einkorn::cuda_host
