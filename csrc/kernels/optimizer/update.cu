// The steps of all optimizers but gradient descent and Adam on the GPU, each a few lines on one element, over the chunks of
// tensors_cuda.h. A formula changes what its element has (parameter, gradient, three arrays of state) and says by kWrites which of
// it goes back; states that a tensor lacks are neither read nor written.
//
// Roofline, float32: 12 bytes an element for p and g, 8 for each array of state, clipping 8; at most 20 FLOP. RMSprop with momentum
// over 67 million: 1.9 GB, 0.63 ms at 3.0 TB/s.
// Plan: update_kernel: 48 registers (double: 64), 5 blocks of 256 threads an SM

#include "kernels/instantiate.h"
#include "kernels/optimizer/tensors_cuda.h"

namespace einkorn::cuda {

namespace {

// One element of a tensor, on its way through the registers.
template <class T>
struct Element {
  T p, g, first, second, third;
};

enum Writes : int { kParam = 1, kFirst = 2, kSecond = 4, kThird = 8 };

// The coefficients of a rule in T, those that all formulas share among them.
template <class T>
struct Rule {
  T rate, of_grad, of_mean, root, beta1, beta2, rest1, rest2, eps, momentum, weight_decay, shrink, least, most;
  T slope, power, l1, l2, other_eps;  // other_eps: where the formula has eps if `within`
  bool adaptive, maximize, has_second, has_third;
  double scale;  // of one tensor: n / l of trust_step, or min(1, max_norm / total)

  explicit Rule(const UpdateRule& k)
      : rate(static_cast<T>(k.rate)),
        of_grad(static_cast<T>(k.of_grad)),
        of_mean(static_cast<T>(k.of_mean)),
        root(static_cast<T>(k.root)),
        beta1(static_cast<T>(k.beta1)),
        beta2(static_cast<T>(k.beta2)),
        rest1(static_cast<T>(1 - k.beta1)),
        rest2(static_cast<T>(1 - k.beta2)),
        eps(static_cast<T>(k.within ? 0 : k.eps)),
        momentum(static_cast<T>(k.momentum)),
        weight_decay(static_cast<T>(k.weight_decay)),
        shrink(static_cast<T>(k.shrink)),
        least(static_cast<T>(k.least)),
        most(static_cast<T>(k.most)),
        slope(static_cast<T>(1 / k.rate)),
        power(static_cast<T>(k.power)),
        l1(static_cast<T>(k.l1)),
        l2(static_cast<T>(k.l2)),
        other_eps(static_cast<T>(k.within ? k.eps : 0)),
        adaptive(k.adaptive),
        maximize(k.maximize),
        has_second(true),
        has_third(true),
        scale(1) {}

  // The gradient as the formulas have it: its sign turned where a maximum is sought, and the L2 penalty added.
  __device__ T gradient(const Element<T>& e) const {
    const T g = maximize ? -e.g : e.g;
    return weight_decay != 0 ? g + e.p * weight_decay : g;
  }

