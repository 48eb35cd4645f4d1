#include "kernels/boxes.h"

#include "bind/array.h"

namespace einkorn::bind_boxes {

namespace {

void require_corners(const char* op, const char* name, const Array& boxes) {
  if (boxes.ndim != 2 || boxes.shape[1] != 4) throw py::value_error(std::string(op) + ": " + name + " must be [n, 4]");
}

void require_rising(const char* op, const int64_t* starts, int64_t groups, int64_t n) {
  bool rising = starts[0] == 0 && starts[groups] == n;
  for (int64_t g = 0; g < groups; ++g) rising = rising && starts[g] <= starts[g + 1];
  if (!rising) throw py::value_error(std::string(op) + ": starts must rise from 0 to n");
}

}  // namespace

EINKORN_BINDINGS(boxes, m) {
  m.def(
      "box_iou",
      [](const Array& out, const Array& a, const Array& b, int64_t ratio) {
        require_corners("box_iou", "a", a);
        require_corners("box_iou", "b", b);
        if (out.size() != a.shape[0] * b.shape[0]) throw py::value_error("box_iou: out must be [n, m]");
        if (ratio < 0 || ratio > static_cast<int>(BoxRatio::distance))
          throw py::value_error("box_iou: ratio must be 0 to 2");
        by_dtype(out, [&]<class T>() {
          run_in_scratch<BoxParts<T>>(&BoxesKernels<T>::box_iou,
                                      {out.out<T>("out"), a.in<T>("a"), b.in<T>("b"), a.shape[0], b.shape[0],
                                       static_cast<BoxRatio>(ratio), workspace()});
        });
      },
      "out"_a, "a"_a, "b"_a, "ratio"_a);

  m.def(
      "box_nms",
      [](const Array& keep, const Array& boxes, const Array& starts, double threshold) {
        require_corners("box_nms", "boxes", boxes);
        const int64_t n = boxes.shape[0], groups = starts.size() - 1;
        if (keep.size() != n || groups < 1)
          throw py::value_error("box_nms: keep must be [n], starts [groups + 1] with at least one group");
        const OnHost<int64_t> places(starts.in<int64_t>("starts"), groups + 1);
        require_rising("box_nms", &places[0], groups, n);
        by_dtype(boxes, [&]<class T>() {
          run_in_scratch<BoxParts<T>>(&BoxesKernels<T>::box_nms,
                                      {keep.out<int64_t>("keep"), boxes.in<T>("boxes"), starts.in<int64_t>("starts"), n,
                                       groups, threshold, workspace()});
        });
      },
      "keep"_a, "boxes"_a, "starts"_a, "threshold"_a);

  m.def(
      "box_soft_nms",
      [](const Array& order, const Array& scores_out, const Array& boxes, const Array& scores, const Array& starts,
         double threshold, double sigma, double least, bool gaussian) {
        require_corners("box_soft_nms", "boxes", boxes);
        const int64_t n = boxes.shape[0], groups = starts.size() - 1;
        if (order.size() != n || scores_out.size() != n || scores.size() != n || groups < 1)
          throw py::value_error(
              "box_soft_nms: order, scores_out and scores must be [n], starts [groups + 1] with at least one group");
        if (!(sigma > 0)) throw py::value_error("box_soft_nms: sigma must be positive");
        const OnHost<int64_t> places(starts.in<int64_t>("starts"), groups + 1);
        require_rising("box_soft_nms", &places[0], groups, n);
        by_dtype(boxes, [&]<class T>() {
          run_in_scratch<SoftBoxParts<T>>(&BoxesKernels<T>::box_soft_nms,
                                          {order.out<int64_t>("order"), scores_out.out<T>("scores_out"),
                                           boxes.in<T>("boxes"), scores.in<T>("scores"), starts.in<int64_t>("starts"),
                                           n, groups, threshold, sigma, least, gaussian, workspace()});
        });
      },
      "order"_a, "scores_out"_a, "boxes"_a, "scores"_a, "starts"_a, "threshold"_a, "sigma"_a, "least"_a, "gaussian"_a);
}

}  // namespace einkorn::bind_boxes
