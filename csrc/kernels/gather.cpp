// gather, scatter. Both walk rows along the nearest axis of memory:
//
//   the near axis is a lane, one index for all of it   whole rows, by vectors      rows of a table
//   the near axis is a lane, an index each             element by element
//   the near axis is the indexed one                   element by element          places of a flat array
//
// scatter cuts lanes into blocks of about kTaskElements elements of src, a whole number of cache lines wide, and takes a
// block's indices in order: no two tasks write to one line of a contiguous out, and none waits for another.

#include "kernels/gather.h"

#include <math.h>

#include "kernels/instantiate.h"
#include "kernels/rows.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.2, kCostOfOne = 1.0;  // ns an element, by vectors and one by one
constexpr int64_t kLine = 16;

EINKORN_INLINE int64_t distance(int64_t step) {
  return step < 0 ? -step : step;
}

// The place that an index means, or -1.
EINKORN_INLINE int64_t place(int64_t index, int64_t size) {
  const int64_t from_start = index < 0 ? index + size : index;
  return from_start >= 0 && from_start < size ? from_start : -1;
}

struct Set {
  template <class V>
  static V of(V, V b) {
    return b;
  }
};
struct Add {
  template <class V>
  static V of(V a, V b) {
    return a + b;
  }
};
struct Multiply {
  template <class V>
  static V of(V a, V b) {
    return a * b;
  }
};
struct Larger {
  template <class V>
  static V of(V a, V b) {
    const V larger = b > a ? b : a;
    return b != b ? b : larger;
  }
};
struct Smaller {
  template <class V>
  static V of(V a, V b) {
    const V smaller = b < a ? b : a;
    return b != b ? b : smaller;
  }
};

template <class Mode, class T>
void scatter_as(const Scatter<T>& k) {
  const int near = k.lanes.ndim - 1;
  const int64_t width = k.lanes.shape[near];
  const int64_t out_near = k.lanes.strides[0][near], src_near = k.lanes.strides[1][near],
                index_near = k.lanes.strides[2][near];
  int64_t outer = 1;
  for (int d = 0; d < near; ++d) outer *= k.lanes.shape[d];
  if (outer * width * k.n == 0) return;
  const bool rows = index_near == 0 && out_near == 1 && src_near == 1;
  const bool lane_by_lane = width == 1 || distance(k.src_step) < distance(src_near);

  int64_t block = kTaskElements / k.n / kLine * kLine;
  block = block < kLine ? kLine : block;
  block = block < width ? block : width;
  const int64_t across = (width + block - 1) / block, units = outer * across;
  const int64_t units_each = block * k.n < kTaskElements ? kTaskElements / (block * k.n) : 1;
  const int64_t tasks = (units + units_each - 1) / units_each;
  const double cost = (rows ? kCost : kCostOfOne) * static_cast<double>(block * k.n * units_each);

  parallel_for(k.ws, tasks, cost, [&](int64_t task, int) {
    const int64_t end = (task + 1) * units_each < units ? (task + 1) * units_each : units;
    for (int64_t unit = task * units_each; unit < end; ++unit) {
      const int64_t begin = unit % across * block, n = width - begin < block ? width - begin : block;
      T* out = k.out + begin * out_near;
      const T* src = k.src + begin * src_near;
      const int64_t* index = k.index + begin * index_near;
      int64_t rest = unit / across;
      for (int d = near - 1; d >= 0; --d) {
        const int64_t at = rest % k.lanes.shape[d];
        rest /= k.lanes.shape[d];
        out += at * k.lanes.strides[0][d];
        src += at * k.lanes.strides[1][d];
        index += at * k.lanes.strides[2][d];
      }
      if (rows) {
        for (int64_t j = 0; j < k.n; ++j) {
          const int64_t to = place(index[j * k.index_step], k.size);
          if (to < 0) continue;
          T* const o = out + to * k.out_step;
          const T* const p = src + j * k.src_step;
          for_vectors<T>(n, [&](int64_t i, int64_t m) {
            store_n(o + i, m, Mode::template of<Vec<T>>(load_n(o + i, m), load_n(p + i, m)));
          });
        }
        continue;
      }
      const int64_t lanes_at_once = lane_by_lane ? 1 : n;
      for (int64_t first = 0; first < n; first += lanes_at_once)
        for (int64_t j = 0; j < k.n; ++j)
          for (int64_t i = first; i < first + lanes_at_once; ++i) {
            const int64_t to = place(index[j * k.index_step + i * index_near], k.size);
            if (to < 0) continue;
            T& o = out[to * k.out_step + i * out_near];
            o = Mode::template of<T>(o, src[j * k.src_step + i * src_near]);
          }
    }
  });
}

}  // namespace

template <class T>
void gather(const Gather<T>& k) {
  // The indexed axis joins the lanes: as the nearest one where its elements lie nearer in out than those of a lane.
  Layout<3> all = k.lanes;
  const int last = all.ndim - 1;
  const bool axis_near = all.shape[last] == 1 || distance(k.out_step) < distance(all.strides[0][last]);
  const int axis = axis_near ? last + 1 : last;
  all.ndim = last + 2;
  if (!axis_near) {
    all.shape[last + 1] = all.shape[last];
    for (int d = 0; d < 3; ++d) all.strides[d][last + 1] = all.strides[d][last];
  }
  all.shape[axis] = k.n;
  all.strides[0][axis] = k.out_step;
  all.strides[1][axis] = 0;
  all.strides[2][axis] = k.index_step;

  const int near = all.ndim - 1;
  const int64_t out_near = all.strides[0][near], x_near = all.strides[1][near], index_near = all.strides[2][near];
  const bool rows = index_near == 0 && out_near == 1 && x_near == 1;
  for_rows(k.ws, all, rows ? kCost : kCostOfOne, [&](const int64_t* offset, int64_t size) {
    T* const out = k.out + offset[0];
    const T* const x = k.x + offset[1];
    const int64_t* const index = k.index + offset[2];
    const int64_t from = place(*index, k.size);
    if (rows && from >= 0) {
      const T* const p = x + from * k.x_step;
      for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(out + i, n, load_n(p + i, n)); });
      return;
    }
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = place(index[i * index_near], k.size);
      out[i * out_near] = at < 0 ? static_cast<T>(NAN) : x[at * k.x_step + i * x_near];
    }
  });
}

template <class T>
void scatter(const Scatter<T>& k) {
  switch (k.mode) {
    case ScatterMode::set:
      return scatter_as<Set>(k);
    case ScatterMode::add:
      return scatter_as<Add>(k);
    case ScatterMode::multiply:
      return scatter_as<Multiply>(k);
    case ScatterMode::larger:
      return scatter_as<Larger>(k);
    case ScatterMode::smaller:
      return scatter_as<Smaller>(k);
  }
}

EINKORN_INSTANTIATE(gather, Gather)
EINKORN_INSTANTIATE(scatter, Scatter)

}  // namespace einkorn::EINKORN_ISA
