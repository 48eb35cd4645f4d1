// Prints the best instruction set that kernels can use on this machine, by the rule that chooses among them at import.

#include <cstdio>

#include "runtime/cpu.h"

int main() {
  for (const char* isa : {"avx512", "avx2", "neon", "baseline"}) {
    if (einkorn::cpu_supports(isa)) {
      std::puts(isa);
      return 0;
    }
  }
  return 1;
}
