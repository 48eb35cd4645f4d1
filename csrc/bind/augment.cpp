#include "kernels/augment/augment.h"

#include "bind/array.h"

namespace einkorn::bind_augment {

namespace {

constexpr int64_t kMostPixels = int64_t{1} << 30;  // of an image: places are 32 bits

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

// The pictures of a call, and whether their types and shapes go together. `last`: their channels are the last axis.
Pictures pictures_of(const Array& out, const Array& x, bool may_widen, bool last = false) {
  require(out && x && out.ndim == 4 && x.ndim == 4, "pictures must be [images, channels, height, width]");
  const int channel = last ? 3 : 1, row = last ? 1 : 2;
  require(out.shape[0] == x.shape[0] && out.shape[channel] == x.shape[channel],
          "out and x must have as many images and channels");
  const bool bytes = x.dtype == DType::uint8, bytes_out = out.dtype == DType::uint8;
  if ((!bytes && x.dtype != DType::float32) || (!bytes_out && out.dtype != DType::float32) || (bytes_out && !bytes) ||
      (bytes != bytes_out && !may_widen))
    throw py::type_error("pictures must be uint8 or float32");
  for (const Array* a : {&out, &x}) {
    require(a->contiguous(), a == &x ? "argument 'x' must be C-contiguous" : "argument 'out' must be C-contiguous");
    require(a->size() == 0 ||
                (a->shape[1] < kMostPixels && a->shape[2] < kMostPixels && a->shape[3] < kMostPixels &&
                 a->shape[1] * a->shape[2] < kMostPixels && a->shape[1] * a->shape[2] * a->shape[3] < kMostPixels),
            "an image has too many pixels");
  }
  require(out.writeable, "argument 'out' is read-only");
  return {out.data, x.data, x.shape[0], x.shape[channel], x.shape[row], x.shape[row + 1], bytes, bytes_out};
}

void require_size(const Array& a, int64_t size, const char* message) {
  require(!a || a.size() == size, message);
}

void require_scale(const Array& scale, const Array& shift, const Pictures& p) {
  require(static_cast<bool>(scale) == static_cast<bool>(shift), "scale and shift come together");
  require_size(scale, p.channels, "scale must have an element for each channel");
  require_size(shift, p.channels, "shift must have an element for each channel");
}

void require_same(const Array& out, const Array& x) {
  require(out.shape[1] == x.shape[1] && out.shape[2] == x.shape[2] && out.shape[3] == x.shape[3],
          "out must have the shape of x");
}

bool overlap(const Array& out, const Array& x) {
  return out.data == x.data && out.size() > 0;
}

}  // namespace

EINKORN_BINDINGS(augment, m) {
  m.def(
      "augment_warp",
      [](const Array& out, const Array& x, const Array& matrix, const Array& window, const Array& field,
         const Array& fill, const Array& scale, const Array& shift, int64_t mode, int64_t border, int64_t taps) {
        const Pictures p = pictures_of(out, x, true);
        require(!overlap(out, x), "out must not be x");
        require(matrix.size() == p.images * 9, "matrix must have nine elements an image");
        require_size(window, p.images * 4, "window must have four elements an image");
        require_size(field, p.images * 2 * out.shape[2] * out.shape[3],
                     "field must be [images, 2, height, width] as out");
        require(fill.size() == p.channels, "fill must have an element for each channel");
        require_scale(scale, shift, p);
        require(mode >= 0 && mode <= 1 && border >= 0 && border <= 4, "unknown mode or border");
        require(taps == 0 || (taps > 0 && taps <= 8192 && border == 1 && mode == 0 && !field),
                "taps are for linear images whose edges go on");
        require(out.size() == 0 || (p.height > 0 && p.width > 0), "there is no image to read");
        const int32_t* const w = window.optional_in<int32_t>("window");
        const OnHost<int32_t> sides(w, p.images * 4);
        for (int64_t n = 0; w != nullptr && n < 4 * p.images; n += 4)
          require(sides[n] >= 0 && sides[n + 1] >= 0 && sides[n] < sides[n + 2] && sides[n + 1] < sides[n + 3] &&
                      sides[n + 2] <= p.width && sides[n + 3] <= p.height,
                  "a window leaves the image");
        run_in_scratch<WarpParts>(
            &AugmentIndexKernels::augment_warp,
            AugmentWarp{p, matrix.in<double>("matrix"), w, field.optional_in<float>("field"), fill.in<float>("fill"),
                        scale.optional_in<float>("scale"), shift.optional_in<float>("shift"), out.shape[2],
                        out.shape[3], taps, static_cast<int>(mode), static_cast<int>(border), workspace()});
      },
      "out"_a, "x"_a, "matrix"_a, "window"_a.none(true), "field"_a.none(true), "fill"_a, "scale"_a.none(true),
      "shift"_a.none(true), "mode"_a, "border"_a, "taps"_a);

  m.def(
      "augment_color",
      [](const Array& out, const Array& x, const Array& kinds, const Array& values, const Array& scale,
         const Array& shift, double limit, bool last) {
        const Pictures p = pictures_of(out, x, true, last);
        require_same(out, x);
        require(!overlap(out, x) || p.bytes == p.bytes_out, "out must not be x where types differ");
        require(kinds.ndim == 2 && values.ndim == 2 && kinds.shape[0] == p.images && values.shape[0] == p.images &&
                    kinds.shape[1] == values.shape[1] && kinds.shape[1] <= 1024,
                "kinds and values must be [images, steps]");
        require_scale(scale, shift, p);
        require(limit > 0 && limit <= 65536 && (!p.bytes || limit == 255), "limit out of range");
        const int32_t* const kind = kinds.in<int32_t>("kinds");
        const float* const value = values.in<float>("values");
        const OnHost<int32_t> named(kind, kinds.size());
        const OnHost<float> given(value, values.size());
        for (int64_t i = 0; i < kinds.size(); ++i) {
          require(named[i] >= 0 && named[i] <= 14, "unknown kind of step");
          require(named[i] != 4 || (given[i] >= -0.5f && given[i] <= 0.5f), "a hue turns by half a circle at most");
          require((named[i] != 5 && named[i] != 14) || (given[i] >= 0 && given[i] <= 8), "bits out of range");
        }
        run_in_scratch<ColorParts>(
            &AugmentIndexKernels::augment_color,
            AugmentColor{p, kind, value, scale.optional_in<float>("scale"), shift.optional_in<float>("shift"),
                         kinds.shape[1], static_cast<float>(limit), last, workspace()});
      },
      "out"_a, "x"_a, "kinds"_a, "values"_a, "scale"_a.none(true), "shift"_a.none(true), "limit"_a, "last"_a);

  m.def(
      "augment_filter",
      [](const Array& out, const Array& x, const Array& rows, const Array& columns, const Array& keep,
         const Array& gain, bool edges, double limit) {
        const Pictures p = pictures_of(out, x, false);
        require_same(out, x);
        require(!overlap(out, x), "out must not be x");
        require(rows.ndim == 2 && columns.ndim == 2 && rows.shape[0] == p.images && columns.shape[0] == p.images &&
                    rows.shape[1] % 2 == 1 && columns.shape[1] % 2 == 1 && rows.shape[1] <= 8191 &&
                    columns.shape[1] <= 8191,
                "rows and columns must be [images, odd number of taps]");
        require(keep.size() == p.images && gain.size() == p.images, "keep and gain must have an element an image");
        require(limit >= 0 && limit <= 65536, "limit out of range");
        run_in_scratch<FilterParts>(&AugmentIndexKernels::augment_filter,
                                    AugmentFilter{p, rows.in<float>("rows"), columns.in<float>("columns"),
                                                  keep.in<float>("keep"), gain.in<float>("gain"), rows.shape[1],
                                                  columns.shape[1], edges, static_cast<float>(limit), workspace()});
      },
      "out"_a, "x"_a, "rows"_a, "columns"_a, "keep"_a, "gain"_a, "edges"_a, "limit"_a);

  m.def(
      "augment_noise",
      [](const Array& out, const Array& x, const Array& rows, const Array& amount, const Array& salt, uint64_t seed,
         int64_t kind, double limit) {
        const Pictures p = pictures_of(out, x, false);
        require_same(out, x);
        require(rows.size() == p.images && amount.size() == p.images && salt.size() == p.images,
                "rows, amount and salt must have an element an image");
        require(kind >= 0 && kind <= 2, "unknown kind of noise");
        require(limit >= 0 && limit <= 65536 && (kind < 2 || limit > 0), "limit out of range");
        run(&AugmentIndexKernels::augment_noise,
            AugmentNoise{p, rows.in<int64_t>("rows"), amount.in<float>("amount"), salt.in<float>("salt"), seed,
                         static_cast<int>(kind), static_cast<float>(limit), workspace()});
      },
      "out"_a, "x"_a, "rows"_a, "amount"_a, "salt"_a, "seed"_a, "kind"_a, "limit"_a);

  m.def(
      "augment_erase",
      [](const Array& out, const Array& x, const Array& boxes, const Array& filler, const Array& values) {
        const Pictures p = pictures_of(out, x, false);
        require_same(out, x);
        require(boxes.size() == p.images * 4, "boxes must have four elements an image");
        require(values.size() == p.channels, "values must have an element for each channel");
        if (filler) {
          require(filler.dtype == x.dtype && filler.contiguous() && filler.ndim == 4, "filler must be as x");
          require_same(filler, x);
          require(filler.shape[0] == p.images && !overlap(out, filler), "filler must be as x, and not out");
        }
        const int32_t* const box = boxes.in<int32_t>("boxes");
        const OnHost<int32_t> sides(box, p.images * 4);
        for (int64_t n = 0; n < 4 * p.images; n += 4)
          require(sides[n] >= 0 && sides[n + 1] >= 0 && sides[n] <= sides[n + 2] && sides[n + 1] <= sides[n + 3] &&
                      sides[n + 2] <= p.width && sides[n + 3] <= p.height,
                  "a box leaves the image");
        run(&AugmentIndexKernels::augment_erase,
            AugmentErase{p, box, values.in<float>("values"), filler ? filler.data : nullptr, workspace()});
      },
      "out"_a, "x"_a, "boxes"_a, "filler"_a.none(true), "values"_a);

  m.def(
      "augment_mirror",
      [](const Array& out, const Array& x, const Array& across, const Array& down, bool last) {
        const Pictures p = pictures_of(out, x, false, last);
        require_same(out, x);
        require(!overlap(out, x), "out must not be x");
        require(across.size() == p.images && down.size() == p.images, "across and down must have an element an image");
        run(&AugmentIndexKernels::augment_mirror,
            AugmentMirror{p, across.in<uint8_t>("across"), down.in<uint8_t>("down"), last, workspace()});
      },
      "out"_a, "x"_a, "across"_a, "down"_a, "last"_a);
}

}  // namespace einkorn::bind_augment
