// Every kernel starts here: launch(&SoftmaxKernels<T>::softmax_forward, args).
//
// One place, so that a recorder can see each launch as (function, argument struct) and replay it later without Python.
// The argument struct is trivially copyable for that reason, and nothing that computes goes past this function.

#pragma once

#include <stddef.h>

#include <stdexcept>
#include <string>
#include <type_traits>

#include "runtime/dispatch.h"
#include "runtime/guard.h"

namespace einkorn {

using AnyKernel = void (*)();
using Replay = void (*)(AnyKernel kernel, const void* args);

// Receives launches of the thread that installed it, before they run. `replay(kernel, args)` runs one again.
struct Recorder {
  void (*append)(Recorder* self, AnyKernel kernel, Replay replay, const void* args, size_t args_size);
};

Recorder* current_recorder();
void set_recorder(Recorder* recorder);  // null: none

struct MissingKernel : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The name of an entry of a table, which is a row of pointers.
template <class Table>
const char* kernel_name(const Table& table, const void* entry) {
  const ptrdiff_t at = static_cast<const char*>(entry) - reinterpret_cast<const char*>(&table);
  return Table::kNames[static_cast<size_t>(at) / sizeof(AnyKernel)];
}

template <class Table, class Args>
void launch(void (*Table::*member)(const Args&), const Args& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const Table& table = active_table<Table>();
  void (*const kernel)(const Args&) = table.*member;
  if (kernel == nullptr)
    throw MissingKernel(std::string("this engine has no kernel ") + kernel_name(table, &(table.*member)));
  if (Recorder* recorder = current_recorder()) {
    const Replay replay = [](AnyKernel k, const void* a) {
      reinterpret_cast<void (*)(const Args&)>(k)(*static_cast<const Args*>(a));
    };
    recorder->append(recorder, reinterpret_cast<AnyKernel>(kernel), replay, &args, sizeof args);
  }
  if constexpr (kGuardBytes > 0) guard_launch(kernel_name(table, &(table.*member)));
  kernel(args);
}

}  // namespace einkorn
