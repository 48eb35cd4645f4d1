// Rows in order of every feature: a radix sort (radix_sort.h), one feature a task.

#include "kernels/instantiate.h"
#include "kernels/radix_sort.h"
#include "kernels/stump/stump.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
void sort_feature(const Presort<T>& k, int64_t f, const PresortColumn<T>& own) {
  const int64_t rows = k.rows;
  Key<T>* keys = reinterpret_cast<Key<T>*>(own.keys[0]);
  Key<T>* other = reinterpret_cast<Key<T>*>(own.keys[1]);
  int32_t* place = own.place[0];
  int32_t* other_place = own.place[1];
  const T* x = k.x + f * k.feature_stride;
  T* column = k.columns + f * rows;
  int64_t missing = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const T value = x[i * k.row_stride];
    column[i] = value;
    keys[i] = to_key(value);
    place[i] = static_cast<int32_t>(i);
    missing += value != value;
  }
  radix_sort<T>(keys, other, place, other_place, rows);
  int32_t* order = k.order + f * rows;
  for (int64_t i = 0; i + 1 < rows; ++i)
    order[i] = place[i] | (keys[i] != keys[i + 1] ? static_cast<int32_t>(0x80000000) : 0);
  if (rows > 0) order[rows - 1] = place[rows - 1];
  k.missing[f] = missing;
}

}  // namespace

template <class T>
void presort(const Presort<T>& k) {
  const auto columns = carve<PresortParts<T>>(k).columns;
  parallel_for(k.ws, k.features, 10.0 * static_cast<double>(k.rows) + 5000,
               [&](int64_t f, int slot) { sort_feature(k, f, columns[slot]); });
}

EINKORN_INSTANTIATE(presort, Presort)

}  // namespace einkorn::EINKORN_ISA
