// Grouping: boxes are alike when every side is within eps of the mean smaller extent; groups are what is connected.
//
// Boxes come in order of x, so a box is compared with those to its right until they begin too far away, instead of with
// all. Groups are numbered by their first box and treated in that order, which is the order of OpenCV's.

#include "kernels/haar/haar_rows.h"

namespace einkorn::EINKORN_ISA {

using namespace haar;

namespace {

EINKORN_INLINE bool near(int64_t a, int64_t b, double delta) {
  return static_cast<double>(a < b ? b - a : a - b) <= delta;
}

EINKORN_INLINE bool alike(const int32_t* a, const int32_t* b, double eps) {
  const double delta = eps * static_cast<double>(at_most(a[2], b[2]) + at_most(a[3], b[3])) * 0.5;
  return near(a[0], b[0], delta) && near(a[1], b[1], delta) &&
         near(int64_t{a[0]} + a[2], int64_t{b[0]} + b[2], delta) &&
         near(int64_t{a[1]} + a[3], int64_t{b[1]} + b[3], delta);
}

EINKORN_INLINE int32_t find_root(int32_t* parent, int32_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

EINKORN_INLINE int64_t mean(int64_t sum, float share) {
  return static_cast<int64_t>(__builtin_rintf(static_cast<float>(sum) * share));
}

// Whether a lies within b, widened, and b has more to say.
EINKORN_INLINE bool swallowed(const BoxGroup& a, const BoxGroup& b, double eps) {
  const int64_t dx = static_cast<int64_t>(__builtin_rint(static_cast<double>(b.width) * eps));
  const int64_t dy = static_cast<int64_t>(__builtin_rint(static_cast<double>(b.height) * eps));
  return a.x >= b.x - dx && a.y >= b.y - dy && a.x + a.width <= b.x + b.width + dx &&
         a.y + a.height <= b.y + b.height + dy && (b.boxes > (a.boxes > 3 ? a.boxes : 3) || a.boxes < 3);
}

}  // namespace

void group_rectangles(const GroupRectangles& k) {
  const auto [parent, label, groups] = carve<GroupParts>(k);
  for (int64_t i = 0; i < k.n; ++i) parent[i] = static_cast<int32_t>(i);
  for (int64_t i = 0; i < k.n; ++i) {
    const int32_t* box = k.boxes + 4 * k.order[i];
    const double reach = k.eps * (static_cast<double>(box[2]) + static_cast<double>(box[3])) * 0.5;
    for (int64_t j = i + 1; j < k.n; ++j) {
      const int32_t* other = k.boxes + 4 * k.order[j];
      if (static_cast<double>(int64_t{other[0]} - box[0]) > reach) break;
      if (!alike(box, other, k.eps)) continue;
      const int32_t a = find_root(parent, static_cast<int32_t>(k.order[i]));
      const int32_t b = find_root(parent, static_cast<int32_t>(k.order[j]));
      if (a < b)
        parent[b] = a;
      else
        parent[a] = b;
    }
  }
  int64_t n_groups = 0;
  for (int64_t i = 0; i < k.n; ++i) {  // a root is the first box of its group
    const int32_t root = find_root(parent, static_cast<int32_t>(i));
    if (root == i) {
      label[i] = static_cast<int32_t>(n_groups);
      groups[n_groups++] = {0, 0, 0, 0, 0};
    }
    BoxGroup& group = groups[label[root]];
    const int32_t* box = k.boxes + 4 * i;
    group = {group.x + box[0], group.y + box[1], group.width + box[2], group.height + box[3], group.boxes + 1};
  }
  int64_t strong = 0;
  for (int64_t i = 0; i < n_groups; ++i) {
    const BoxGroup g = groups[i];
    if (g.boxes <= k.min_neighbors) continue;
    const float share = 1.0f / static_cast<float>(g.boxes);
    groups[strong++] = {mean(g.x, share), mean(g.y, share), mean(g.width, share), mean(g.height, share), g.boxes};
  }
  int64_t count = 0;
  for (int64_t i = 0; i < strong; ++i) {
    bool kept = true;
    for (int64_t j = 0; kept && j < strong; ++j) kept = j == i || !swallowed(groups[i], groups[j], k.eps);
    if (!kept) continue;
    int32_t* out = k.out + 4 * count;
    out[0] = static_cast<int32_t>(groups[i].x);
    out[1] = static_cast<int32_t>(groups[i].y);
    out[2] = static_cast<int32_t>(groups[i].width);
    out[3] = static_cast<int32_t>(groups[i].height);
    k.neighbors[count++] = static_cast<int32_t>(groups[i].boxes);
  }
  *k.count = count;
}

}  // namespace einkorn::EINKORN_ISA
