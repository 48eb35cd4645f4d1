#include "kernels/gather.h"

#include "bind/array.h"

namespace einkorn::bind_gather {

namespace {

// The layout of what lies beside the indexed axis, in which all arrays are alike.
Layout<3> lanes_of(const char* op, const Array& first, const Array& second, const Array& index, int64_t axis) {
  if (axis < 0 || axis >= index.ndim) throw py::value_error(std::string(op) + ": axis is out of range");
  Array lanes[3] = {first, second, index};
  for (Array& a : lanes) {
    if (a.ndim != index.ndim) throw py::value_error(std::string(op) + ": all arrays must have one rank");
    for (int d = static_cast<int>(axis); d + 1 < a.ndim; ++d) {
      a.shape[d] = a.shape[d + 1];
      a.strides[d] = a.strides[d + 1];
    }
    --a.ndim;
  }
  return merged_layout<3>({&lanes[0], &lanes[1], &lanes[2]});
}

void require_length(const char* op, const char* name, const Array& a, const Array& index, int64_t axis) {
  if (a.shape[axis] != index.shape[axis])
    throw py::value_error(std::string(op) + ": index and " + name + " must be of one length along the axis");
}

}  // namespace

EINKORN_BINDINGS(gather, m) {
  m.def(
      "gather",
      [](const Array& out, const Array& x, const Array& index, int64_t axis) {
        const Layout<3> lanes = lanes_of("gather", out, x, index, axis);
        require_length("gather", "out", out, index, axis);
        by_dtype(out, [&]<class T>() {
          run(&GatherKernels<T>::gather,
              {out.strided_out<T>("out"), x.strided<T>("x"), index.strided<int64_t>("index"), lanes, index.shape[axis],
               x.shape[axis], out.strides[axis], x.strides[axis], index.strides[axis], workspace()});
        });
      },
      "out"_a, "x"_a, "index"_a, "axis"_a);

  m.def(
      "scatter",
      [](const Array& out, const Array& src, const Array& index, int64_t axis, int64_t mode) {
        const Layout<3> lanes = lanes_of("scatter", out, src, index, axis);
        require_length("scatter", "src", src, index, axis);
        if (mode < 0 || mode > static_cast<int>(ScatterMode::smaller))
          throw py::value_error("scatter: mode must be 0 to 4");
        by_dtype(out, [&]<class T>() {
          run(&GatherKernels<T>::scatter,
              {out.strided_out<T>("out"), src.strided<T>("src"), index.strided<int64_t>("index"), lanes,
               index.shape[axis], out.shape[axis], out.strides[axis], src.strides[axis], index.strides[axis],
               static_cast<ScatterMode>(mode), workspace()});
        });
      },
      "out"_a, "src"_a, "index"_a, "axis"_a, "mode"_a);
}

}  // namespace einkorn::bind_gather
