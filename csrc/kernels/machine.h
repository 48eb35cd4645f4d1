// fma_peak, memory_stream: what this machine can do, measured by the means that kernels have.
//
//   fma_peak        out[task] = end of chains of x = x * 1/2 + 1, `iterations` times 768 multiply-adds per task
//   memory_stream   out = x
//
// The benchmark divides by these figures. They come from the same launch, threads and instruction set as the kernels
// they judge, so a fraction of 1 means that nothing is left on this machine in this mode, not that the data sheet is
// reached.
//
// Layout      out and x contiguous; memory_stream: sizes alike. fma_peak: one element of out per task.
// Aliasing    memory_stream: out may be x, which measures an update in place. Otherwise none.
// Zero sizes  nothing happens; 0 iterations leave the chains at their start.
// NaN         copied by memory_stream.
// Writes      every element of out. Same bits for any thread count and any instruction set.
// Cost        fma_peak: 1536 * iterations * tasks FLOPs, no memory. memory_stream: moves 2 n elements.

#pragma once

#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

constexpr int kMultiplyAddsPerIteration = 768;  // chains x lanes divide it for every vector width

template <class T>
struct FmaPeak {
  T* out;
  int64_t tasks;
  int64_t iterations;
  Workspace ws;
};

template <class T>
struct MemoryStream {
  T* out;
  const T* x;
  int64_t size;
  Workspace ws;
};

#define EINKORN_MACHINE_KERNELS(X) \
  X(fma_peak, FmaPeak)             \
  X(memory_stream, MemoryStream)

EINKORN_FLOAT_TABLE(MachineKernels, EINKORN_MACHINE_KERNELS)

}  // namespace einkorn
