// The steps of all optimizers but gradient descent and Adam: each a few lines on the vectors of one tensor. What
// depends on the step's number alone was worked out by the caller, so that no body knows of schedules.

#include "kernels/instantiate.h"
#include "kernels/optimizer/for_tensors.h"
#include "kernels/optimizer/optimizer.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

// An array of state that is read, and written back by the assignment to its slot.
template <class T>
EINKORN_INLINE Vec<T> state(const T* p, int64_t i, int64_t n) {
  fetch_ahead(p + i);
  return load_n(p + i, n);
}

template <class T>
EINKORN_INLINE Vec<T> parameter(const UpdateTensor<T>& t, int64_t i, int64_t n) {
  return state(t.param, i, n);
}

// The gradient as the formulas have it: its sign turned where a maximum is sought, and the L2 penalty added.
template <class T>
EINKORN_INLINE Vec<T> gradient(const Update<T>& k, const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
  Vec<T> g = state(t.grad, i, n);
  if (k.maximize) g = -g;
  if (k.weight_decay != 0) g += p * (T)k.weight_decay;
  return g;
}

// NaN stays.
template <class T>
EINKORN_INLINE Vec<T> sign(Vec<T> x) {
  const Vec<T> one = broadcast((T)1);
  return x > 0 ? one : (x < 0 ? -one : x);
}

// The larger one; NaN wherever one is.
template <class T>
EINKORN_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
  return (a > b) | (a != a) ? a : b;
}

// Within [low, high]; NaN stays.
template <class T>
EINKORN_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  x = x < low ? broadcast(low) : x;
  return x > high ? broadcast(high) : x;
}

// Both running means, of the gradient and of its square, on their way through the registers.
template <class T>
struct Moments {
  Vec<T> mean, square;

  EINKORN_INLINE Moments(const Update<T>& k, const UpdateTensor<T>& t, Vec<T> g, int64_t i, int64_t n)
      : mean(state(t.first, i, n)), square(state(t.second, i, n)) {
    mean += (g - mean) * (T)(1 - k.beta1);
    square = square * (T)k.beta2 + g * g * (T)(1 - k.beta2);
    store_n(t.first + i, n, mean);
    store_n(t.second + i, n, square);
  }
};

// body(tensor, p, i, n) gives the new p, for each vector of each tensor.
template <class T, class Body>
EINKORN_INLINE void update_all(const Update<T>& k, double cost, const Body& body) {
  for_tensors<T>(k.ws, k.tensors, k.count, cost, [&](const UpdateTensor<T>& t, int64_t i, int64_t n) {
    store_n(t.param + i, n, body(t, parameter(t, i, n), i, n));
  });
}

}  // namespace

template <class T>
void adagrad_step(const Update<T>& k) {
  const T rate = (T)k.rate, eps = (T)(k.within ? 0 : k.eps), inner = (T)(k.within ? k.eps : 0);
  update_all(k, 0.3, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n), sum = state(t.first, i, n) + g * g;
    store_n(t.first + i, n, sum);
    return p - g * rate / (square_root(sum + inner) + eps);
  });
}

template <class T>
void adadelta_step(const Update<T>& k) {
  const T rate = (T)k.rate, rho = (T)k.beta1, rest = (T)(1 - k.beta1), eps = (T)k.eps;
  update_all(k, 0.5, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n), square = state(t.first, i, n) * rho + g * g * rest;
    const Vec<T> moved = state(t.second, i, n);
    const Vec<T> d = square_root(moved + eps) / square_root(square + eps) * g;
    store_n(t.first + i, n, square);
    store_n(t.second + i, n, moved * rho + d * d * rest);
    return p - d * rate;
  });
}

template <class T>
void rmsprop_step(const Update<T>& k) {
  const T rate = (T)k.rate, alpha = (T)k.beta1, rest = (T)(1 - k.beta1), momentum = (T)k.momentum;
  const T eps = (T)(k.within ? 0 : k.eps), inner = (T)(k.within ? k.eps : 0);
  update_all(k, 0.4, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n);
    Vec<T> square = state(t.first, i, n) * alpha + g * g * rest;
    store_n(t.first + i, n, square);
    if (t.second != nullptr) {
      Vec<T> mean = state(t.second, i, n);
      mean += (g - mean) * rest;
      store_n(t.second + i, n, mean);
      square -= mean * mean;
    }
    Vec<T> d = g / (square_root(square + inner) + eps);
    if (t.third != nullptr) {
      d += state(t.third, i, n) * momentum;
      store_n(t.third + i, n, d);
    }
    return p - d * rate;
  });
}

template <class T>
void adamax_step(const Update<T>& k) {
  const T rate = (T)k.rate, take = (T)(1 - k.beta1), keep = (T)k.beta2;
  const T eps = (T)(k.within ? 0 : k.eps), outer = (T)(k.within ? k.eps : 0);
  update_all(k, 0.4, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n);
    Vec<T> mean = state(t.first, i, n);
    mean += (g - mean) * take;
    const Vec<T> norm = larger<T>(state(t.second, i, n) * keep, EINKORN_ISA::absolute(g) + eps);
    store_n(t.first + i, n, mean);
    store_n(t.second + i, n, norm);
    return p - mean * rate / (norm + outer);
  });
}

