// box_iou, box_nms, box_soft_nms: rectangles with sides along the axes, each given by its corners (left, top, right, bottom).
//
//   box_iou   out[i, j] = iou(a[i], b[j]),  iou = shared / either,  either = area + area - shared
//             or, of the smallest rectangle around both with area A, diagonal d, and r the distance of the middles:
//             iou - (A - either) / A   (generalized)   iou - r^2 / (d^2 + 1e-7)   (distance)
//   box_nms   keep[i] = 1 where no kept box before i in its group has an iou with it above the threshold, else 0
//   box_soft_nms  takes, in each group, the box of the highest score, among equals the first, and multiplies the scores of the others by
//             exp(-iou^2 / sigma)   (gaussian)   1 - iou where iou > threshold   (linear)
//             until no score reaches least. order[starts[g] + j] is the place of the j-th box taken and scores_out its score then; where
//             no box was left they are -1 and 0.
//
// Shapes      a [n, 4], b [m, 4], out [n, m]; boxes [n, 4] with groups one after the other, each from its most certain box
//             on, starts [groups + 1] rising from 0 to n; box_soft_nms takes groups in any order, and order, scores_out, scores [n]. Zero
//             sizes do nothing.
// Layout      C-contiguous.
// Aliasing    out, keep, order and scores_out overlap nothing.
// NaN         a ratio of nothing by nothing is NaN, and so is what comes of coordinates that are NaN; NaN is not above a
//             threshold. A score that is NaN or minus infinity is never taken, a factor that is NaN is 1.
// Writes      all of out, keep, order and scores_out.
// Determinism a row of out, and a group of boxes, belong to one task each.
// Cost        16 FLOPs a pair. box_nms compares a box with the kept ones before it, up to the first that covers it; box_soft_nms
//             compares each box that it takes with those still left, 16 FLOPs a pair and an exponential.

#pragma once

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

enum class BoxRatio : int { plain, generalized, distance };

template <class T>
struct BoxIou {
  T* out;
  const T* a;
  const T* b;
  int64_t n, m;
  BoxRatio ratio;
  Workspace ws;  // scratch: BoxParts
};

template <class T>
struct BoxNms {
  int64_t* keep;
  const T* boxes;
  const int64_t* starts;
  int64_t n, groups;
  double threshold;
  Workspace ws;  // scratch: BoxParts
};

template <class T>
struct BoxSoftNms {
  int64_t* order;
  T* scores_out;
  const T* boxes;
  const T* scores;
  const int64_t* starts;
  int64_t n, groups;
  double threshold, sigma, least;
  bool gaussian;
  Workspace ws;  // scratch: SoftBoxParts
};

#define EINKORN_BOXES_KERNELS(X) \
  X(box_iou, BoxIou)             \
  X(box_nms, BoxNms)             \
  X(box_soft_nms, BoxSoftNms)

EINKORN_FLOAT_TABLE(BoxesKernels, EINKORN_BOXES_KERNELS)

inline namespace EINKORN_ISA {

// Coordinates and areas one after the other, so that a vector holds the same of many boxes.
template <class T>
struct BoxParts {
  T *left, *top, *right, *bottom, *area;

  BoxParts(Carver& c, const BoxIou<T>& k) { take(c, k.m); }
  BoxParts(Carver& c, const BoxNms<T>& k) { take(c, k.n); }
  BoxParts(Carver& c, const BoxSoftNms<T>& k) { take(c, k.n); }

 private:
  void take(Carver& c, int64_t count) {
    left = c.take<T>(count);
    top = c.take<T>(count);
    right = c.take<T>(count);
    bottom = c.take<T>(count);
    area = c.take<T>(count);
  }
};

// Boxes that are still left, with their scores and places.
template <class T>
struct SoftBoxParts : BoxParts<T> {
  T* score;
  int64_t* place;

  SoftBoxParts(Carver& c, const BoxSoftNms<T>& k)
      : BoxParts<T>(c, k), score(c.take<T>(k.n)), place(c.take<int64_t>(k.n)) {}
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
