// Pictures from elsewhere. Three ways, from the matrix of each image:
//
//   copies      a step of one pixel along each axis, to whole places: crops, flips, shifts (copies.h).
//   axes        axes stay axes: resized crops, zoom. Rows are blended into one, in L1, then its columns by tables of taps, which all rows
//               and channels share. Where an image grows, the pixels of a vector of outputs lie within two vectors: permutations.
//   anywhere    rotation, shear, perspective, fields. A vector of places, then their pixels are gathered. Of bytes, one load of four
//               brings a pixel and its neighbour. Vectors at the border take their four pixels one by one, by the same means.
//
// Tried: channels laid side by side first, with a ring of border, so that one load brings a pixel's channels. 128x3x32x32 turned, one
// thread of Emerald Rapids, us: linear 617 (bytes) and 517 (floats) where gathers take 520 and 518, nearest 318 where they take 250.
//
// A task is some rows of one image, all channels.

#include "kernels/augment/copies.h"

namespace einkorn::EINKORN_ISA {

namespace {

using namespace augment;

// The taps of a place along an axis; absent ones have weight 0. Gives the weight of those inside.
float taps_at(const AugmentWarp& k, double place, double scale, int64_t n, int32_t* index, float* weight,
              int64_t step) {
  const double at = place >= -kFar && place <= kFar ? place : place < 0 ? -kFar : kFar;
  const int64_t taps = k.taps > 2 ? k.taps : 2;
  for (int64_t t = 0; t < taps; ++t) index[t * step] = 0, weight[t * step] = 0;
  if (k.taps > 0) {
    const double reach = __builtin_fabs(scale) > 1 ? __builtin_fabs(scale) : 1.0;
    int64_t first = static_cast<int64_t>(__builtin_floor(at - reach)) + 1;
    int64_t last = static_cast<int64_t>(__builtin_ceil(at + reach)) - 1;
    first = first < 0 ? 0 : first;
    last = last >= n ? n - 1 : last;
    if (last >= first + taps) last = first + taps - 1;
    double sum = 0;
    for (int64_t t = first; t <= last; ++t) sum += 1 - __builtin_fabs(static_cast<double>(t) - at) / reach;
    if (!(sum > 0)) {
      index[0] = static_cast<int32_t>(place_of(static_cast<int64_t>(at), n, 1));
      weight[0] = 1;
      return 1;
    }
    for (int64_t t = first; t <= last; ++t) {
      index[(t - first) * step] = static_cast<int32_t>(t);
      weight[(t - first) * step] = static_cast<float>((1 - __builtin_fabs(static_cast<double>(t) - at) / reach) / sum);
    }
    return 1;
  }
  const double low = k.mode == 1 ? __builtin_rint(at) : __builtin_floor(at);
  const float high = static_cast<float>(at - low),
              share[2] = {k.mode == 1 ? 1.0f : 1.0f - high, k.mode == 1 ? 0.0f : high};
  float inside = 0;
  for (int t = 0; t < 2; ++t) {
    const int64_t found = place_of(static_cast<int64_t>(low) + t, n, k.border);
    if (found < 0 || share[t] == 0) continue;
    index[t * step] = static_cast<int32_t>(found);
    weight[t * step] = share[t];
    inside += share[t];
  }
  return inside;
}

// ---- axes ----

// blend[low, high) = the sum of the rows of the taps.
template <class In>
void blend_rows(const AugmentWarp& k, const In* plane, int64_t pitch, const WarpSlot& w, int64_t low, int64_t high) {
  const int64_t taps = k.taps > 2 ? k.taps : 2;
  bool first = true;
  for (int64_t t = 0; t < taps; ++t) {
    const float share = w.row_weight[t];
    if (share == 0) continue;
    const In* const p = plane + w.row_index[t] * pitch;
    if (first && t + 1 < taps && w.row_weight[t + 1] != 0) {  // two at once
      const float next = w.row_weight[++t];
      const In* const q = plane + w.row_index[t] * pitch;
      for_vectors<float>(high - low, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
        store(w.blend + low + j, load_pixels(p + low + j, n) * share + load_pixels(q + low + j, n) * next);
      });
    } else if (first) {
      for_vectors<float>(high - low, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
        store(w.blend + low + j, load_pixels(p + low + j, n) * share);
      });
    } else {
      for_vectors<float>(high - low, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
        store(w.blend + low + j, load(w.blend + low + j) + load_pixels(p + low + j, n) * share);
      });
    }
    first = false;
  }
}

