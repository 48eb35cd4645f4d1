// The stream that kernels go to.

#pragma once

#include <stdint.h>

namespace einkorn::cuda {

// From now on this thread's kernels go to the stream with this handle (cudaStream_t); 0 is the default stream.
void set_stream(uintptr_t handle);

}  // namespace einkorn::cuda
