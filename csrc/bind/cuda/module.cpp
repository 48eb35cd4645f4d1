// einkorn._cuda: the kernels of csrc/kernels/*.cu under the names of their families' lists, for CuPy arrays.
//
// The bindings are those of the native module, compiled once more against the views of array.cpp beside this file.

#include "bind/module.h"

#include <cuda_runtime_api.h>
#include <pybind11/numpy.h>

#include <utility>

#include "bind/cuda/errors.h"
#include "bind/cuda/runtime.h"
#include "bind/kernels.h"

namespace {

// CUDA's versions, 13000 for 13.0: of the runtime in this module, and the latest that the driver here takes (0: there is none).
std::pair<int, int> versions() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  return {CUDART_VERSION, driver};
}

}  // namespace

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "einkorn's CUDA engine: kernels for arrays with __cuda_array_interface__.";
  pybind11::register_local_exception_translator(&einkorn::cuda::translate);
  m.def("set_stream", &einkorn::cuda::set_stream, pybind11::arg("handle"), pybind11::arg("device"),
        "Send this thread's kernels to a stream, given by the number of its cudaStream_t, of a device.");
  m.def("versions", &versions,
        "Versions of CUDA: of the runtime here, and the latest that the driver takes, 0 without.");
  m.attr("architectures") = EINKORN_CUDA_ARCHITECTURES;
  m.def("kernels", &einkorn::kernels, "Name and element types of every kernel that this module has.");
  for (const einkorn::Bindings bind : einkorn::all_bindings()) bind(einkorn::Module(m.ptr()));
}
