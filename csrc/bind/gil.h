// Running a kernel without the global interpreter lock.

#pragma once

#include <Python.h>
#include <unistd.h>

#include "runtime/threads.h"

namespace einkorn {

// Like pybind11's gil_scoped_release, but it survives the interpreter's exit. A daemon thread that asks for the lock
// then is ended by Python (before 3.14) with pthread_exit, which unwinds the stack as an exception does and ends the
// whole process with std::terminate when it meets a destructor. Such a thread has nothing left to do: here it waits for
// the process to end.
//
// Signals are heard meanwhile: between tasks the kernel asks now and then, and stops when a handler raised an exception,
// as that of Ctrl-C does.
class WithoutGil {
 public:
  WithoutGil() : before_(exchange_asker({&WithoutGil::hears, this})), state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    exchange_asker(before_);
    take();
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  void take() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) pause();
    }
  }

  static bool hears(void* self) {
    WithoutGil& without = *static_cast<WithoutGil*>(self);
    without.take();
    const Asker asker = exchange_asker({});  // a handler may run kernels of its own
    const bool raised = PyErr_CheckSignals() != 0;
    exchange_asker(asker);
    without.state_ = PyEval_SaveThread();
    return raised;
  }

  Asker before_;
  PyThreadState* state_;
};

}  // namespace einkorn
