// Mathematical functions on the GPU, one line each over the device's library; see elementwise_cuda.h for the walk.
//
// float stays float: the device's functions are within two units of the last place, and memory takes longer than they do.

#include "kernels/elementwise/functions_cuda.h"
#include "kernels/elementwise/math.h"

namespace einkorn::cuda {

namespace {

// log(exp(a) + exp(b)) = the larger + log(1 + exp(-|a - b|)); equal infinities have no difference.
template <class T>
__device__ __forceinline__ T log_of_sum(T a, T b) {
  const T large = a > b || a != a ? a : b;
  return a == b ? a + static_cast<T>(0.69314718055994530942) : large + ::log1p(::exp(-::fabs(a - b)));
}

template <class T>
__device__ __forceinline__ T remainder_of(T a, T b) {  // of the division rounded down: the sign of b
  const T rest = ::fmod(a, b);
  return rest != 0 ? ((b < 0) != (rest < 0) ? rest + b : rest) : ::copysign(rest, b);
}

template <class T>
struct Comparison {
  int kind;
  __device__ uint8_t operator()(T a, T b) const {
    switch (kind) {
      case 0:
        return a == b;
      case 1:
        return a != b;
      case 2:
        return a < b;
      case 3:
        return a <= b;
      case 4:
        return a > b;
      case 5:
        return a >= b;
      case 6:
        return a != 0 && b != 0;
      case 7:
        return a != 0 || b != 0;
      default:
        return (a != 0) != (b != 0);
    }
  }
};

template <class T>
struct Question {
  int kind;
  __device__ uint8_t operator()(T x) const {
    constexpr T kInfinity = static_cast<T>(INFINITY);
    switch (kind) {
      case 0:
        return x != x;
      case 1:
        return x == kInfinity || x == -kInfinity;
      case 2:
        return x < kInfinity && x > -kInfinity;
      case 3:
        return x != 0;
      case 4:
        return x == kInfinity;
      case 5:
        return x == -kInfinity;
      default:
        return ::copysign(T{1}, x) < 0;
    }
  }
};

}  // namespace

EINKORN_UNARY(exp2, ::exp2(x))
EINKORN_UNARY(expm1, ::expm1(x))
EINKORN_UNARY(log2, ::log2(x))
EINKORN_UNARY(log10, ::log10(x))
EINKORN_UNARY(log1p, ::log1p(x))
EINKORN_UNARY(rsqrt, 1 / ::sqrt(x))
EINKORN_UNARY(floor, ::floor(x))
EINKORN_UNARY(ceil, ::ceil(x))
EINKORN_UNARY(round, ::rint(x))
EINKORN_UNARY(trunc, ::trunc(x))
EINKORN_UNARY(frac, x - ::trunc(x))
EINKORN_UNARY(tan, ::tan(x))
EINKORN_UNARY(asin, ::asin(x))
EINKORN_UNARY(acos, ::acos(x))
EINKORN_UNARY(atan, ::atan(x))
EINKORN_UNARY(sinh, ::sinh(x))
EINKORN_UNARY(cosh, ::cosh(x))
EINKORN_UNARY(asinh, ::asinh(x))
EINKORN_UNARY(acosh, ::acosh(x))
EINKORN_UNARY(atanh, ::atanh(x))
EINKORN_UNARY(erfc, ::erfc(x))

EINKORN_BINARY(atan2, ::atan2(a, b))
EINKORN_BINARY(logaddexp, log_of_sum(a, b))
EINKORN_BINARY(fmod, ::fmod(a, b))
EINKORN_BINARY(remainder, remainder_of(a, b))
EINKORN_BINARY(hypot, ::hypot(a, b))
EINKORN_BINARY(copysign, ::copysign(a, b))

template <class T>
void compare(const Compare<T>& k) {
  for_elements<2>("compare", k.layout, k.out, {k.a, k.b}, Comparison<T>{k.kind});
}

template <class T>
void classify(const Classify<T>& k) {
  for_elements<1>("classify", k.layout, k.out, {k.x}, Question<T>{k.kind});
}

EINKORN_INSTANTIATE(compare, Compare)
EINKORN_INSTANTIATE(classify, Classify)

}  // namespace einkorn::cuda