template <class In, class Out>
void axis_rows(const AugmentWarp& k, const Source<In>& s, const WarpSlot& w, Axis x, Axis y, int64_t image,
               int64_t from, int64_t to) {
  const int64_t width = k.out_width, pitch = width + kAugmentSlack, taps = k.taps > 2 ? k.taps : 2;
  const int64_t padded = (width + kLane - 1) / kLane * kLane;
  int64_t low = s.width, high = 0;
  for (int64_t j = 0; j < padded; ++j) {
    const int64_t at = j < width ? j : width - 1;
    w.inside[j] =
        taps_at(k, x.scale * static_cast<double>(at) + x.offset, x.scale, s.width, w.index + j, w.weight + j, pitch);
  }
  int64_t used = 0;
  for (int64_t j = 0; j < padded; j += kLane) {
    int32_t least = INT32_MAX, most = -1;
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t l = j; l < j + kLane; ++l) {
        if (w.weight[t * pitch + l] == 0) continue;
        used = t + 1 > used ? t + 1 : used;
        const int32_t at = w.index[t * pitch + l];
        least = at < least ? at : least;
        most = at > most ? at : most;
      }
    if (most < 0) least = most = 0;
    for (int64_t t = 0; t < taps; ++t)  // absent taps stay near, too
      for (int64_t l = j; l < j + kLane; ++l)
        if (w.weight[t * pitch + l] == 0) w.index[t * pitch + l] = least;
    w.low[j / kLane] = kFastPick<float> && most - least < 2 * kLane ? least : -1;
    low = least < low ? least : low;
    high = most + 1 > high ? most + 1 : high;
  }
  for (int64_t i = from; i < to; ++i) {
    const float inside =
        taps_at(k, y.scale * static_cast<double>(i) + y.offset, y.scale, s.height, w.row_index, w.row_weight, 1);
    for (int64_t c = 0; c < k.p.channels; ++c) {
      const float fill = k.fill[c];
      if (inside == 0) {
        for (int64_t j = 0; j < width; ++j) w.rows[j] = fill;
      } else {
        blend_rows(k, s.base + c * s.plane, s.pitch, w, low, high);
        for (int64_t j = 0; j < padded; j += kLane) {
          const int32_t at = w.low[j / kLane];
          Floats sum = {};
          if (at >= 0) {
            const Floats a = load(w.blend + at), b = load(w.blend + at + kLane);
            for (int64_t t = 0; t < used; ++t) {
              const Floats share = load(w.weight + t * pitch + j);
              sum += pick<float>(a, b, load(w.index + t * pitch + j) - at) * share;
            }
          } else {
            for (int64_t t = 0; t < used; ++t)
              for (int l = 0; l < kLane; ++l)
                sum[l] += w.weight[t * pitch + j + l] * w.blend[w.index[t * pitch + j + l]];
          }
          if (k.border == 0) {  // what has no weight inside is not read: it may be NaN
            const Floats part = load(w.inside + j);
            sum = (part == 0.0f ? Floats{} : sum) + (1.0f - part * inside) * fill;
          }
          store(w.rows + j, sum);
        }
      }
      finish_row(out_row<Out>(k, image, c, i), w.rows, width, entry(k.scale, c), entry(k.shift, c));
    }
  }
}

// ---- anywhere ----

EINKORN_INLINE Floats whole_below(Floats v) {
  const Floats t = __builtin_convertvector(__builtin_convertvector(v, Ints), Floats);
  return t > v ? t - 1.0f : t;
}

// As place_of, of a vector; `weight` becomes 0 where there is nothing.
EINKORN_INLINE Ints places_of(Ints at, int32_t n, int border, Floats& weight) {
  if (border == 0) weight = (at >= 0) & (at < n) ? weight : Floats{};
  if (border > 1) {
    const int32_t period = border == 2 ? 2 * n : border == 3 ? (n > 1 ? 2 * n - 2 : 1) : n;
    const Floats turns = whole_below(to_float(at) / static_cast<float>(period));
    at -= __builtin_convertvector(turns, Ints) * period;
    if (border == 2) at = at < n ? at : period - 1 - at;
    if (border == 3) at = at < n ? at : period - at;
  }
  at = at < 0 ? Ints{} : at;
  return at < n ? at : Ints{} + (n - 1);
}

