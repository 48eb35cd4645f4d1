// GloVe: two passes over four rows for an entry, the second of which does both updates.

#include "kernels/glove.h"

#include <math.h>

#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

EINKORN_INLINE void step(float& value, float& square, float gradient, float rate) {
  value -= rate * gradient / sqrtf(square);
  square += gradient * gradient;
}

double entry(const GloveTrain& k, int64_t e) {
  const int64_t i = k.row[e], j = k.column[e], stride = k.width + 1;
  if (i < 0 || i >= k.words || j < 0 || j >= k.words) return 0;
  float* const w = k.table + i * stride;
  float* const v = k.table + (k.words + j) * stride;
  float* const gw = k.squares + i * stride;
  float* const gv = k.squares + (k.words + j) * stride;
  Vec<float> sum = {};
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) { sum += load_n(w + l, live) * load_n(v + l, live); });
  const float c = k.count[e];
  const float d = sum_lanes<float>(sum) + w[k.width] + v[k.width] - logf(c);
  const float share = c / static_cast<float>(k.count_max);
  const float f = share < 1.0f ? powf(share, static_cast<float>(k.alpha)) : 1.0f;
  const float g = f * d, rate = static_cast<float>(k.rate);
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
    const Vec<float> a = load_n(w + l, live), b = load_n(v + l, live), da = g * b, db = g * a;
    const Vec<float> sa = load_n(gw + l, live), sb = load_n(gv + l, live);
    // Lanes past the end have 0 for a square: what becomes of them is not stored.
    store_n(w + l, live, a - rate * da / square_root(sa));
    store_n(v + l, live, b - rate * db / square_root(sb));
    store_n(gw + l, live, sa + da * da);
    store_n(gv + l, live, sb + db * db);
  });
  step(w[k.width], gw[k.width], g, rate);
  step(v[k.width], gv[k.width], g, rate);
  return 0.5 * static_cast<double>(f) * static_cast<double>(d) * static_cast<double>(d);
}

}  // namespace

void glove_train(const GloveTrain& k) {
  const double cost = 100.0 * static_cast<double>(k.entries / k.stretches + 1);
  parallel_for(k.ws, k.stretches, cost, [&](int64_t stretch, int) {
    double loss = 0;
    for (int64_t i = k.entries * stretch / k.stretches; i < k.entries * (stretch + 1) / k.stretches; ++i)
      if (k.order[i] >= 0 && k.order[i] < k.entries) loss += entry(k, k.order[i]);
    k.stats[stretch] = loss;
  });
}

}  // namespace einkorn::EINKORN_ISA
