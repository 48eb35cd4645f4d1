// Refused launches and absent kernels, as einkorn's own exceptions: what the modules over CUDA bodies share.

#pragma once

#include "bind/array.h"
#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

inline void translate(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const CudaError& error) {
    py::set_error(py::module_::import("einkorn.errors").attr("DeviceError"), error.what());
  } catch (const MissingKernel& error) {
    py::set_error(py::module_::import("einkorn.errors").attr("EngineError"), error.what());
  }
}

}  // namespace einkorn::cuda
