// box_iou, box_nms, box_soft_nms: one box against a vector of others.
//
// Suppression keeps the boxes it has kept in order, by coordinates, and asks of each box whether any of them covers it: boxes
// that fall are never looked at again, and most fall to one of the first. (Marking all that a kept box covers instead, as
// torchvision does, compares it with every later box.)
//
// Lowering scores is a pass for each box that is taken, over those that are left: their scores, the highest in each lane, and then a
// scan for the first that has it. A box that was taken or fell has the score minus infinity, and every kPasses passes those are
// moved out of the way.

#include "kernels/boxes.h"

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/math.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCostOfPair = 0.4;  // ns
constexpr int64_t kBlock = 4;        // vectors between two looks at whether one covers the box
constexpr int64_t kPasses = 32;      // of soft suppression before gaps are closed

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

template <class T>
constexpr T kGone = -static_cast<T>(__builtin_inf());

// Closes the gaps of [begin, end) and gives the new end.
template <class T>
EINKORN_INLINE int64_t close_gaps(const SoftBoxParts<T>& parts, int64_t begin, int64_t end) {
  T* const all[] = {parts.left, parts.top, parts.right, parts.bottom, parts.area, parts.score};
  int64_t to = begin;
  for (int64_t from = begin; from < end; ++from) {
    if (parts.score[from] == kGone<T>) continue;
    for (T* const part : all) part[to] = part[from];
    parts.place[to++] = parts.place[from];
  }
  return to;
}

// Multiplies the scores of [begin, end) by what the box leaves of them; the highest that comes of it.
template <class T>
EINKORN_INLINE T lower_scores(const BoxSoftNms<T>& k, const SoftBoxParts<T>& parts, const Box<T>& box, int64_t begin,
                              int64_t end) {
  const T threshold = static_cast<T>(k.threshold), least = static_cast<T>(k.least);
  const Vec<T> gone = broadcast(kGone<T>), one = broadcast<T>(1), over = broadcast(static_cast<T>(-1 / k.sigma));
  Vec<T> most = gone;
  for_vectors<T>(end - begin, [&](int64_t i, int64_t n) {
    const int64_t at = begin + i;
    const Vec<T> iou = Pairs<T>(box, parts, at, n).ratio(BoxRatio::plain);
    const Vec<T> factor = k.gaussian ? EINKORN_ISA::exp(iou * iou * over) : iou > threshold ? one - iou : one;
    const Vec<T> old = load_n(parts.score + at, n), lowered = old * (factor == factor ? factor : one);
    const Vec<T> score = (lowered >= least) & (old > gone) & first_lanes<T>(n) ? lowered : gone;
    store_n(parts.score + at, n, score);
    most = maximum(most, score);
  });
  return max_lanes<T>(most);
}

template <class T>
EINKORN_INLINE int64_t first_of(const T* scores, int64_t begin, int64_t end, T value) {
  for (int64_t at = begin; at < end; at += kLanes<T>) {
    const int64_t n = end - at < kLanes<T> ? end - at : kLanes<T>;
    const uint64_t bits = bits_of_lanes<T>((load_n(scores + at, n) == value) & first_lanes<T>(n));
    if (bits != 0) return at + __builtin_ctzll(bits);
  }
  return begin;  // not reached: the value is one of them
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

template <class T>
void box_soft_nms(const BoxSoftNms<T>& k) {
  if (k.n == 0) return;
  const SoftBoxParts<T> parts = carve<SoftBoxParts<T>>(k);
  const double each = static_cast<double>(k.n) / static_cast<double>(k.groups);
  parallel_for(k.ws, k.groups, each * each * kCostOfPair, [&](int64_t group, int) {
    const int64_t begin = k.starts[group];
    int64_t end = begin, taken = begin;
    T most = kGone<T>;
    for (int64_t i = begin; i < k.starts[group + 1]; ++i) {
      const T score = k.scores[i];
      k.order[i] = -1;
      k.scores_out[i] = 0;
      if (!(score >= static_cast<T>(k.least)) || score == kGone<T>) continue;
      put(parts, end, Box<T>(k.boxes + 4 * i));
      parts.score[end] = score;
      parts.place[end++] = i;
      most = score > most ? score : most;
    }
    for (int64_t pass = 1; most > kGone<T>; ++pass) {
      const int64_t best = first_of(parts.score, begin, end, most);
      const Box<T> box(k.boxes + 4 * parts.place[best]);
      k.order[taken] = parts.place[best];
      k.scores_out[taken++] = most;
      parts.score[best] = kGone<T>;
      if (pass % kPasses == 0) end = close_gaps(parts, begin, end);
      most = lower_scores(k, parts, box, begin, end);
    }
  });
}

EINKORN_INSTANTIATE(box_iou, BoxIou)
EINKORN_INSTANTIATE(box_nms, BoxNms)
EINKORN_INSTANTIATE(box_soft_nms, BoxSoftNms)

}  // namespace einkorn::EINKORN_ISA
