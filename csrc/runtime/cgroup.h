// The share of the machine that a container grants this process.

#pragma once

#include <stdint.h>

#include <string>

namespace einkorn {

struct CgroupLimits {
  double cpus = 0;     // CPU time per time, for example 1.5; 0 when unlimited
  int64_t memory = 0;  // bytes; 0 when unlimited
};

// Reads control group limits, version 1 or 2, the tightest of the process's group and all groups above it.
// `root` is put before every path: tests pass a directory that imitates /proc and /sys.
CgroupLimits cgroup_limits(const std::string& root = "");

}  // namespace einkorn
