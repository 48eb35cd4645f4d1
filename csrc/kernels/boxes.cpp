// box_iou, box_nms: one box against a vector of others.
//
// Suppression keeps the boxes it has kept in order, by coordinates, and asks of each box whether any of them covers it: boxes
// that fall are never looked at again, and most fall to one of the first. (Marking all that a kept box covers instead, as
// torchvision does, compares it with every later box.)

#include "kernels/boxes.h"

#include "kernels/instantiate.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCostOfPair = 0.4;  // ns
constexpr int64_t kBlock = 4;        // vectors between two looks at whether one covers the box

template <class T>
struct Box {
  T left, top, right, bottom, area;

  EINKORN_INLINE explicit Box(const T* p)
      : left(p[0]), top(p[1]), right(p[2]), bottom(p[3]), area((p[2] - p[0]) * (p[3] - p[1])) {}
};

template <class T>
EINKORN_INLINE void put(const BoxParts<T>& parts, int64_t at, const Box<T>& box) {
  parts.left[at] = box.left;
  parts.top[at] = box.top;
  parts.right[at] = box.right;
  parts.bottom[at] = box.bottom;
  parts.area[at] = box.area;
}

// A box and n others, from `at` on.
template <class T>
struct Pairs {
  Vec<T> left, top, right, bottom, shared, either;
  const Box<T>& box;

  EINKORN_INLINE Pairs(const Box<T>& one, const BoxParts<T>& parts, int64_t at, int64_t n)
      : left(load_n(parts.left + at, n)),
        top(load_n(parts.top + at, n)),
        right(load_n(parts.right + at, n)),
        bottom(load_n(parts.bottom + at, n)),
        box(one) {
    const Vec<T> none = {};
    const Vec<T> wide = minimum(right, broadcast(box.right)) - maximum(left, broadcast(box.left));
    const Vec<T> high = minimum(bottom, broadcast(box.bottom)) - maximum(top, broadcast(box.top));
    shared = maximum(wide, none) * maximum(high, none);
    either = load_n(parts.area + at, n) + box.area - shared;
  }

  EINKORN_INLINE Vec<T> wide_around() const {
    return maximum(right, broadcast(box.right)) - minimum(left, broadcast(box.left));
  }
  EINKORN_INLINE Vec<T> high_around() const {
    return maximum(bottom, broadcast(box.bottom)) - minimum(top, broadcast(box.top));
  }

  EINKORN_INLINE Vec<T> ratio(BoxRatio kind) const {
    const Vec<T> plain = shared / either;
    if (kind == BoxRatio::plain) return plain;
    const Vec<T> wide = wide_around(), high = high_around();
    if (kind == BoxRatio::generalized) {
      const Vec<T> around = wide * high;
      return plain - (around - either) / around;
    }
    const Vec<T> dx = (left + right - (box.left + box.right)) * (T)0.5;
    const Vec<T> dy = (top + bottom - (box.top + box.bottom)) * (T)0.5;
    return plain - (dx * dx + dy * dy) / (wide * wide + high * high + (T)1e-7);
  }
};

// Whether one of the boxes [begin, end) of the parts covers the box by more than the threshold.
template <class T>
EINKORN_INLINE bool is_covered(const Box<T>& box, const BoxParts<T>& parts, int64_t begin, int64_t end, T threshold) {
  Vec<T> most = broadcast(threshold);
  int64_t since = 0;
  bool covered = false;
  for (int64_t at = begin; at < end && !covered; at += kLanes<T>) {
    const int64_t left = end - at;
    const Vec<T> ratio = Pairs<T>(box, parts, at, left < kLanes<T> ? left : kLanes<T>).ratio(BoxRatio::plain);
    // lanes past the end hold zeros: a box of no size at the origin
    most = ratio > most ? ratio : most;
    if (++since == kBlock || left <= kLanes<T>) {
      since = 0;
      covered = max_lanes<T>(most) > threshold;
    }
  }
  return covered;
}

}  // namespace

template <class T>
void box_iou(const BoxIou<T>& k) {
  if (k.n == 0 || k.m == 0) return;
  const BoxParts<T> parts = carve<BoxParts<T>>(k);
  for (int64_t j = 0; j < k.m; ++j) put(parts, j, Box<T>(k.b + 4 * j));
  parallel_for(k.ws, k.n, static_cast<double>(k.m) * kCostOfPair, [&](int64_t i, int) {
    const Box<T> box(k.a + 4 * i);
    T* const row = k.out + i * k.m;
    for_vectors<T>(k.m, [&](int64_t j, int64_t n) { store_n(row + j, n, Pairs<T>(box, parts, j, n).ratio(k.ratio)); });
  });
}

template <class T>
void box_nms(const BoxNms<T>& k) {
  if (k.n == 0) return;
  const BoxParts<T> parts = carve<BoxParts<T>>(k);
  const double each = static_cast<double>(k.n) / static_cast<double>(k.groups);
  parallel_for(k.ws, k.groups, each * each * 0.1 * kCostOfPair, [&](int64_t group, int) {
    const int64_t begin = k.starts[group];
    int64_t end = begin;  // of the kept ones, which take the group's own places in the parts
    for (int64_t i = begin; i < k.starts[group + 1]; ++i) {
      const Box<T> box(k.boxes + 4 * i);
      const bool kept = !is_covered(box, parts, begin, end, static_cast<T>(k.threshold));
      k.keep[i] = kept;
      if (kept) put(parts, end++, box);
    }
  });
}

EINKORN_INSTANTIATE(box_iou, BoxIou)
EINKORN_INSTANTIATE(box_nms, BoxNms)

}  // namespace einkorn::EINKORN_ISA
