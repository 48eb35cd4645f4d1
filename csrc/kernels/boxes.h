// box_iou, box_nms: rectangles with sides along the axes, each given by its corners (left, top, right, bottom).
//
//   box_iou   out[i, j] = iou(a[i], b[j]),  iou = shared / either,  either = area + area - shared
//             or, of the smallest rectangle around both with area A, diagonal d, and r the distance of the middles:
//             iou - (A - either) / A   (generalized)   iou - r^2 / (d^2 + 1e-7)   (distance)
//   box_nms   keep[i] = 1 where no kept box before i in its group has an iou with it above the threshold, else 0
//
// Shapes      a [n, 4], b [m, 4], out [n, m]; boxes [n, 4] with groups one after the other, each from its most certain box
//             on, starts [groups + 1] rising from 0 to n. Zero sizes do nothing.
// Layout      C-contiguous.
// Aliasing    out and keep overlap nothing.
// NaN         a ratio of nothing by nothing is NaN, and so is what comes of coordinates that are NaN; NaN is not above a
//             threshold.
// Writes      all of out and keep.
// Determinism a row of out, and a group of boxes, belong to one task each.
// Cost        16 FLOPs a pair. box_nms compares a box with the kept ones before it, up to the first that covers it.

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

#define EINKORN_BOXES_KERNELS(X) \
  X(box_iou, BoxIou)             \
  X(box_nms, BoxNms)

EINKORN_FLOAT_TABLE(BoxesKernels, EINKORN_BOXES_KERNELS)

inline namespace EINKORN_ISA {

// Coordinates and areas one after the other, so that a vector holds the same of many boxes.
template <class T>
struct BoxParts {
  T *left, *top, *right, *bottom, *area;

  BoxParts(Carver& c, const BoxIou<T>& k) { take(c, k.m); }
  BoxParts(Carver& c, const BoxNms<T>& k) { take(c, k.n); }

 private:
  void take(Carver& c, int64_t count) {
    left = c.take<T>(count);
    top = c.take<T>(count);
    right = c.take<T>(count);
    bottom = c.take<T>(count);
    area = c.take<T>(count);
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
