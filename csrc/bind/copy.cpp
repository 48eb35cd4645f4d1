#include "kernels/copy.h"

#include "bind/array.h"

namespace einkorn::bind_copy {

EINKORN_BINDINGS(copy, m) {
  m.def(
      "copy",
      [](const Array& out, const Array& x) {
        const Layout<2> layout = merged_layout<2>({&out, &x});
        by_dtype(out, [&]<class T>() {
          if (x.dtype == out.dtype) {
            run(&CopyKernels<T>::copy, {out.strided_out<T>("out"), x.strided<T>("x"), layout, workspace()});
          } else {
            using Other = typename OtherFloat<T>::type;
            run(&CopyKernels<T>::cast, {out.strided_out<T>("out"), x.strided<Other>("x"), layout, workspace()});
          }
        });
      },
      "out"_a, "x"_a);

  m.def(
      "fill",
      [](const Array& out, double value) {
        const Layout<1> layout = merged_layout<1>({&out});
        by_dtype(out, [&]<class T>() {
          run(&CopyKernels<T>::fill, {out.strided_out<T>("out"), layout, static_cast<T>(value), workspace()});
        });
      },
      "out"_a, "value"_a);
}

}  // namespace einkorn::bind_copy
