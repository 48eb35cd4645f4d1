// copy, cast, fill on the GPU: one element a thread, neighbouring threads on neighbouring elements of out.

#include "kernels/copy.h"
#include "kernels/elementwise/elementwise_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T, class From>
struct Convert {
  T* out;
  const From* x;
  __device__ void operator()(const int64_t (&at)[2]) const { out[at[0]] = static_cast<T>(x[at[1]]); }
};

template <class T>
struct SetTo {
  T* out;
  T value;
  __device__ void operator()(const int64_t (&at)[1]) const { out[at[0]] = value; }
};

}  // namespace

template <class T>
void copy(const Copy<T>& k) {
  for_elements("copy", k.layout, Convert<T, T>{k.out, k.x});
}

template <class T>
void cast(const Cast<T>& k) {
  for_elements("cast", k.layout, Convert<T, typename OtherFloat<T>::type>{k.out, k.x});
}

template <class T>
void fill(const Fill<T>& k) {
  for_elements("fill", k.layout, SetTo<T>{k.out, k.value});
}

EINKORN_INSTANTIATE(copy, Copy)
EINKORN_INSTANTIATE(cast, Cast)
EINKORN_INSTANTIATE(fill, Fill)

}  // namespace einkorn::cuda
