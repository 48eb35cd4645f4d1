// Crops, flips and shifts: rows of a picture copied to whole places, forwards or backwards, with what lies beyond its border.
//
// A row is written by chunks of equal size, the last of which overlaps the one before. Each reads where its pixels would lie if the
// picture went on, which is in its neighbours' rows, and a mask puts the fill over those from beyond the border; other borders
// are put right column by column afterwards. Rows whose chunks would leave the array are copied piece by piece.
//
// Versions of a shift, 128x3x32x32 bytes padded by 4, one thread of Emerald Rapids, us (copying them: 10):
//   a stripe of a plane at once, then the columns from beyond the border    75
//   chunks; what a row needs is looked up again after each store of bytes   79
//   all rows of a plane that can be read in chunks, masks in registers      30
// The same made floats by a scale, from vectors widened lane by lane by the compiler: 415; by one instruction: 65.

#pragma once

#include "kernels/augment/border.h"
#include "kernels/augment/pixels.h"
#include "simd/lanes.h"

namespace einkorn {
inline namespace EINKORN_ISA {
namespace augment {

// An image, or the window of it that counts.
template <class In>
struct Source {
  const In* base;
  int64_t height, width, pitch, plane;
  int64_t room;  // elements from base to the array's end
};

template <class In>
Source<In> source_of(const AugmentWarp& k, int64_t image) {
  const Pictures& p = k.p;
  const int64_t plane = p.height * p.width, first = image * p.channels * plane;
  Source<In> s = {static_cast<const In*>(p.x) + first,  p.height, p.width, p.width, plane,
                  p.images * p.channels * plane - first};
  if (k.window != nullptr) {
    const int32_t* const w = k.window + 4 * image;
    const int64_t corner = w[1] * p.width + w[0];
    s.base += corner;
    s.room -= corner;
    s.width = w[2] - w[0];
    s.height = w[3] - w[1];
  }
  return s;
}

template <class Out>
Out* out_row(const AugmentWarp& k, int64_t image, int64_t channel, int64_t i) {
  return static_cast<Out*>(k.p.out) + ((image * k.p.channels + channel) * k.out_height + i) * k.out_width;
}

EINKORN_INLINE const float* entry(const float* table, int64_t channel) {
  return table == nullptr ? nullptr : table + channel;
}

// An axis that stays one: output i is at scale * i + offset.
struct Axis {
  double scale, offset;

  bool whole() const {
    return (scale == 1 || scale == -1) && offset == __builtin_rint(offset) && offset >= -kFar && offset <= kFar;
  }
};

template <class In>
EINKORN_INLINE In as_pixel(float fill) {
  if constexpr (sizeof(In) == 1)
    return static_cast<In>(fill >= 0 ? (fill <= 255 ? __builtin_rintf(fill) : 255) : 0);
  else
    return fill;
}

// out[j] = pixels[index[j]], or fill, of columns [begin, end).
template <class In>
EINKORN_INLINE void copy_columns(In* out, const In* pixels, const int32_t* index, In fill, int64_t begin, int64_t end) {
  for (int64_t j = begin; j < end; ++j) out[j] = index[j] < 0 ? fill : pixels[index[j]];
}

template <class In>
EINKORN_INLINE void fill_with(In* out, int64_t size, In fill) {
  if constexpr (sizeof(In) == 1)
    memset(out, fill, static_cast<size_t>(size));
  else
    for (int64_t j = 0; j < size; ++j) out[j] = fill;
}

// ---- chunks ----

template <int kBytes>
struct ChunkOf {
  typedef uint8_t type __attribute__((vector_size(kBytes)));
};
template <int kBytes>
using Chunk = typename ChunkOf<kBytes>::type;

template <int kBytes>
EINKORN_INLINE Chunk<kBytes> load_chunk(const void* p) {
  Chunk<kBytes> v;
  memcpy(&v, p, kBytes);
  return v;
}

// Where each byte comes from when elements of kSize bytes change their order.
template <int kBytes, int kSize>
struct Reversal {
  alignas(kBytes) uint8_t from[kBytes];

  constexpr Reversal() : from{} {
    for (int i = 0; i < kBytes; ++i) from[i] = static_cast<uint8_t>(kBytes - kSize - i / kSize * kSize + i % kSize);
  }
};
template <int kBytes, int kSize>
constexpr Reversal<kBytes, kSize> kReversal{};

template <int kBytes, int kSize>
EINKORN_INLINE Chunk<kBytes> reversed(Chunk<kBytes> v) {
#if defined(__clang__)
  Chunk<kBytes> out;
  EINKORN_UNROLL for (int i = 0; i < kBytes; ++i) out[i] = v[kReversal<kBytes, kSize>.from[i]];
  return out;
#else
  return __builtin_shuffle(v, load_chunk<kBytes>(kReversal<kBytes, kSize>.from));
#endif
}

// Rows of `width` elements, at least a chunk; the first one's first from pixels[first], the next one's `step` further. Those where
// `inside` is 0 from `beyond`.
template <int kBytes, bool kBackwards, class In>
__attribute__((noinline)) void chunked_rows(In* out, const In* pixels, int64_t step, int64_t rows, int64_t width,
                                            const uint8_t* inside, const uint8_t* beyond) {
  constexpr int64_t kSize = sizeof(In), L = kBytes / kSize;
  const auto read = [&](int64_t j) EINKORN_LAMBDA {
    const Chunk<kBytes> v = load_chunk<kBytes>(pixels + (kBackwards ? -j - (L - 1) : j));
    if constexpr (kBackwards)
      return reversed<kBytes, kSize>(v);
    else
      return v;
  };
  const int64_t tail = width - L;
  if (tail <= L) {  // two chunks, whose masks stay in registers
    const Chunk<kBytes> m = load_chunk<kBytes>(inside), n = load_chunk<kBytes>(inside + tail * kSize);
    const Chunk<kBytes> o = load_chunk<kBytes>(beyond), p = load_chunk<kBytes>(beyond + tail * kSize);
    for (int64_t i = 0; i < rows; ++i, out += width, pixels += step) {
      const Chunk<kBytes> v = (read(0) & m) | o;
      memcpy(out, &v, kBytes);
      if (tail == 0) continue;
      const Chunk<kBytes> u = (read(tail) & n) | p;
      memcpy(out + tail, &u, kBytes);
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i, out += width, pixels += step)
    for (int64_t j = 0; j < width; j += L) {
      j = j < tail ? j : tail;
      const Chunk<kBytes> v =
          (read(j) & load_chunk<kBytes>(inside + j * kSize)) | load_chunk<kBytes>(beyond + j * kSize);
      memcpy(out + j, &v, kBytes);
    }
}

// The same times a plus b, by vectors of floats. `inside` are whole numbers.
template <bool kBackwards, class In, class Out>
__attribute__((noinline)) void scaled_rows(Out* out, const In* pixels, int64_t step, int64_t rows, int64_t width,
                                           const int32_t* inside, float fill, float a, float b) {
  const auto read = [&](int64_t j) EINKORN_LAMBDA {
    const Floats v = load_pixels(pixels + (kBackwards ? -j - (kLane - 1) : j), kLane);
    if constexpr (kBackwards)
      return shuffle<float>(v, v, [](int i) { return kLane - 1 - i; });
    else
      return v;
  };
  const int64_t tail = width - kLane;
  for (int64_t i = 0; i < rows; ++i, out += width, pixels += step)
    for (int64_t j = 0; j < width; j += kLane) {
      j = j < tail ? j : tail;
      const Floats v = load(inside + j) != 0 ? read(j) : broadcast(fill);
      store_pixels(out + j, kLane, v * a + b);
    }
}

// ---- rows ----

// What all rows of an image share. Stores of bytes might write to any struct, as far as a compiler knows: the loop has copies.
template <class In>
struct Copying {
  Source<In> s;
  int64_t first, begin, end;  // the source's column of out's first; out's columns inside
  const int32_t* index;
  uint8_t* inside;
  In* line;
  bool plain, fills;
};

// A row whose chunks would leave the array, or none at all: row < 0.
template <bool kBackwards, class In, class Out>
__attribute__((noinline)) void careful_row(const Copying<In>& copy, Out* out, const In* pixels, int64_t row,
                                           int64_t width, In fill, float a, float b) {
  In* const whole = copy.plain ? reinterpret_cast<In*>(out) : copy.line;
  if (row < 0) {
    fill_with(whole, width, fill);
  } else {
    copy_columns(whole, pixels, copy.index, fill, 0, copy.begin);
    if constexpr (kBackwards)
      for (int64_t j = copy.begin; j < copy.end; ++j) whole[j] = pixels[copy.first - j];
    else
      memcpy(whole + copy.begin, pixels + copy.first + copy.begin,
             static_cast<size_t>(copy.end - copy.begin) * sizeof(In));
    copy_columns(whole, pixels, copy.index, fill, copy.end, width);
  }
  if (copy.plain) return;
  for_vectors<float>(width, [&](int64_t j, int64_t n)
                                EINKORN_LAMBDA { store_pixels(out + j, n, load_pixels(copy.line + j, n) * a + b); });
}

// Rows [from, to) of an image all of whose steps are one pixel long, down or up; kBackwards: to the left.
template <class In, class Out, bool kBackwards>
void copy_rows(const AugmentWarp& k, const Source<In>& source, const WarpSlot& w, Axis x, Axis y, int64_t image,
               int64_t from, int64_t to) {
  constexpr int64_t kSize = sizeof(In);
  const Source<In> s = source;
  const int64_t first = static_cast<int64_t>(x.offset), width = k.out_width, bytes = width * kSize;
  const int64_t down = y.scale > 0 ? 1 : -1, top = static_cast<int64_t>(y.offset);
  const bool plain = kSize == sizeof(Out) && k.scale == nullptr;
  if (plain && !kBackwards && down == 1 && top == 0 && first == 0 && width == s.pitch && k.out_height == s.height) {
    for (int64_t c = 0; c < k.p.channels; ++c)  // as it is
      memcpy(out_row<Out>(k, image, c, from), s.base + c * s.plane + from * width,
             static_cast<size_t>((to - from) * bytes));
    return;
  }
  int64_t begin = kBackwards ? first - s.width + 1 : -first, end = kBackwards ? first + 1 : s.width - first;
  begin = begin < 0 ? 0 : begin > width ? width : begin;
  end = end > width ? width : end < begin ? begin : end;
  for (int64_t j = 0; j < width; ++j) {
    if (j == begin) j = end;
    if (j < width) w.index[j] = static_cast<int32_t>(place_of(kBackwards ? first - j : first + j, s.width, k.border));
  }
  const Copying<In> copy = {
      s,     first,        begin, end, w.index, reinterpret_cast<uint8_t*>(w.low), reinterpret_cast<In*>(w.line),
      plain, k.border == 0};
  const int64_t unit = plain ? kSize : 4;
  memset(copy.inside, 0, static_cast<size_t>(width * unit));
  memset(copy.inside + begin * unit, 255, static_cast<size_t>((end - begin) * unit));
  // Places in the array of all pictures.
  const int64_t lowest = s.base - static_cast<const In*>(k.p.x) + (kBackwards ? first - width + 1 : first);
  const int64_t last = k.p.images * k.p.channels * s.plane - width;

  // Rows of the picture from `low` to `high` can be read in chunks: of out, those from `near` to `far`.
  const int64_t least = plain ? 8 / kSize : kLane, channels = k.p.channels;
  for (int64_t c = 0; c < channels; ++c) {
    const In fill = as_pixel<In>(k.fill[c]);
    const float a = k.scale == nullptr ? 1.0f : k.scale[c], b = k.shift == nullptr ? 0.0f : k.shift[c];
    if (plain) {
      const In beyond = copy.fills ? fill : In{};
      for (int64_t j = 0; j < begin; ++j) copy.line[j] = beyond;
      for (int64_t j = begin; j < end; ++j) copy.line[j] = In{};
      for (int64_t j = end; j < width; ++j) copy.line[j] = beyond;
    }
    const int64_t at = lowest + c * s.plane;  // of row 0
    int64_t low = at < 0 ? (-at + s.pitch - 1) / s.pitch : 0, high = at > last ? 0 : (last - at) / s.pitch + 1;
    high = high > s.height ? s.height : high;
    int64_t near = down > 0 ? low - top : top - high + 1, far = down > 0 ? high - top : top - low + 1;
    near = near < from ? from : near > to ? to : near;
    far = far > to ? to : far < near ? near : far;
    if (width < least) far = near;
    Out* const out = out_row<Out>(k, image, c, 0);
    const In* const plane = s.base + c * s.plane;
    for (int64_t i = from; i < to; ++i) {
      if (i == near) i = far;
      if (i == to) break;
      const int64_t row = place_of(down * i + top, s.height, k.border);
      careful_row<kBackwards>(copy, out + i * width, plane + (row < 0 ? 0 : row) * s.pitch, row, width, fill, a, b);
    }
    if (far == near) continue;
    const In* const pixels = plane + (down * near + top) * s.pitch + first;
    const int64_t step = down * s.pitch, rows = far - near;
    if (plain) {
      In* const o = reinterpret_cast<In*>(out) + near * width;
      const uint8_t* const beyond = reinterpret_cast<const uint8_t*>(copy.line);
      if (bytes >= 32)
        chunked_rows<32, kBackwards>(o, pixels, step, rows, width, copy.inside, beyond);
      else if (bytes >= 16)
        chunked_rows<16, kBackwards>(o, pixels, step, rows, width, copy.inside, beyond);
      else
        chunked_rows<8, kBackwards>(o, pixels, step, rows, width, copy.inside, beyond);
    } else {
      scaled_rows<kBackwards>(out + near * width, pixels, step, rows, width, w.low, static_cast<float>(fill), a, b);
    }
    if (copy.fills) continue;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < width; ++j) {
        if (j == begin) j = end;
        if (j == width) break;
        const In pixel = (pixels - first + i * step)[copy.index[j]];
        Out* const o = out + (near + i) * width + j;
        if (plain)
          *reinterpret_cast<In*>(o) = pixel;
        else
          store_pixels(o, 1, broadcast(static_cast<float>(pixel)) * a + b);
      }
  }
}

}  // namespace augment
}  // namespace EINKORN_ISA
}  // namespace einkorn