template <class T>
void moments_step(const Update<T>& k) {
  const T of_grad = (T)k.of_grad, of_mean = (T)k.of_mean, root = (T)k.root, eps = (T)k.eps, shrink = (T)k.shrink;
  update_all(k, 0.4, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n);
    const Moments<T> moments(k, t, g, i, n);
    Vec<T> d = moments.mean * of_mean;
    if (of_grad != 0) d += g * of_grad;
    if (k.adaptive) d /= square_root(moments.square) * root + eps;
    return p * shrink - d;
  });
}

template <class T>
void lion_step(const Update<T>& k) {
  const T rate = (T)k.rate, shrink = (T)k.shrink, beta1 = (T)k.beta1, beta2 = (T)k.beta2;
  const T rest1 = (T)(1 - k.beta1), rest2 = (T)(1 - k.beta2);
  update_all(k, 0.3, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n), mean = state(t.first, i, n);
    store_n(t.first + i, n, mean * beta2 + g * rest2);
    return p * shrink - sign<T>(mean * beta1 + g * rest1) * rate;
  });
}

template <class T>
void rprop_step(const Update<T>& k) {
  const T minus = (T)k.beta1, plus = (T)k.beta2, least = (T)k.least, most = (T)k.most;
  update_all(k, 0.4, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const Vec<T> g = gradient(k, t, p, i, n), agreement = g * state(t.first, i, n), one = broadcast((T)1);
    const Vec<T> factor = agreement > 0 ? broadcast(plus) : (agreement < 0 ? broadcast(minus) : one);
    const Vec<T> size = clamp<T>(state(t.second, i, n) * factor, least, most);
    const Vec<T> kept = agreement < 0 ? Vec<T>{} : g;
    store_n(t.first + i, n, kept);
    store_n(t.second + i, n, size);
    return p - sign<T>(kept) * size;
  });
}

template <class T>
void lamb_step(const Update<T>& k) {
  const T of_mean = (T)k.of_mean, root = (T)k.root, eps = (T)k.eps, decay = (T)k.weight_decay;
  for_tensors<T>(k.ws, k.tensors, k.count, 0.4, [&](const UpdateTensor<T>& t, int64_t i, int64_t n) {
    const Vec<T> p = parameter(t, i, n);
    Vec<T> g = state(t.grad, i, n);
    if (k.maximize) g = -g;
    const Moments<T> moments(k, t, g, i, n);
    store_n(t.third + i, n, moments.mean * of_mean / (square_root(moments.square) * root + eps) + p * decay);
  });
}

template <class T>
void trust_step(const Update<T>& k) {
  update_all(k, 0.2, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    const double norm = k.norms[&t - k.tensors], length = k.other_norms[&t - k.tensors];
    const T rate = (T)(norm > 0 && length > 0 ? k.rate * (norm / length) : k.rate);
    return p - state(t.grad, i, n) * rate;
  });
}

template <class T>
void ftrl_step(const Update<T>& k) {
  const T slope = (T)(1 / k.rate), power = (T)k.power, l1 = (T)k.l1, l2 = (T)k.l2;
  const bool of_roots = k.power == 0.5;
  const auto raised = [&](Vec<T> n)
                          __attribute__((always_inline)) { return of_roots ? square_root(n) : exp(log(n) * power); };
  update_all(k, of_roots ? 0.4 : 1.5, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    Vec<T> g = state(t.grad, i, n);
    if (k.maximize) g = -g;
    const Vec<T> before = state(t.first, i, n), now = before + g * g, after = raised(now);
    const Vec<T> z = state(t.second, i, n) + g + p * (T)k.weight_decay - (after - raised(before)) * slope * p;
    store_n(t.first + i, n, now);
    store_n(t.second + i, n, z);
    const Vec<T> moved = (clamp<T>(z, -l1, l1) - z) / (after * slope + l2);
    return EINKORN_ISA::absolute(z) <= l1 ? Vec<T>{} : moved;
  });
}

template <class T>
void lerp_step(const Update<T>& k) {
  const T weight = (T)k.rate;
  update_all(k, 0.2, [&](const UpdateTensor<T>& t, Vec<T> p, int64_t i, int64_t n) {
    return p + (state(t.grad, i, n) - p) * weight;
  });
}

template <class T>
void clip_norm_step(const Update<T>& k) {
  const double factor = k.rate / (*k.norms + 1e-6);
  const T scale = (T)(factor > 1 ? 1 : factor);
  update_all(k, 0.2, [&](const UpdateTensor<T>&, Vec<T> p, int64_t, int64_t) { return p * scale; });
}

template <class T>
void clip_value_step(const Update<T>& k) {
  const T limit = (T)k.rate;
  update_all(k, 0.2, [&](const UpdateTensor<T>&, Vec<T> p, int64_t, int64_t) { return clamp<T>(p, -limit, limit); });
}

EINKORN_INSTANTIATE(adagrad_step, Update)
EINKORN_INSTANTIATE(adadelta_step, Update)
EINKORN_INSTANTIATE(rmsprop_step, Update)
EINKORN_INSTANTIATE(adamax_step, Update)
EINKORN_INSTANTIATE(moments_step, Update)
EINKORN_INSTANTIATE(lion_step, Update)
EINKORN_INSTANTIATE(rprop_step, Update)
EINKORN_INSTANTIATE(lamb_step, Update)
EINKORN_INSTANTIATE(trust_step, Update)
EINKORN_INSTANTIATE(ftrl_step, Update)
EINKORN_INSTANTIATE(lerp_step, Update)
EINKORN_INSTANTIATE(clip_norm_step, Update)
EINKORN_INSTANTIATE(clip_value_step, Update)

}  // namespace einkorn::EINKORN_ISA
