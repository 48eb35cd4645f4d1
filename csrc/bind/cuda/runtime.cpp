// What launches and bindings need of a runtime, as the GPU has it: one table of kernels, one stream a thread, no CPU threads.

#include "bind/cuda/runtime.h"

#include <cuda_runtime_api.h>

#include "bind/array.h"
#include "bind/quick.h"
#include "kernels/cuda_launch.h"
#include "runtime/dispatch.h"
#include "runtime/kernel_table.h"
#include "runtime/threads.h"

namespace einkorn {

namespace cuda {

// Weak: a kernel without a body here has a null address, which is a gap in the table.
#define X(name, Args) \
  template <class T>  \
  __attribute__((weak)) void name(const Args<T>&);
#define F(Table, KERNELS) KERNELS(X)
EINKORN_FLOAT_FAMILIES(F)
#undef X
#define X(name, Args) __attribute__((weak)) void name(const Args&);
EINKORN_INDEX_FAMILIES(F)
#undef X
#undef F

namespace {

const Tables kTables = {
#define F(Table, KERNELS) {KERNELS(X)},
#define X(name, Args) &cuda::name<float>,
    EINKORN_FLOAT_FAMILIES(F)
#undef X
#define X(name, Args) &cuda::name<double>,
        EINKORN_FLOAT_FAMILIES(F)
#undef X
#define X(name, Args) &cuda::name<uint16_t>,
            EINKORN_BFLOAT16_FAMILIES(F)
#undef X
#define X(name, Args) &cuda::name,
                EINKORN_INDEX_FAMILIES(F)
#undef X
#undef F
};

thread_local cudaStream_t stream = nullptr;

}  // namespace

// The caller's array library has a CUDA runtime of its own: which device is current is told, not taken from it.
void set_stream(uintptr_t handle, int device) {
  check(cudaSetDevice(device), "the device of the arrays");
  stream = reinterpret_cast<cudaStream_t>(handle);
}

}  // namespace cuda

cudaStream_t current_stream() {
  return cuda::stream;
}

const Tables& active_tables() {
  return cuda::kTables;
}

EINKORN_DEFINE_ACTIVE_TABLES

// A recorded step is a CUDA graph here, captured from the stream: launches are not written down one by one.
Recorder* current_recorder() {
  return nullptr;
}

// Kernels bring their own grid, and size scratch by the number of threads: none.
int num_threads() {
  return 0;
}

// Scratch comes from the stream's memory pool and goes back in stream order, after the kernels that use it.
void* allocate(size_t bytes) {
  void* block = nullptr;
  cuda::check(cudaMallocAsync(&block, bytes, cuda::stream), "scratch memory");
  return block;
}

void deallocate(void* block, size_t) noexcept {
  (void)cudaFreeAsync(block, cuda::stream);
}

// No short cut here: it is never asked for an array, nor to make one.
bool view_plain(PyObject*, Array&) {
  return false;
}
bool view_plain_index(PyObject*, Array&) {
  return false;
}
PyObject* fresh_plain(const Array&) {
  return nullptr;
}

// No thread of the CPU works for long here, so nobody asks whether to stop.
Asker exchange_asker(Asker) {
  return {};
}

}  // namespace einkorn
