// Maxima over windows that are told one by one, and values taken from and put to places of a plane.
//
// Windows of an adaptive or fractional pooling have no common size, so each comes as its range of rows, columns and slices. They
// overlap little and are small: a window is read where it lies.

#include <math.h>

#include "kernels/instantiate.h"
#include "kernels/pool/pool_rows.h"

namespace einkorn::EINKORN_ISA {

using namespace pooling;

namespace {

// Calls body(plane) for each of `planes` planes that cost `elements` each.
template <class Body>
EINKORN_INLINE void for_each_plane(const Workspace& ws, int64_t planes, int64_t elements, double cost,
                                   const Body& body) {
  const int64_t each = at_least(kPoolTask / (elements + 1), 1);
  parallel_for(ws, divide_up(planes, each), cost * static_cast<double>((elements + 1) * each), [&](int64_t task, int) {
    for (int64_t p = task * each; p < at_most((task + 1) * each, planes); ++p) body(p);
  });
}

EINKORN_INLINE Range window_at(const int32_t* begin, const int32_t* end, int64_t i, int64_t size) {
  return {at_least(begin[i], 0), at_most(end[i], size)};
}

}  // namespace

template <class T>
void window_max(const WindowMax<T>& k) {
  const int64_t plane = k.size[0] * k.size[1] * k.size[2], outputs = k.out_size[0] * k.out_size[1] * k.out_size[2];
  const int64_t row = k.out_size[0] + k.out_size[1] + k.out_size[2];
  for_each_plane(k.ws, k.planes, plane + outputs, 1.0, [&](int64_t p) {
    const int32_t* const begin = k.begin + (k.own_windows ? p * row : 0);
    const int32_t* const end = k.end + (k.own_windows ? p * row : 0);
    const T* const x = k.x + p * plane;
    T* out = k.out + p * outputs;
    int32_t* places = k.indices == nullptr ? nullptr : k.indices + p * outputs;
    for (int64_t od = 0; od < k.out_size[0]; ++od) {
      const Range d = window_at(begin, end, od, k.size[0]);
      for (int64_t oh = 0; oh < k.out_size[1]; ++oh) {
        const Range h = window_at(begin, end, k.out_size[0] + oh, k.size[1]);
        for (int64_t ow = 0; ow < k.out_size[2]; ++ow) {
          const Range w = window_at(begin, end, k.out_size[0] + k.out_size[1] + ow, k.size[2]);
          T largest = -static_cast<T>(INFINITY);
          int64_t place = -1;
          for (int64_t i = d.begin; i < d.end; ++i)
            for (int64_t j = h.begin; j < h.end; ++j) {
              const int64_t at = (i * k.size[1] + j) * k.size[2];
              for (int64_t c = w.begin; c < w.end; ++c) {
                const T value = x[at + c];
                if (place < 0 || value > largest || value != value) largest = value, place = at + c;
              }
            }
          *out++ = largest;
          if (places != nullptr) *places++ = static_cast<int32_t>(place);
        }
      }
    }
  });
}
EINKORN_INSTANTIATE(window_max, WindowMax)

template <class T>
void pool_gather(const PoolGather<T>& k) {
  for_each_plane(k.ws, k.planes, k.count, 0.7, [&](int64_t p) {
    const T* const x = k.x + p * k.size;
    const int32_t* const at = k.indices + p * k.count;
    T* const out = k.out + p * k.count;
    for (int64_t i = 0; i < k.count; ++i) out[i] = at[i] >= 0 && at[i] < k.size ? x[at[i]] : T(0);
  });
}
EINKORN_INSTANTIATE(pool_gather, PoolGather)

template <class T>
void pool_scatter(const PoolScatter<T>& k) {
  for_each_plane(k.ws, k.planes, k.count + k.size, 0.7, [&](int64_t p) {
    T* const out = k.out + p * k.size;
    const int32_t* const at = k.indices + p * k.count;
    const T* const x = k.x + p * k.count;
    for_vectors<T>(k.size, [&](int64_t i, int64_t n) { store_n(out + i, n, Vec<T>{}); });
    for (int64_t i = 0; i < k.count; ++i)
      if (at[i] >= 0 && at[i] < k.size) out[at[i]] = k.add ? out[at[i]] + x[i] : x[i];
  });
}
EINKORN_INSTANTIATE(pool_scatter, PoolScatter)

}  // namespace einkorn::EINKORN_ISA
