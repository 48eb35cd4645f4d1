#include "runtime/cpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "runtime/cgroup.h"
#include "runtime/text_file.h"

#if defined(__x86_64__) || defined(__i386__)
#define EINKORN_X86 1
#include <cpuid.h>
#endif

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#endif

namespace einkorn {
namespace {

#ifdef EINKORN_X86

constexpr unsigned bit(int n) {
  return 1u << n;
}
constexpr bool all(unsigned word, unsigned mask) {
  return (word & mask) == mask;
}

// XCR0: which register files the operating system saves. Without that a CPU's vector registers are unusable,
// whatever cpuid says. Written out because the intrinsic needs -mxsave.
unsigned saved_registers() {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Linux gives tiles to processes that ask, because each of their threads then takes 8 KB more to switch.
bool ask_for_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

void detect_isa(CpuInfo* info) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return;
  const unsigned fma = bit(12), osxsave = bit(27), avx = bit(28), f16c = bit(29);
  if (!all(c, fma | osxsave | avx | f16c)) return;
  const unsigned saved = saved_registers();
  const unsigned xmm_ymm = bit(1) | bit(2), mask_zmm = bit(5) | bit(6) | bit(7);
  if (!all(saved, xmm_ymm)) return;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
  const unsigned avx2 = bit(5), bmi2 = bit(8);
  const unsigned avx512_f_dq_cd_bw_vl = bit(16) | bit(17) | bit(28) | bit(30) | bit(31);
  info->avx2 = all(b, avx2 | bmi2);
  info->avx512 = info->avx2 && all(saved, mask_zmm) && all(b, avx512_f_dq_cd_bw_vl);
  const bool vnni = all(c, bit(11)), tiles = all(d, bit(22) | bit(24) | bit(25)) && all(saved, bit(17) | bit(18));
  info->avx512_bf16 = info->avx512 && vnni && __get_cpuid_count(7, 1, &a, &b, &c, &d) && all(a, bit(5));
  info->amx = info->avx512_bf16 && tiles && ask_for_tiles();
}

std::string detect_brand() {
  unsigned words[12] = {};
  unsigned a, b, c, d;
  if (!__get_cpuid(0x80000000u, &a, &b, &c, &d) || a < 0x80000004u) return {};
  for (unsigned i = 0; i < 3; i++)
    __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
  char text[sizeof words + 1] = {};
  std::memcpy(text, words, sizeof words);
  return text;
}

#else

void detect_isa(CpuInfo* info) {
#ifdef __aarch64__
  info->neon = true;  // part of the base architecture
#else
  (void)info;
#endif
}

std::string detect_brand() {
#ifdef __APPLE__
  char text[256] = {};
  size_t size = sizeof text - 1;
  if (sysctlbyname("machdep.cpu.brand_string", text, &size, nullptr, 0) == 0) return text;
#endif
  // Linux on arm64 gives numbers (part 0xd0c is Neoverse-N1) unless the firmware names a model.
  std::string implementer, part;
  for (const std::string& line : read_lines("/proc/cpuinfo")) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(colon + 2);
    if (line.rfind("model name", 0) == 0) return value;
    if (line.rfind("CPU implementer", 0) == 0) implementer = value;
    if (line.rfind("CPU part", 0) == 0) part = value;
  }
  return part.empty() ? std::string() : "implementer " + implementer + " part " + part;
}

#endif

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "unknown";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

#ifdef __linux__

// sysfs has "48K", "1024K", "32M".
int64_t read_size(const std::string& path) {
  const std::string text = read_text(path);
  char* end = nullptr;
  const int64_t value = strtoll(text.c_str(), &end, 10);
  const char unit = *end;
  return unit == 'K' ? value << 10 : unit == 'M' ? value << 20 : unit == 'G' ? value << 30 : value;
}

void detect_caches(CpuInfo* info) {
  for (int i = 0; i < 8; i++) {
    const std::string directory = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    const int level = atoi(read_text(directory + "level").c_str());
    const std::string type = first_word(directory + "type");
    if (type != "Data" && type != "Unified") continue;
    const int64_t size = read_size(directory + "size");
    if (level == 1) info->l1d = size;
    if (level == 2) info->l2 = size;
    if (level == 3) info->l3 = size;
  }
#ifdef _SC_LEVEL1_DCACHE_SIZE
  // glibc asks cpuid itself; it helps where sysfs is not mounted.
  if (info->l1d == 0) info->l1d = std::max(0L, sysconf(_SC_LEVEL1_DCACHE_SIZE));
  if (info->l2 == 0) info->l2 = std::max(0L, sysconf(_SC_LEVEL2_CACHE_SIZE));
  if (info->l3 == 0) info->l3 = std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE));
#endif
}

// The hardware threads this process may run on. The kernel refuses a mask smaller than its own, hence the growing one.
std::vector<int> affinity() {
  std::vector<int> cpus;
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 4) {
    cpu_set_t* set = CPU_ALLOC(capacity);
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(capacity);
    CPU_ZERO_S(size, set);
    const bool known = sched_getaffinity(0, size, set) == 0;
    for (int cpu = 0; known && cpu < capacity; cpu++)
      if (CPU_ISSET_S(cpu, size, set)) cpus.push_back(cpu);
    CPU_FREE(set);
    if (known) break;
  }
  return cpus;
}

int count_cores(const std::vector<int>& cpus) {
  std::set<std::string> cores;  // "0,8": the hardware threads of one core, the same text for each of them
  for (int cpu : cpus) {
    const std::string directory = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    const std::string siblings = first_word(directory + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? "cpu " + std::to_string(cpu) : siblings);
  }
  return static_cast<int>(cores.size());
}

#else

#ifdef __APPLE__
int64_t read_sysctl(const char* name) {
  int64_t value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

void detect_caches(CpuInfo* info) {
  info->l1d = read_sysctl("hw.l1dcachesize");
  info->l2 = read_sysctl("hw.l2cachesize");
  info->l3 = read_sysctl("hw.l3cachesize");
}
#else
void detect_caches(CpuInfo*) {}
#endif

std::vector<int> affinity() {
  return {};
}
int count_cores(const std::vector<int>&) {
  return 0;
}

#endif

int within_quota(int cpus) {
  if (cpus == 0) cpus = static_cast<int>(std::thread::hardware_concurrency());
  const double quota = cgroup_limits().cpus;
  if (quota > 0 && quota < cpus) cpus = static_cast<int>(quota);
  return std::max(1, cpus);
}

CpuInfo detect() {
  CpuInfo info;
  detect_isa(&info);
  detect_caches(&info);
  info.brand = trimmed(detect_brand());
  info.memory = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return info;
}

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = detect();
  return info;
}

bool cpu_supports(const std::string& isa) {
  const CpuInfo& info = cpu_info();
  return isa == "baseline" || (isa == "avx2" && info.avx2) || (isa == "avx512" && info.avx512) ||
         ((isa == "avx512_bf16" || isa == "amx_in_software") && info.avx512_bf16) || (isa == "amx" && info.amx) ||
         (isa == "neon" && info.neon);
}

int usable_cpus() {
  return within_quota(static_cast<int>(affinity().size()));
}

int usable_cores() {
  return within_quota(count_cores(affinity()));
}

int64_t usable_memory() {
  const int64_t limit = cgroup_limits().memory;
  return limit > 0 ? std::min(limit, cpu_info().memory) : cpu_info().memory;
}

}  // namespace einkorn
