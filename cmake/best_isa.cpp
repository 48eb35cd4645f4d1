// Prints the best instruction set, and AMX's tiles where they are beside it, that kernels can use on this machine, by the rule that chooses among them at import.

#include <cstdio>

#include "runtime/cpu.h"

int main() {
  for (const char* isa : {"avx512", "avx2", "neon", "baseline"}) {
    if (einkorn::cpu_supports(isa)) {
      std::printf("%s%s\n", isa, einkorn::cpu_supports("amx") ? ";amx" : "");
      return 0;
    }
  }
  return 1;
}