// The pixels at places within the image. `room` is how many elements there are from p to the array's end.
EINKORN_INLINE Floats pixels_at(const float* p, Ints at, int64_t) {
  return gather_floats(p, at);
}

EINKORN_INLINE Floats pixels_at(const uint8_t* p, Ints at, int64_t room) {
  if (room < 4) {
    Floats v = {};
    for (int l = 0; l < kLane; ++l) v[l] = p[at[l]];
    return v;
  }
  const Ints last = Ints{} + static_cast<int32_t>(room - 4 < (1 << 30) ? room - 4 : 1 << 30),
             from = at < last ? at : last;
  return to_float((gather_bytes(p, from) >> ((at - from) * 8)) & 255);
}

struct Near {
  Floats low, high;
};

// A pixel and the one right of it, which lie three elements and more before the array's end.
EINKORN_INLINE Near neighbours_at(const uint8_t* p, Ints at) {
  const Ints four = gather_bytes(p, at);
  return {to_float(four & 255), to_float((four >> 8) & 255)};
}

EINKORN_INLINE Near neighbours_at(const float* p, Ints at) {
  Near near;
  gather_pairs(p, at, near.low, near.high);
  return near;
}

EINKORN_INLINE bool all_lanes(Ints mask) {
  return bits_of_lanes<float>(mask) == (uint64_t{1} << kLane) - 1;
}

template <class In, class Out>
void warped_rows(const AugmentWarp& k, const Source<In>& s, const WarpSlot& w, const double* m, int64_t image,
                 int64_t from, int64_t to) {
  const int64_t width = k.out_width, pitch = width + kAugmentSlack;
  const int32_t columns = static_cast<int32_t>(s.width), rows = static_cast<int32_t>(s.height);
  const int32_t step = static_cast<int32_t>(s.pitch);
  const bool bent = m[6] != 0 || m[7] != 0 || m[8] != 1, is_last = image + 1 == k.p.images;
  const float right = static_cast<float>(columns - 1);
  // Loads of four bytes reach over a row's end: not in the array's last row.
  const float bottom = static_cast<float>(rows - 1 - (sizeof(In) == 1 && is_last ? 1 : 0));
  const Ints lane = lane_numbers<float>();
  const Floats far = broadcast(static_cast<float>(kFar));
  for (int64_t i = from; i < to; ++i) {
    const double line = static_cast<double>(i);
    const float x0 = static_cast<float>(m[1] * line + m[2]), y0 = static_cast<float>(m[4] * line + m[5]);
    const float z0 = static_cast<float>(m[7] * line + m[8]);
    const float dx = static_cast<float>(m[0]), dy = static_cast<float>(m[3]), dz = static_cast<float>(m[6]);
    const float* const field = k.field == nullptr ? nullptr : k.field + (image * 2 * k.out_height + i) * width;
    for (int64_t j = 0; j < width; j += kLane) {
      const Floats number = to_float(lane + static_cast<int32_t>(j));
      Floats x = number * dx + x0, y = number * dy + y0;
      if (bent) {
        const Floats z = number * dz + z0;
        x /= z;
        y /= z;
      }
      if (field != nullptr) {
        const int64_t n = width - j < kLane ? width - j : kLane;
        x += load_n(field + j, n);
        y += load_n(field + k.out_height * width + j, n);
      }
      x = maximum(minimum(x, far), -far);
      y = maximum(minimum(y, far), -far);
      float* const out = w.rows + j;
      if (k.border == 0 &&
          all_lanes((x <= -1.0f) | (x >= right + 1) | (y <= -1.0f) | (y >= static_cast<float>(rows)))) {
        for (int64_t c = 0; c < k.p.channels; ++c) store(out + c * pitch, broadcast(k.fill[c]));
        continue;
      }
      if (k.mode == 1) {
        Floats here = broadcast(1.0f);
        const Ints column = places_of(__builtin_convertvector(to_whole(x), Ints), columns, k.border, here);
        const Ints row = places_of(__builtin_convertvector(to_whole(y), Ints), rows, k.border, here);
        const Ints at = row * step + column;
        for (int64_t c = 0; c < k.p.channels; ++c) {
          const Floats v = pixels_at(s.base + c * s.plane, at, s.room - c * s.plane);
          store(out + c * pitch, here == 0.0f ? broadcast(k.fill[c]) : v);
        }
        continue;
      }
      if (all_lanes((x >= 0.0f) & (x < right) & (y >= 0.0f) & (y < bottom))) {
        const Ints column = __builtin_convertvector(x, Ints), row = __builtin_convertvector(y, Ints);
        const Floats right_share = x - to_float(column), low_share = y - to_float(row);
        const Ints at = row * step + column;
        for (int64_t c = 0; c < k.p.channels; ++c) {
          const In* const p = s.base + c * s.plane;
          const Near above = neighbours_at(p, at), below = neighbours_at(p + step, at);
          const Floats a = above.low + (above.high - above.low) * right_share;
          const Floats b = below.low + (below.high - below.low) * right_share;
          store(out + c * pitch, a + (b - a) * low_share);
        }
        continue;
      }
      const Floats left = whole_below(x), top = whole_below(y);
      Floats across[2] = {left + 1.0f - x, x - left}, down[2] = {top + 1.0f - y, y - top};
      Ints column[2], row[2];
      for (int t = 0; t < 2; ++t) {
        column[t] = places_of(__builtin_convertvector(left, Ints) + t, columns, k.border, across[t]);
        row[t] = places_of(__builtin_convertvector(top, Ints) + t, rows, k.border, down[t]) * step;
      }
      const Floats outside = 1.0f - (across[0] + across[1]) * (down[0] + down[1]);
      for (int64_t c = 0; c < k.p.channels; ++c) {
        const In* const p = s.base + c * s.plane;
        Floats sum = k.border == 0 ? outside * k.fill[c] : Floats{};
        for (int t = 0; t < 4; ++t) {
          const Floats share = across[t & 1] * down[t >> 1];
          const Floats v = pixels_at(p, row[t >> 1] + column[t & 1], s.room - c * s.plane);
          sum += share == 0.0f ? Floats{} : share * v;
        }
        store(out + c * pitch, sum);
      }
    }
    for (int64_t c = 0; c < k.p.channels; ++c)
      finish_row(out_row<Out>(k, image, c, i), w.rows + c * pitch, width, entry(k.scale, c), entry(k.shift, c));
  }
}

