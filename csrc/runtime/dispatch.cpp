#include "runtime/dispatch.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <stdexcept>

#include "runtime/cpu.h"
#include "runtime/kernel_table.h"
#include "runtime/launch.h"

namespace einkorn {

// One object per instruction set that was built; see kernels/isa_table.cpp.
#define EINKORN_DECLARE_ISA(isa) \
  namespace isa {                \
  extern const Tables kTables;   \
  }
EINKORN_DECLARE_ISA(baseline)
#ifdef EINKORN_BUILT_AVX2
EINKORN_DECLARE_ISA(avx2)
#endif
#ifdef EINKORN_BUILT_AVX512
EINKORN_DECLARE_ISA(avx512)
EINKORN_DECLARE_ISA(avx512_bf16)
#endif
#ifdef EINKORN_BUILT_AMX_IN_SOFTWARE
EINKORN_DECLARE_ISA(amx_in_software)
#endif
#ifdef EINKORN_BUILT_AMX
EINKORN_DECLARE_ISA(amx)
#endif
#ifdef EINKORN_BUILT_NEON
EINKORN_DECLARE_ISA(neon)
#endif

namespace {

struct Isa {
  const char* name;
  const Tables* tables;
  bool narrow = false;     // has kernels over narrow numbers alone, the others of the one before it
  bool for_tests = false;  // never chosen but by name
};

// Slowest first.
constexpr Isa kBuilt[] = {
    {"baseline", &baseline::kTables},
#ifdef EINKORN_BUILT_AVX2
    {"avx2", &avx2::kTables},
#endif
#ifdef EINKORN_BUILT_AVX512
    {"avx512", &avx512::kTables},
    {"avx512_bf16", &avx512_bf16::kTables, true},
#endif
#ifdef EINKORN_BUILT_AMX_IN_SOFTWARE
    {"amx_in_software", &amx_in_software::kTables, true, true},
#endif
#ifdef EINKORN_BUILT_AMX
    {"amx", &amx::kTables, true},
#endif
#ifdef EINKORN_BUILT_NEON
    {"neon", &neon::kTables},
#endif
};

using AllTables = std::array<Tables, std::size(kBuilt)>;

// Tables are rows of pointers: where one has none, the one of the instruction set before it.
AllTables complete_tables() {
  AllTables all;
  for (size_t i = 0; i < all.size(); ++i) {
    all[i] = *kBuilt[i].tables;
    if (!kBuilt[i].narrow) continue;
    AnyKernel* const own = reinterpret_cast<AnyKernel*>(&all[i]);
    const size_t whole = kBuilt[i - 1].for_tests ? i - 2 : i - 1;
    const AnyKernel* const before = reinterpret_cast<const AnyKernel*>(&all[whole]);
    for (size_t entry = 0; entry < sizeof(Tables) / sizeof(AnyKernel); ++entry)
      if (own[entry] == nullptr) own[entry] = before[entry];
  }
  return all;
}

const Isa& find_isa(const std::string& name) {
  for (const Isa& isa : kBuilt)
    if (name == isa.name && cpu_supports(name)) return isa;
  std::string message = "instruction set '" + name + "' is not available here; choose from:";
  for (const std::string& available : available_isas()) message += " " + available;
  throw std::invalid_argument(message);
}

const Isa* initial_isa() {
  const char* wanted = std::getenv("EINKORN_ISA");
  if (wanted != nullptr && *wanted != '\0') return &find_isa(wanted);
  const Isa* best = nullptr;
  for (const Isa& isa : kBuilt)
    if (!isa.for_tests && cpu_supports(isa.name)) best = &isa;
  return best;
}

std::atomic<const Isa*>& active() {
  static std::atomic<const Isa*> isa{initial_isa()};
  return isa;
}

thread_local Recorder* recorder = nullptr;

}  // namespace

const Tables& active_tables() {
  static const AllTables all = complete_tables();
  return all[static_cast<size_t>(active().load(std::memory_order_acquire) - kBuilt)];
}

EINKORN_DEFINE_ACTIVE_TABLES

std::string active_isa() {
  return active().load(std::memory_order_acquire)->name;
}

void set_isa(const std::string& name) {
  active().store(&find_isa(name), std::memory_order_release);
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kBuilt)
    if (cpu_supports(isa.name)) names.push_back(isa.name);
  return names;
}

Recorder* current_recorder() {
  return recorder;
}

void set_recorder(Recorder* r) {
  recorder = r;
}

}  // namespace einkorn
