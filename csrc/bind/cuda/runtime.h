// The device and the stream that kernels go to.

#pragma once

#include <stdint.h>

namespace einkorn::cuda {

// From now on this thread's kernels go to the stream with this handle (cudaStream_t; 0 is the default stream) of this device.
void set_stream(uintptr_t handle, int device);

}  // namespace einkorn::cuda
