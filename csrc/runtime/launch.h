// Every kernel starts here: launch(&KernelTable<T>::name, args).
//
// One place, so that a recorder can see each launch as (function, argument struct) and replay it later without Python.
// The argument struct is trivially copyable for that reason, and nothing that computes goes past this function.

#pragma once

#include <stddef.h>

#include <stdexcept>
#include <type_traits>

#include "runtime/dispatch.h"

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

template <class Table, class Args>
void launch(void (*Table::*member)(const Args&), const Args& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  void (*const kernel)(const Args&) = active_table<Table>().*member;
  if (kernel == nullptr) throw MissingKernel("this engine has no body for this kernel");
  if (Recorder* recorder = current_recorder()) {
    const Replay replay = [](AnyKernel k, const void* a) {
      reinterpret_cast<void (*)(const Args&)>(k)(*static_cast<const Args*>(a));
    };
    recorder->append(recorder, reinterpret_cast<AnyKernel>(kernel), replay, &args, sizeof args);
  }
  kernel(args);
}

}  // namespace einkorn
