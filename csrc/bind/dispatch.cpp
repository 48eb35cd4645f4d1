// Instruction sets, the list of kernels, and a trace of what is launched.

#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind/kernels.h"
#include "bind/module.h"
#include "runtime/launch.h"

namespace einkorn::bind_dispatch {

namespace {

std::map<AnyKernel, std::string> kernel_names() {
  std::map<AnyKernel, std::string> names;
  for_each_kernel([&](const char* name, const char*, AnyKernel kernel) { names[kernel] = name; });
  return names;
}

// The first user of the recorder hook: writes down the name of each launch of one thread.
struct Trace {
  Recorder recorder{&Trace::append};
  std::vector<AnyKernel> launches;

  static void append(Recorder* self, AnyKernel kernel, Replay, const void*, size_t) {
    reinterpret_cast<Trace*>(self)->launches.push_back(kernel);  // recorder is the first member
  }
};

thread_local std::unique_ptr<Trace> trace;

// Drops what a running trace has: einkorn.runtime.trace_launches collects that first when blocks are nested.
void start_trace() {
  trace = std::make_unique<Trace>();
  set_recorder(&trace->recorder);
}

std::vector<std::string> stop_trace() {
  set_recorder(nullptr);
  const std::unique_ptr<Trace> finished = std::move(trace);
  std::vector<std::string> launched;
  if (finished == nullptr) return launched;
  const std::map<AnyKernel, std::string> names = kernel_names();
  for (AnyKernel kernel : finished->launches) launched.push_back(names.count(kernel) ? names.at(kernel) : "?");
  return launched;
}

}  // namespace

EINKORN_BINDINGS(dispatch, module) {
  auto m = pybind11::reinterpret_borrow<pybind11::module_>(module.ptr());
  m.def("isas", &available_isas, "Instruction sets built into this library that this machine has, slowest first.");
  m.def("get_isa", &active_isa, "The instruction set whose kernels run.");
  m.def("set_isa", &set_isa, pybind11::arg("isa").none(false), "Run the kernels of another instruction set.");
  m.def("kernels", &kernels, "Name and element types of every kernel that this module has.");
  m.def("start_trace", &start_trace, "Write down the kernels that this thread launches from now on.");
  m.def("stop_trace", &stop_trace, "End the trace and return the names in order of launch.");
}

}  // namespace einkorn::bind_dispatch
