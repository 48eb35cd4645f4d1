// Refused launches and absent kernels, as einkorn's own exceptions: what the modules over CUDA bodies share.

#pragma once

#include <pybind11/pybind11.h>

#include "kernels/cuda_launch.h"
#include "runtime/launch.h"

namespace einkorn::cuda {

inline void translate(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const CudaError& error) {
    pybind11::set_error(pybind11::module_::import("einkorn.errors").attr("DeviceError"), error.what());
  } catch (const MissingKernel& error) {
    pybind11::set_error(pybind11::module_::import("einkorn.errors").attr("EngineError"), error.what());
  }
}

}  // namespace einkorn::cuda