template <class In, class Out>
void warp_rows(const AugmentWarp& k, const WarpSlot& w, int64_t image, int64_t from, int64_t to) {
  const Source<In> s = source_of<In>(k, image);
  const double* const m = k.matrix + 9 * image;
  if (m[1] == 0 && m[3] == 0 && m[6] == 0 && m[7] == 0 && m[8] == 1 && k.field == nullptr) {
    const Axis x = {m[0], m[2]}, y = {m[4], m[5]};
    if (x.whole() && y.whole() && x.scale > 0)
      copy_rows<In, Out, false>(k, s, w, x, y, image, from, to);
    else if (x.whole() && y.whole())
      copy_rows<In, Out, true>(k, s, w, x, y, image, from, to);
    else
      axis_rows<In, Out>(k, s, w, x, y, image, from, to);
  } else {
    warped_rows<In, Out>(k, s, w, m, image, from, to);
  }
}

}  // namespace

void augment_warp(const AugmentWarp& k) {
  const WarpParts parts = carve<WarpParts>(k);
  const int64_t row = k.out_width * k.p.channels, each = row < 32768 ? 32768 / (row + 1) + 1 : 1;
  const int64_t stripes = (k.out_height + each - 1) / each;
  if (row == 0) return;
  by_pixels(k.p, [&](auto in, auto out) {
    const double cost = 0.6 * static_cast<double>(row * (each < k.out_height ? each : k.out_height));
    parallel_for(k.ws, k.p.images * stripes, cost, [&](int64_t task, int slot) {
      const int64_t from = task % stripes * each, to = from + each < k.out_height ? from + each : k.out_height;
      warp_rows<decltype(in), decltype(out)>(k, parts.slots[slot], task / stripes, from, to);
    });
  });
}

}  // namespace einkorn::EINKORN_ISA
