#include "kernels/cast.h"

#include "bind/array.h"

namespace einkorn::bind_cast {

EINKORN_BINDINGS(cast, m) {
  m.def(
      "widen_bf16",
      [](const Array& out, const Array& x) {
        const Layout<2> layout = merged_layout<2>({&out, &x});
        by_dtype(out, [&]<class T>() {
          run(&CastKernels<T>::widen_bf16, {out.strided_out<T>("out"), x.strided<uint16_t>("x"), layout, workspace()});
        });
      },
      "out"_a, "x"_a);

  m.def(
      "narrow_bf16",
      [](const Array& out, const Array& x) {
        const Layout<2> layout = merged_layout<2>({&out, &x});
        by_dtype(x, [&]<class T>() {
          run(&CastKernels<T>::narrow_bf16, {out.strided_out<uint16_t>("out"), x.strided<T>("x"), layout, workspace()});
        });
      },
      "out"_a, "x"_a);
}

}  // namespace einkorn::bind_cast
