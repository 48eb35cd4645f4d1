// Matrix products on the GPU: the tiles of gemm_cuda.h over strided matrices, with bias and activation where results are stored.
//
// Large plain products do not come here: engines/cuda.py gives them to cuBLAS. What does is small, odd, or has an epilogue.
//
// Roofline: 2 M N K FLOP at 60 TFLOP/s of float32 multiply-adds (half of that in float64); 512 x 784 x 512 0.007 ms, about what
// two launches take. Bytes a, b and out once: 2048^3 is bound by arithmetic, 0.29 ms.

#include "kernels/activation_cuda.h"
#include "kernels/gemm_cuda.h"
#include "kernels/instantiate.h"
#include "kernels/matmul.h"

namespace einkorn::cuda {

namespace {

template <class T_>
struct MatmulProblem {
  using T = T_;
  using Row = const T*;
  using Column = const T*;

  Matmul<T> x;
  int64_t m, n, k, batches;

  // Offset of a batch in an operand.
  __device__ int64_t offset(int64_t batch, const int64_t* strides) const {
    int64_t at = 0;
    for (int d = x.batch_ndim - 1; d >= 0; --d) {
      at += batch % x.batch_shape[d] * strides[d];
      batch /= x.batch_shape[d];
    }
    return at;
  }

  __device__ bool a_along_k() const { return x.a_k == 1; }
  __device__ bool b_along_k() const { return x.b_k == 1 && x.b_n != 1; }
  __device__ Row row(int64_t batch, int64_t i) const { return x.a + offset(batch, x.a_batch) + i * x.a_m; }
  __device__ Column column(int64_t batch, int64_t j) const { return x.b + offset(batch, x.b_batch) + j * x.b_n; }
  __device__ int64_t a_depth(int64_t at) const { return at * x.a_k; }
  __device__ int64_t b_depth(int64_t at) const { return at * x.b_k; }
  __device__ void advance(int64_t& depth, int64_t step) const { depth += step; }
  __device__ T a(Row row, int64_t depth) const { return row[depth]; }
  __device__ T b(Column column, int64_t depth) const { return column[depth]; }

  __device__ void store(int64_t batch, int64_t i, int64_t j, T sum) const {
    T* const out = x.out + offset(batch, x.out_batch) + i * x.out_m + j * x.out_n;
    T v = x.alpha * sum;
    if (x.beta != 0) v += x.beta * *out;
    if (x.bias != nullptr) v += x.bias[x.bias_on_rows ? i : j];
    *out = activate(v, x.activation);
  }
};

}  // namespace

template <class T>
void matmul(const Matmul<T>& k) {
  int64_t batches = 1;
  for (int d = 0; d < k.batch_ndim; ++d) batches *= k.batch_shape[d];
  gemm("matmul", MatmulProblem<T>{k, k.m, k.n, k.k, batches});
}

EINKORN_INSTANTIATE(matmul, Matmul)

}  // namespace einkorn::cuda
