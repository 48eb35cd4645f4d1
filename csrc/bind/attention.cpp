#include "bind/array.h"
#include "kernels/attention/attention_parts.h"

namespace einkorn {

namespace {

void check(bool fits, const char* what) {
  if (!fits) throw py::value_error(std::string("attention: ") + what);
}

// [batch, heads, length, width] with stride 1 along width.
void check_rows(const Array& a, int64_t batch, int64_t heads, int64_t length, int64_t width, const char* name) {
  const bool fits =
      a.ndim == 4 && a.shape[0] == batch && a.shape[1] == heads && a.shape[2] == length && a.shape[3] == width;
  check(fits, (std::string(name) + " has a shape that does not fit").c_str());
  const bool gapless = width <= 1 || a.size() == 0 || a.strides[3] == 1;
  check(gapless, (std::string(name) + " must have stride 1 along its width").c_str());
}

template <class T>
Rows<const T> rows_in(const Array& a, const char* name) {
  return {a.strided<T>(name), a.strides[0], a.strides[1], a.strides[2]};
}
template <class T>
Rows<T> rows_out(const Array& a, const char* name) {
  return {a.strided_out<T>(name), a.strides[0], a.strides[1], a.strides[2]};
}

template <class T>
AttentionProblem<T> problem_of(const Array& q, const Array& k, const Array& v, const Array& bias, const Array& keep,
                               const Array& slopes, double scale, int64_t low, int64_t high, double dropout,
                               uint64_t seed, uint64_t offset) {
  check(q.ndim == 4 && k.ndim == 4 && v.ndim == 4, "q, k and v must have 4 dimensions");
  AttentionProblem<T> p{};
  p.batch = q.shape[0], p.heads = q.shape[1], p.q_len = q.shape[2], p.width = q.shape[3];
  p.kv_heads = k.shape[1], p.k_len = k.shape[2], p.v_width = v.shape[3];
  check_rows(q, p.batch, p.heads, p.q_len, p.width, "q");
  check_rows(k, p.batch, p.kv_heads, p.k_len, p.width, "k");
  check_rows(v, p.batch, p.kv_heads, p.k_len, p.v_width, "v");
  check(p.heads == 0 || (p.kv_heads > 0 && p.heads % p.kv_heads == 0), "heads must be a multiple of the key heads");
  const auto check_mask = [&](const Array& a, const char* name) {
    const bool fits =
        a.ndim == 4 && a.shape[0] == p.batch && a.shape[1] == p.heads && a.shape[2] == p.q_len && a.shape[3] == p.k_len;
    check(fits, (std::string(name) + " must have the shape of the scores").c_str());
  };
  if (bias) {
    check_mask(bias, "bias");
    p.bias = bias.strided<T>("bias");
    p.bias_b = bias.strides[0], p.bias_h = bias.strides[1], p.bias_i = bias.strides[2], p.bias_j = bias.strides[3];
  }
  if (keep) {
    check_mask(keep, "keep");
    p.keep = keep.strided<uint8_t>("keep");
    p.keep_b = keep.strides[0], p.keep_h = keep.strides[1], p.keep_i = keep.strides[2], p.keep_j = keep.strides[3];
  }
  if (slopes) {
    check(slopes.ndim == 1 && slopes.shape[0] == p.heads, "slopes must have one number a head");
    p.slopes = slopes.in<T>("slopes");
  }
  check(dropout >= 0 && dropout <= 1, "dropout must be a probability");
  const int64_t far = p.q_len + p.k_len + 1;
  p.scale = static_cast<T>(scale);
  p.low = low < -far ? -far : (low > far ? far : low);
  p.high = high < -far ? -far : (high > far ? far : high);
  p.dropout = dropout, p.seed = seed, p.offset = offset;
  return p;
}

}  // namespace

EINKORN_BINDINGS(attention, m) {
  m.def(
      "attention_forward",
      [](const Array& out, const Array& lse, const Array& q, const Array& k, const Array& v, const Array& bias,
         const Array& keep, const Array& slopes, double scale, int64_t low, int64_t high, double dropout, uint64_t seed,
         uint64_t offset) {
        by_stored_dtype(out, [&]<class T>() {
          using N = Number<T>;
          Attention<T> x{};
          x.problem = problem_of<N>(q, k, v, bias, keep, slopes, scale, low, high, dropout, seed, offset);
          const AttentionProblem<N>& p = x.problem;
          check_rows(out, p.batch, p.heads, p.q_len, p.v_width, "out");
          check(!lse || lse.size() == p.batch * p.heads * p.q_len, "lse must have one number a query");
          x.out = rows_out<T>(out, "out");
          x.lse = lse.optional_out<N>("lse");
          x.q = rows_in<T>(q, "q"), x.k = rows_in<T>(k, "k"), x.v = rows_in<T>(v, "v");
          x.ws = workspace();
          run_in_scratch<AttentionParts<T>>(&AttentionKernels<T>::attention_forward, x);
        });
      },
      "out"_a, "lse"_a.none(true), "q"_a, "k"_a, "v"_a, "bias"_a.none(true), "keep"_a.none(true), "slopes"_a.none(true),
      "scale"_a, "low"_a, "high"_a, "dropout"_a, "seed"_a, "offset"_a);

  m.def(
      "attention_backward",
      [](const Array& gq, const Array& gk, const Array& gv, const Array& gbias, const Array& g, const Array& out,
         const Array& lse, const Array& q, const Array& k, const Array& v, const Array& bias, const Array& keep,
         const Array& slopes, double scale, int64_t low, int64_t high, double dropout, uint64_t seed, uint64_t offset) {
        by_stored_dtype(g, [&]<class T>() {
          using N = Number<T>;
          AttentionGrad<T> x{};
          x.problem = problem_of<N>(q, k, v, bias, keep, slopes, scale, low, high, dropout, seed, offset);
          const AttentionProblem<N>& p = x.problem;
          check_rows(gq, p.batch, p.heads, p.q_len, p.width, "gq");
          check_rows(gk, p.batch, p.kv_heads, p.k_len, p.width, "gk");
          check_rows(gv, p.batch, p.kv_heads, p.k_len, p.v_width, "gv");
          check_rows(g, p.batch, p.heads, p.q_len, p.v_width, "g");
          check_rows(out, p.batch, p.heads, p.q_len, p.v_width, "out");
          check(lse && lse.size() == p.batch * p.heads * p.q_len, "lse must have one number a query");
          check(!gbias || gbias.size() == p.batch * p.heads * p.q_len * p.k_len, "gbias must have one number a score");
          x.gq = rows_out<T>(gq, "gq"), x.gk = rows_out<T>(gk, "gk"), x.gv = rows_out<T>(gv, "gv");
          x.gbias = gbias.optional_out<N>("gbias");
          x.g = rows_in<T>(g, "g"), x.out = rows_in<T>(out, "out");
          x.lse = lse.in<N>("lse");
          x.q = rows_in<T>(q, "q"), x.k = rows_in<T>(k, "k"), x.v = rows_in<T>(v, "v");
          x.ws = workspace();
          run_in_scratch<AttentionGradParts<T>>(&AttentionKernels<T>::attention_backward, x);
        });
      },
      "gq"_a, "gk"_a, "gv"_a, "gbias"_a.none(true), "g"_a, "out"_a, "lse"_a, "q"_a, "k"_a, "v"_a, "bias"_a.none(true),
      "keep"_a.none(true), "slopes"_a.none(true), "scale"_a, "low"_a, "high"_a, "dropout"_a, "seed"_a, "offset"_a);
}

}  // namespace einkorn
