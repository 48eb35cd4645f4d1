#include "kernels/resample/resample.h"

#include "bind/array.h"

namespace einkorn::bind_resample {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

// Taps along one direction, which must lie inside; -1 is none.
void check_table(const Array& index, const Array& weights, int64_t size, int64_t out_size, int64_t& taps) {
  require(static_cast<bool>(index) == static_cast<bool>(weights), "a table needs indices and weights");
  taps = 0;
  if (!index) {
    require(size == out_size, "without a table the size stays");
    return;
  }
  require(index.ndim == 2 && weights.ndim == 2 && index.shape[0] == weights.shape[0] && index.shape[1] == out_size &&
              weights.shape[1] == out_size,
          "tables must be [taps, outputs]");
  taps = index.shape[0];
  const int32_t* at = index.in<int32_t>("table");
  for (int64_t i = 0; i < index.size(); ++i) require(at[i] >= -1 && at[i] < size, "a tap lies outside the image");
}

GridShape grid_shape(const Array& x, const Array& out, const Array& grid, int64_t mode, int64_t padding, bool align) {
  require(x.ndim == 5 && out.ndim == 5 && grid.ndim == 5, "grid sampling takes 5-d arrays");
  const int64_t dims = grid.shape[4];
  require((dims == 2 && x.shape[2] == 1 && out.shape[2] == 1) || dims == 3, "points have 2 or 3 coordinates");
  require(x.shape[0] == out.shape[0] && x.shape[0] == grid.shape[0] && x.shape[1] == out.shape[1] &&
              grid.shape[1] == out.shape[2] && grid.shape[2] == out.shape[3] && grid.shape[3] == out.shape[4],
          "shapes of image, grid and output do not fit together");
  require(mode >= 0 && mode <= (dims == 2 ? 2 : 1) && padding >= 0 && padding <= 2, "unknown mode or padding");
  return {x.shape[0],
          x.shape[1],
          x.shape[2],
          x.shape[3],
          x.shape[4],
          out.shape[2] * out.shape[3],
          out.shape[4],
          dims,
          static_cast<int>(mode),
          static_cast<int>(padding),
          align};
}

}  // namespace

EINKORN_BINDINGS(resample, m) {
  m.def(
      "resample",
      [](const Array& out, const Array& x, const Array& rows, const Array& row_weights, const Array& columns,
         const Array& column_weights) {
        require(out.ndim == 3 && x.ndim == 3 && out.shape[0] == x.shape[0],
                "resampling takes arrays [planes, height, width]");
        int64_t row_taps = 0, column_taps = 0;
        check_table(rows, row_weights, x.shape[1], out.shape[1], row_taps);
        check_table(columns, column_weights, x.shape[2], out.shape[2], column_taps);
        by_dtype(out, [&]<class T>() {
          const Resample<T> args = {out.out<T>("out"),
                                    x.in<T>("x"),
                                    rows.optional_in<int32_t>("rows"),
                                    row_weights.optional_in<T>("row_weights"),
                                    columns.optional_in<int32_t>("columns"),
                                    column_weights.optional_in<T>("column_weights"),
                                    x.shape[0],
                                    x.shape[1],
                                    x.shape[2],
                                    out.shape[1],
                                    out.shape[2],
                                    row_taps,
                                    column_taps,
                                    workspace()};
          run_in_scratch<ResampleParts<T>>(&ResampleKernels<T>::resample, args);
        });
      },
      "out"_a, "x"_a, "rows"_a.none(true), "row_weights"_a.none(true), "columns"_a.none(true),
      "column_weights"_a.none(true));

  m.def(
      "grid_sample_forward",
      [](const Array& out, const Array& x, const Array& grid, int64_t mode, int64_t padding, bool align) {
        const GridShape s = grid_shape(x, out, grid, mode, padding, align);
        by_dtype(out, [&]<class T>() {
          run(&ResampleKernels<T>::grid_sample_forward,
              {out.out<T>("out"), x.in<T>("x"), grid.in<T>("grid"), s, workspace()});
        });
      },
      "out"_a, "x"_a, "grid"_a, "mode"_a, "padding"_a, "align"_a);

  m.def(
      "grid_sample_backward",
      [](const Array& gx, const Array& ggrid, const Array& gy, const Array& x, const Array& grid, int64_t mode,
         int64_t padding, bool align) {
        const GridShape s = grid_shape(x, gy, grid, mode, padding, align);
        require(!gx || gx.size() == x.size(), "gx must have the shape of x");
        require(!ggrid || ggrid.size() == grid.size(), "ggrid must have the shape of grid");
        by_dtype(gy, [&]<class T>() {
          run(&ResampleKernels<T>::grid_sample_backward,
              {gx.optional_out<T>("gx"), ggrid.optional_out<T>("ggrid"), gy.in<T>("gy"), x.in<T>("x"),
               grid.in<T>("grid"), s, workspace()});
        });
      },
      "gx"_a.none(true), "ggrid"_a.none(true), "gy"_a, "x"_a, "grid"_a, "mode"_a, "padding"_a, "align"_a);
}

}  // namespace einkorn::bind_resample
