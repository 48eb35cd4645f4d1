#include "runtime/cgroup.h"

#include <stdlib.h>

#include <algorithm>

#include "runtime/text_file.h"

namespace einkorn {

#ifdef __linux__

namespace {

bool lists(const std::string& comma_separated, const std::string& word) {
  return ("," + comma_separated + ",").find("," + word + ",") != std::string::npos;
}

// A controller is one of "cpu" and "memory"; the unified hierarchy of version 2 carries both and is called "".
struct Hierarchy {
  std::string mount;  // where its tree of directories begins
  std::string group;  // this process's group below it, "/a/b" or ""
};

// /proc/self/cgroup has lines "4:cpu,cpuacct:/docker/123" and, for version 2, "0::/user.slice/x".
bool find_group(const std::string& root, const std::string& controller, std::string* group) {
  for (const std::string& line : read_lines(root + "/proc/self/cgroup")) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : lists(controllers, controller)) {
      *group = line.substr(second + 1);
      return true;
    }
  }
  return false;
}

// /proc/self/mountinfo has lines "33 24 0:29 /docker/123 /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu,cpuacct":
// the directory of the hierarchy that is mounted, where, and after the dash the type and the controllers.
bool find_mount(const std::string& root, const std::string& controller, std::string* mount, std::string* mounted) {
  for (const std::string& line : read_lines(root + "/proc/self/mountinfo")) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> what = split(line.substr(dash + 3), " "), where = split(line.substr(0, dash), " ");
    if (what.size() < 3 || where.size() < 5) continue;
    const std::string &type = what[0], &options = what[2];
    if (controller.empty() ? type != "cgroup2" : type != "cgroup" || !lists(options, controller)) continue;
    *mounted = where[3];
    *mount = where[4];
    return true;
  }
  return false;
}

bool find_hierarchy(const std::string& root, const std::string& controller, Hierarchy* found) {
  std::string mounted;
  if (!find_group(root, controller, &found->group)) return false;
  if (!find_mount(root, controller, &found->mount, &mounted)) return false;
  found->mount = root + found->mount;
  if (mounted != "/" && found->group.rfind(mounted, 0) == 0) found->group.erase(0, mounted.size());
  if (found->group == "/") found->group.clear();
  return true;
}

// Calls visit(directory) for the process's group and each one above it. A container may see only the top of that path
// mounted as its own; directories that do not exist hold no files and so no limits.
template <class Visit>
void for_each_group(const std::string& root, const std::string& controller, const Visit& visit) {
  Hierarchy h;
  if (!find_hierarchy(root, controller, &h)) return;
  for (;;) {
    visit(h.mount + h.group + "/");
    const size_t slash = h.group.rfind('/');
    if (slash == std::string::npos) return;
    h.group.erase(slash);
  }
}

// 0 for an absent file and for "max".
double read_number(const std::string& path) {
  return strtod(read_text(path).c_str(), nullptr);
}
int64_t read_integer(const std::string& path) {
  return strtoll(read_text(path).c_str(), nullptr, 10);
}

template <class T>
void tighten(T* limit, T candidate) {
  if (candidate > 0) *limit = *limit > 0 ? std::min(*limit, candidate) : candidate;
}

}  // namespace

CgroupLimits cgroup_limits(const std::string& root) {
  CgroupLimits limits;
  for_each_group(root, "", [&](const std::string& directory) {
    const std::vector<std::string> words = read_words(directory + "cpu.max");
    const double quota = words.size() < 2 ? 0 : strtod(words[0].c_str(), nullptr);
    const double period = words.size() < 2 ? 0 : strtod(words[1].c_str(), nullptr);
    if (period > 0) tighten(&limits.cpus, quota / period);
    tighten(&limits.memory, read_integer(directory + "memory.max"));
  });
  for_each_group(root, "cpu", [&](const std::string& directory) {
    const double quota = read_number(directory + "cpu.cfs_quota_us");
    const double period = read_number(directory + "cpu.cfs_period_us");
    if (period > 0) tighten(&limits.cpus, quota / period);
  });
  for_each_group(root, "memory", [&](const std::string& directory) {
    const int64_t bytes = read_integer(directory + "memory.limit_in_bytes");
    if (bytes < INT64_MAX / 2) tighten(&limits.memory, bytes);  // "unlimited" is INT64_MAX rounded down to pages
  });
  return limits;
}

#else

CgroupLimits cgroup_limits(const std::string&) {
  return {};
}

#endif

}  // namespace einkorn
