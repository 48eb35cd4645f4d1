// What the machine is, and how much of it this process may use.

#pragma once

#include <stdint.h>

#include <string>

namespace einkorn {

struct CpuInfo {
  // Instruction sets that both the CPU has and the operating system saves on a context switch.
  bool avx2 = false;         // AVX2, FMA, F16C, BMI2
  bool avx512 = false;       // the above and AVX-512 F, CD, BW, DQ, VL
  bool neon = false;         // arm64
  bool avx512_bf16 = false;  // avx512 and AVX512-BF16 and VNNI
  bool amx = false;          // the above and AMX's tiles, with products of bfloat16 and of bytes

  std::string brand;  // "AMD EPYC 9B45", "Neoverse-N1", ...; "unknown" when the machine does not tell

  // Cache sizes in bytes, 0 when unknown. L1d and L2 belong to one core, L3 is shared.
  int64_t l1d = 0;
  int64_t l2 = 0;
  int64_t l3 = 0;

  int64_t memory = 0;  // physical memory in bytes
};

// Detected at the first call.
const CpuInfo& cpu_info();

// Whether kernels built for "baseline", "avx2", "avx512", "avx512_bf16", "amx", "amx_in_software" or "neon" run here.
bool cpu_supports(const std::string& isa);

// Hardware threads in this process's affinity mask, but no more than its control group grants (rounded down, at least
// 1).
int usable_cpus();

// The same, with the hardware threads of one core counted once: a second one adds nothing to a kernel that keeps
// the multipliers busy.
int usable_cores();

// Bytes of physical memory that this process may use: the machine's, or its control group's limit when that is smaller.
int64_t usable_memory();

}  // namespace einkorn