  // Both running means, of the gradient and of its square.
  __device__ void follow(Element<T>& e, T g) const {
    e.first += (g - e.first) * rest1;
    e.second = e.second * beta2 + g * g * rest2;
  }
};

template <class T>
__device__ __forceinline__ T sign_of(T x) {  // NaN stays
  return x > 0 ? T{1} : (x < 0 ? T{-1} : x);
}

template <class T>
__device__ __forceinline__ T clamped(T x, T low, T high) {  // NaN stays
  x = x < low ? low : x;
  return x > high ? high : x;
}

// Formula::update for every element of every tensor.
template <class Formula, class T>
__global__ void __launch_bounds__(kBlock) update_kernel(Update<T> k, Chunks chunks, Rule<T> shared_rule) {
  constexpr int kPack = kPackOf<T>, kWrites = Formula::kWrites;
  for_chunks(k, chunks, [&](const UpdateTensor<T>& tensor, int64_t begin, int64_t end) {
    Rule<T> rule = shared_rule;
    rule.has_second = tensor.second != nullptr;
    rule.has_third = tensor.third != nullptr;
    if constexpr (requires { Formula::scale(k, int64_t{}); }) rule.scale = Formula::scale(k, &tensor - k.tensors);
    T* const arrays[] = {tensor.param, const_cast<T*>(tensor.grad), tensor.first, tensor.second, tensor.third};
    bool aligned = true;
    for (const T* a : arrays) aligned = aligned && is_aligned(a, kPackBytes);
    const auto step = [&](auto count, int64_t i) {
      constexpr int kCount = decltype(count)::value;
      Pack<T, kCount> packs[5];
#pragma unroll
      for (int a = 0; a < 5; ++a)
        packs[a] = arrays[a] != nullptr ? load_pack<kCount>(arrays[a] + i) : Pack<T, kCount>{};
#pragma unroll
      for (int e = 0; e < kCount; ++e) {
        Element<T> x = {packs[0].v[e], packs[1].v[e], packs[2].v[e], packs[3].v[e], packs[4].v[e]};
        Formula::update(rule, x);
        packs[0].v[e] = x.p, packs[2].v[e] = x.first, packs[3].v[e] = x.second, packs[4].v[e] = x.third;
      }
      if (kWrites & kParam) store_pack(arrays[0] + i, packs[0]);
      if (kWrites & kFirst) store_pack(arrays[2] + i, packs[2]);
      if ((kWrites & kSecond) && rule.has_second) store_pack(arrays[3] + i, packs[3]);
      if ((kWrites & kThird) && rule.has_third) store_pack(arrays[4] + i, packs[4]);
    };
    for_packs<kPack>(
        begin, end, aligned, [&](int64_t i) { step(std::integral_constant<int, kPack>{}, i); },
        [&](int64_t i) { step(std::integral_constant<int, 1>{}, i); });
  });
}

struct Adagrad {
  static constexpr int kWrites = kParam | kFirst;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e);
    e.first += g * g;
    e.p -= g * k.rate / (::sqrt(e.first + k.other_eps) + k.eps);
  }
};

struct Adadelta {
  static constexpr int kWrites = kParam | kFirst | kSecond;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e);
    e.first = e.first * k.beta1 + g * g * k.rest1;
    const T d = ::sqrt(e.second + k.eps) / ::sqrt(e.first + k.eps) * g;
    e.second = e.second * k.beta1 + d * d * k.rest1;
    e.p -= d * k.rate;
  }
};

struct RmsProp {
  static constexpr int kWrites = kParam | kFirst | kSecond | kThird;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e);
    e.first = e.first * k.beta1 + g * g * k.rest1;
    T square = e.first;
    if (k.has_second) {
      e.second += (g - e.second) * k.rest1;
      square -= e.second * e.second;
    }
    T d = g / (::sqrt(square + k.other_eps) + k.eps);
    if (k.has_third) e.third = d += e.third * k.momentum;
    e.p -= d * k.rate;
  }
};

struct Adamax {
  static constexpr int kWrites = kParam | kFirst | kSecond;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e);
    e.first += (g - e.first) * k.rest1;
    const T kept = e.second * k.beta2, now = ::fabs(g) + k.eps;
    e.second = kept > now || kept != kept ? kept : now;
    e.p -= e.first * k.rate / (e.second + k.other_eps);
  }
};

struct OfMoments {
  static constexpr int kWrites = kParam | kFirst | kSecond;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e);
    k.follow(e, g);
    T d = e.first * k.of_mean;
    if (k.of_grad != 0) d += g * k.of_grad;
    if (k.adaptive) d /= ::sqrt(e.second) * k.root + k.eps;
    e.p = e.p * k.shrink - d;
  }
};

struct Lion {
  static constexpr int kWrites = kParam | kFirst;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e);
    e.p = e.p * k.shrink - sign_of(e.first * k.beta1 + g * k.rest1) * k.rate;
    e.first = e.first * k.beta2 + g * k.rest2;
  }
};

