// GloVe: two passes over four rows for an entry, the second of which does both updates. Rows lie anywhere, so those of entries to
// come are asked for; a root and a division for each element took longer than the rest, so roots are estimated and refined.

#include "kernels/glove.h"

#include <math.h>

#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kTogether = 16;  // entries whose logarithms and weights are computed at once
constexpr int64_t kAhead = 3;      // entries whose rows are asked for before their turn

EINKORN_INLINE void step(float& value, float& square, float gradient, float rate) {
  value -= rate * gradient / sqrtf(square);
  square += gradient * gradient;
}

struct Entry {
  float *w, *v, *gw, *gv;
};

EINKORN_INLINE bool find(const GloveTrain& k, int64_t place, Entry& found) {
  const int64_t e = k.order[place];
  if (e < 0 || e >= k.entries) return false;
  const int64_t i = k.row[e], j = k.column[e], stride = k.width + 1;
  if (i < 0 || i >= k.words || j < 0 || j >= k.words) return false;
  found = {k.table + i * stride, k.table + (k.words + j) * stride, k.squares + i * stride,
           k.squares + (k.words + j) * stride};
  return true;
}

void ask_for(const GloveTrain& k, int64_t place) {
  constexpr int64_t kLine = 16;
  Entry coming;
  if (!find(k, place, coming)) return;
  for (int64_t l = 0; l <= k.width; l += kLine) {
    ask_to_write(coming.w + l);
    ask_to_write(coming.v + l);
    ask_to_write(coming.gw + l);
    ask_to_write(coming.gv + l);
  }
}

double entry(const GloveTrain& k, const Entry& at, float log_count, float f) {
  const auto [w, v, gw, gv] = at;
  Vec<float> sum = {};
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) { sum += load_n(w + l, live) * load_n(v + l, live); });
  const float d = sum_lanes<float>(sum) + w[k.width] + v[k.width] - log_count;
  const float g = f * d, rate = static_cast<float>(k.rate);
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
    const Vec<float> a = load_n(w + l, live), b = load_n(v + l, live), da = g * b, db = g * a;
    const Vec<float> sa = load_n(gw + l, live), sb = load_n(gv + l, live);
    // Lanes past the end have 0 for a square: what becomes of them is not stored.
    store_n(w + l, live, a - rate * da * reciprocal_root(sa));
    store_n(v + l, live, b - rate * db * reciprocal_root(sb));
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
  const float alpha = static_cast<float>(k.alpha), scale = static_cast<float>(1.0 / k.count_max);
  parallel_for(k.ws, k.stretches, cost, [&](int64_t stretch, int) {
    const int64_t end = k.entries * (stretch + 1) / k.stretches;
    double loss = 0;
    float log_count[kTogether], f[kTogether];
    for (int64_t first = k.entries * stretch / k.stretches; first < end; first += kTogether) {
      const int64_t n = end - first < kTogether ? end - first : kTogether;
      for (int64_t i = 0; i < kTogether; ++i) {
        const int64_t e = i < n ? k.order[first + i] : -1;
        f[i] = e >= 0 && e < k.entries ? k.count[e] : 1.0f;
      }
      for (int64_t i = 0; i < kTogether; i += kLanes<float>) {
        const Vec<float> c = load(f + i), share = c * scale;
        store(log_count + i, EINKORN_ISA::log(c));
        store(f + i, share < 1.0f ? EINKORN_ISA::exp(alpha * EINKORN_ISA::log(share)) : broadcast(1.0f));
      }
      for (int64_t i = 0; i < n; ++i) {
        if (first + i + kAhead < end) ask_for(k, first + i + kAhead);
        Entry at;
        if (find(k, first + i, at)) loss += entry(k, at, log_count[i], f[i]);
      }
    }
    k.stats[stretch] = loss;
  });
}

}  // namespace einkorn::EINKORN_ISA
