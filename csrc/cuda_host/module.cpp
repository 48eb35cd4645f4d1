// einkorn._cuda_host: the kernels of csrc/kernels/*.cu on the host device, for NumPy arrays. For tests alone.

#include "bind/module.h"

#include <pybind11/numpy.h>

#include "bind/cuda/errors.h"
#include "bind/kernels.h"
#include "cuda_host/device.h"
#include "cuda_host/memory.h"
#include "cuda_host/planted.h"

namespace einkorn::cuda_host {

namespace {

// `bytes` bytes of the device's memory, poisoned, as a NumPy array of uint8.
pybind11::array empty(size_t bytes, size_t item) {
  void* const data = allocate_tracked(bytes, item);
  const pybind11::capsule owner(data, &free_tracked);
  return pybind11::array(pybind11::dtype::of<uint8_t>(),
                         std::vector<pybind11::ssize_t>{static_cast<pybind11::ssize_t>(bytes)}, data, owner);
}

void planted(const std::string& fault, const pybind11::object& to, const pybind11::object& from) {
  Array out, x;
  if (!view_array(to.ptr(), out) || !view_array(from.ptr(), x)) throw pybind11::type_error("out and x must be arrays");
  if (out.size() != x.size()) throw pybind11::value_error("out and x must have one size");
  float* const sums = out.out<float>("out");
  const float* const numbers = x.in<float>("x");
  if (!run_planted(fault.c_str(), sums, numbers, x.size()) &&
      !run_planted_boxes(fault.c_str(), sums, numbers, x.size()))
    throw pybind11::value_error("no such fault: " + fault);
}

const void* address(uintptr_t a) {
  return reinterpret_cast<const void*>(a);
}

void translate_fault(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Fault& fault) {
    pybind11::set_error(pybind11::module_::import("einkorn.errors").attr("DeviceError"), fault.what());
  }
}

}  // namespace

}  // namespace einkorn::cuda_host

PYBIND11_MODULE(_cuda_host, m) {
  namespace host = einkorn::cuda_host;
  m.doc() = "einkorn's CUDA kernels on the processor, checked access by access. For tests.";
  pybind11::register_local_exception_translator(&einkorn::cuda::translate);
  pybind11::register_local_exception_translator(&host::translate_fault);
  m.def("kernels", &einkorn::kernels, "Name and element types of every kernel that this module has.");
  m.def("empty", &host::empty, pybind11::arg("bytes"), pybind11::arg("item"));
  m.def(
      "track", [](uintptr_t low, size_t bytes, size_t item) { host::track(host::address(low), bytes, item); },
      "Let kernels use memory that was not made by empty(), all of it written.");
  m.def("untrack", [](uintptr_t low) { host::untrack(host::address(low)); });
  m.def("is_tracked", [](uintptr_t p) { return host::is_tracked(host::address(p)); });
  m.def(
      "first_unwritten", [](uintptr_t p, size_t bytes) { return host::first_unwritten(host::address(p), bytes); },
      "The first byte that nothing has written, or -1.");
  m.def("planted", &host::planted, pybind11::arg("fault"), pybind11::arg("out"), pybind11::arg("x"),
        "Run a kernel with a fault, on arrays of one size.");
  for (const einkorn::Bindings bind : einkorn::all_bindings()) bind(einkorn::Module(m.ptr()));
}