struct Rprop {
  static constexpr int kWrites = kParam | kFirst | kSecond;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.gradient(e), agreement = g * e.first;
    const T factor = agreement > 0 ? k.beta2 : (agreement < 0 ? k.beta1 : T{1});
    e.second = clamped(e.second * factor, k.least, k.most);
    e.first = agreement < 0 ? T{0} : g;
    e.p -= sign_of(e.first) * e.second;
  }
};

struct Lamb {
  static constexpr int kWrites = kFirst | kSecond | kThird;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    k.follow(e, k.maximize ? -e.g : e.g);
    e.third = e.first * k.of_mean / (::sqrt(e.second) * k.root + k.eps) + e.p * k.weight_decay;
  }
};

struct Trust {
  static constexpr int kWrites = kParam;
  template <class T>
  static __device__ double scale(const Update<T>& k, int64_t tensor) {
    const double norm = k.norms[tensor], length = k.other_norms[tensor];
    return norm > 0 && length > 0 ? k.rate * (norm / length) : k.rate;
  }
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    e.p -= e.g * static_cast<T>(k.scale);
  }
};

struct Ftrl {
  static constexpr int kWrites = kParam | kFirst | kSecond;
  template <class T>
  static __device__ T raised(const Rule<T>& k, T n) {
    return k.power == T(0.5) ? ::sqrt(n) : ::exp(::log(n) * k.power);
  }
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    const T g = k.maximize ? -e.g : e.g, before = raised(k, e.first);
    e.first += g * g;
    const T after = raised(k, e.first);
    e.second += g + e.p * k.weight_decay - (after - before) * k.slope * e.p;
    e.p = ::fabs(e.second) <= k.l1 ? T{0} : (clamped(e.second, -k.l1, k.l1) - e.second) / (after * k.slope + k.l2);
  }
};

struct Lerp {
  static constexpr int kWrites = kParam;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    e.p += (e.g - e.p) * k.rate;
  }
};

struct ClipNorm {
  static constexpr int kWrites = kParam;
  template <class T>
  static __device__ double scale(const Update<T>& k, int64_t) {
    const double factor = k.rate / (*k.norms + 1e-6);
    return factor > 1 ? 1 : factor;
  }
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    e.p *= static_cast<T>(k.scale);
  }
};

struct ClipValue {
  static constexpr int kWrites = kParam;
  template <class T>
  static __device__ void update(const Rule<T>& k, Element<T>& e) {
    e.p = clamped(e.p, -k.rate, k.rate);
  }
};

}  // namespace

#define EINKORN_UPDATE(name, Formula)                                                                     \
  template <class T>                                                                                      \
  void name(const Update<T>& k) {                                                                         \
    const Chunks chunks = chunks_of(k);                                                                   \
    launch_over(#name, update_kernel<Formula, T>, chunks.first[k.count] * kBlock, k, chunks, Rule<T>(k)); \
  }                                                                                                       \
  EINKORN_INSTANTIATE(name, Update)

EINKORN_UPDATE(adagrad_step, Adagrad)
EINKORN_UPDATE(adadelta_step, Adadelta)
EINKORN_UPDATE(rmsprop_step, RmsProp)
EINKORN_UPDATE(adamax_step, Adamax)
EINKORN_UPDATE(moments_step, OfMoments)
EINKORN_UPDATE(lion_step, Lion)
EINKORN_UPDATE(rprop_step, Rprop)
EINKORN_UPDATE(lamb_step, Lamb)
EINKORN_UPDATE(trust_step, Trust)
EINKORN_UPDATE(ftrl_step, Ftrl)
EINKORN_UPDATE(lerp_step, Lerp)
EINKORN_UPDATE(clip_norm_step, ClipNorm)
EINKORN_UPDATE(clip_value_step, ClipValue)

}  // namespace einkorn::cuda
