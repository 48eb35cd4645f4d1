#include "kernels/matmul_int8.h"

#include "bind/array.h"

namespace einkorn::bind_matmul_int8 {

namespace {

// The sizes of a matrix and of what has one entry for each of its rows.
template <class Args>
void lay_out(const char* op, Args& k, const Array& q, const Array& scale, const Array& x) {
  if (x.ndim != 2 || q.ndim != 2 || q.shape[0] != x.shape[0] || q.shape[1] != x.shape[1] || scale.size() != x.shape[0])
    throw py::value_error(std::string(op) + ": shapes do not fit");
  k.x = x.in<float>("x");
  k.scale = scale.out<float>("scale");
  k.rows = x.shape[0];
  k.columns = x.shape[1];
  k.ws = workspace();
}

}  // namespace

EINKORN_BINDINGS(matmul_int8, m) {
  m.def(
      "quantize_rows_u8",
      [](const Array& q, const Array& scale, const Array& zero, const Array& x) {
        QuantizeRowsU8 k{};
        lay_out("quantize_rows_u8", k, q, scale, x);
        if (zero.size() != k.rows) throw py::value_error("quantize_rows_u8: shapes do not fit");
        k.q = q.out<uint8_t>("q");
        k.zero = zero.out<int32_t>("zero");
        run(&MatmulInt8Kernels::quantize_rows_u8, k);
      },
      "q"_a, "scale"_a, "zero"_a, "x"_a);

  m.def(
      "quantize_rows_s8",
      [](const Array& q, const Array& scale, const Array& x) {
        QuantizeRowsS8 k{};
        lay_out("quantize_rows_s8", k, q, scale, x);
        k.q = q.out<int8_t>("q");
        run(&MatmulInt8Kernels::quantize_rows_s8, k);
      },
      "q"_a, "scale"_a, "x"_a);

  m.def(
      "matmul_int8",
      [](const Array& out, const Array& a, const Array& a_scale, const Array& a_zero, const Array& b,
         const Array& b_scale, const Array& b_sums, const Array& bias, int activation) {
        MatmulInt8 x{};
        if (out.ndim != 2 || a.ndim != 2 || b.ndim != 2)
          throw py::value_error("matmul_int8: out, a and b must be matrices");
        x.m = out.shape[0];
        x.n = out.shape[1];
        x.k = a.shape[1];
        if (a.shape[0] != x.m || b.shape[0] != x.n || b.shape[1] != x.k || a_scale.size() != x.m ||
            a_zero.size() != x.m || b_scale.size() != x.n || b_sums.size() != x.n || (bias && bias.size() != x.n))
          throw py::value_error("matmul_int8: shapes do not fit");
        if (x.k > kMostInt8Depth) throw py::value_error("matmul_int8: sums of more than 65536 products may overflow");
        x.out = out.out<float>("out");
        x.a = a.in<uint8_t>("a");
        x.a_scale = a_scale.in<float>("a_scale");
        x.a_zero = a_zero.in<int32_t>("a_zero");
        x.b = b.in<int8_t>("b");
        x.b_scale = b_scale.in<float>("b_scale");
        x.b_sums = b_sums.in<int32_t>("b_sums");
        x.bias = bias.optional_in<float>("bias");
        x.activation = static_cast<Activation>(activation);
        x.ws = workspace();
        run_in_scratch<MatmulInt8Parts>(&MatmulInt8Kernels::matmul_int8, x);
      },
      "out"_a, "a"_a, "a_scale"_a, "a_zero"_a, "b"_a, "b_scale"_a, "b_sums"_a, "bias"_a.none(true), "activation"_a);
}

}  // namespace einkorn::bind_matmul_int8
