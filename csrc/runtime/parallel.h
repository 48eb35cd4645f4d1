// Splitting a kernel's work into tasks that the thread pool runs.
//
// Kernels include this header and nothing else of the runtime. A task is a slice of the problem whose bounds depend on
// the problem's size alone, never on the number of threads: that is what makes results bitwise equal for any thread
// count. Which thread runs a task is decided as they become free.
//
//   parallel_for(ws, tasks, cost, [&](int64_t task, int slot) { ... });
//
// `slot` is below ws.threads and belongs to one running task at a time, so it can index per-thread scratch.
// `cost` estimates one task in nanoseconds on one core; small totals stay on the calling thread.

#pragma once

#include <stdint.h>

namespace einkorn {

// What a launch brings along besides its arrays: how many threads it may use, and scratch memory that the caller owns.
struct Workspace {
  int threads = 1;
  char* scratch = nullptr;
};

using TaskBody = void (*)(void* context, int64_t task, int slot);

// Runs body(context, task, slot) for every task in [0, tasks) and returns when all are done. Throws Interrupted alone.
// Runs on the calling thread alone when that is expected to be quicker, when it is called from inside a task, or when
// another Python thread is using the pool.
void parallel_run(int threads, int64_t tasks, double cost, TaskBody body, void* context);

using StepBody = void (*)(void* context, int64_t step, int64_t task, int slot);

// Runs body(context, step, task, slot) for every task in [0, tasks) of every step in [0, steps). No task begins before all
// tasks of the step before it are done.
void parallel_run_steps(int threads, int64_t steps, int64_t tasks, double cost, StepBody body, void* context);

inline namespace EINKORN_ISA {

template <class Body>
inline void parallel_for(const Workspace& ws, int64_t tasks, double cost, const Body& body) {
  parallel_run(
      ws.threads, tasks, cost,
      [](void* context, int64_t task, int slot) { (*static_cast<const Body*>(context))(task, slot); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// Steps that build on one another: body(step, task, slot). One job for all of them; a thread takes the same tasks in each step
// where it can, so that what they read (weights) stays in its caches. `cost` is that of a task of one step.
template <class Body>
inline void parallel_steps(const Workspace& ws, int64_t steps, int64_t tasks, double cost, const Body& body) {
  parallel_run_steps(
      ws.threads, steps, tasks, cost,
      [](void* context, int64_t step, int64_t task, int slot) {
        (*static_cast<const Body*>(context))(step, task, slot);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
