#include "kernels/matmul_bf16.h"

#include "bind/product.h"

namespace einkorn::bind_matmul_bf16 {

namespace {

// An array of bfloat16 (as uint16) or float32, or null.
HalfOrFloat half_or_float(const Array& x, const char* name) {
  if (x.dtype == DType::uint16) return {const_cast<char*>(static_cast<const char*>(x.data)), 2};
  return {reinterpret_cast<char*>(const_cast<float*>(x.optional_in<float>(name))), 4};
}

}  // namespace

EINKORN_BINDINGS(matmul_bf16, m) {
  m.def(
      "matmul_bf16",
      [](const Array& out, const Array& a, const Array& b, const Array& bias, double alpha, double beta,
         int activation) {
        MatmulBf16 x{};
        x.out = half_or_float(out, "out");
        x.bias = half_or_float(bias, "bias");
        if (out.dtype == DType::uint16)
          out.out<uint16_t>("out");
        else
          out.out<float>("out");
        x.a = a.strided<uint16_t>("a");
        x.b = b.strided<uint16_t>("b");
        if (bias.dtype == DType::uint16) bias.in<uint16_t>("bias");
        if (!lay_out("matmul_bf16", x, out, a, b, bias, alpha, beta, activation)) return;
        if (x.m > 1 && x.n == 1) swap_operands(x);  // a column vector is a row vector the other way round
        run_in_scratch<MatmulBf16Parts>(&MatmulBf16Kernels::matmul_bf16, x);
      },
      "out"_a, "a"_a, "b"_a, "bias"_a.none(true), "alpha"_a, "beta"_a, "activation"_a);
}

}  // namespace einkorn::bind_matmul_bf16
