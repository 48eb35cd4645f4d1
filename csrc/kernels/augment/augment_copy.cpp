// Pictures copied: but for a part that is filled, and mirrored.
//
//   erase    an image is copied whole, and its box written over while it is in L1.
//   mirror   a vector has as many whole pixels as fit; it is read where the row's rest ends, its pixels change their order by one
//            permutation, and what is left of it over the last pixel is written over by the next vector. Pixels beside each other that
//            keep their channels together are as quick as planes.
//
// A task of a mirror is some rows of one image.
//
// 128x3x32x32, one thread of Emerald Rapids beside other programs, us with the call from Python; torchvision's are those of one draw for
// the whole batch, which makes one strided copy of it. A copy of the bytes takes 10, of the floats 105: 63% of torchvision's flip and 34%
// of its erasing, so that three times is out of reach there. Drawing for each picture and the call take 50.
//
//                                    bytes, torchvision    floats, torchvision
//   mirrored by matrices and chunks      90     54             178    166
//   mirrored here                        83     54             161    166
//   erased by slices, in Python         300    167             440    290
//   erased here                         104    156             244    307

#include "kernels/augment/copies.h"

namespace einkorn::EINKORN_ISA {

namespace {

using namespace augment;

template <class T>
void erase_image(const AugmentErase& k, int64_t image) {
  const Pictures& p = k.p;
  const int64_t plane = p.height * p.width, size = p.channels * plane;
  T* const out = static_cast<T*>(p.out) + image * size;
  if (p.out != p.x) memcpy(out, static_cast<const T*>(p.x) + image * size, static_cast<size_t>(size) * sizeof(T));
  const int32_t* const box = k.boxes + 4 * image;
  const int64_t width = box[2] - box[0];
  if (width <= 0) return;
  for (int64_t c = 0; c < p.channels; ++c) {
    const T fill = as_pixel<T>(k.values[c]);
    for (int64_t i = box[1]; i < box[3]; ++i) {
      const int64_t at = c * plane + i * p.width + box[0];
      if (k.filler != nullptr)
        memcpy(out + at, static_cast<const T*>(k.filler) + image * size + at, static_cast<size_t>(width) * sizeof(T));
      else
        fill_with(out + at, width, fill);
    }
  }
}

// How the pixels of a vector, of `group` elements each, change their order. The first ones of the result are the last ones of the
// vector; behind whole pixels lies what is written over.
template <class T>
struct Backwards;

template <>
struct Backwards<float> {
  static constexpr int kSize = kLane;
  Ints from;

  explicit Backwards(int64_t group) : from{} {
    for (int64_t e = 0; e < kSize; ++e) {
      const int64_t at = kSize - (e / group + 1) * group + e % group;
      from[e] = static_cast<int32_t>(at < 0 ? 0 : at);
    }
  }

  EINKORN_INLINE void operator()(float* out, const float* x) const {
    const Floats v = load(x);
    store(out, pick<float>(v, v, from));
  }
};

template <>
struct Backwards<uint8_t> {
  static constexpr int kSize = 16;
  Chunk<kSize> from;

  explicit Backwards(int64_t group) : from{} {
    for (int64_t e = 0; e < kSize; ++e) {
      const int64_t at = kSize - (e / group + 1) * group + e % group;
      from[e] = static_cast<uint8_t>(at < 0 ? 0 : at);
    }
  }

  EINKORN_INLINE void operator()(uint8_t* out, const uint8_t* x) const {
    const Chunk<kSize> v = load_chunk<kSize>(x);
#if defined(__clang__)
    Chunk<kSize> to;
    for (int e = 0; e < kSize; ++e) to[e] = v[from[e]];
#else
    const Chunk<kSize> to = __builtin_shuffle(v, from);
#endif
    memcpy(out, &to, kSize);
  }
};

template <class T>
EINKORN_INLINE void mirrored_row(T* out, const T* x, int64_t width, int64_t group, const Backwards<T>& order) {
  constexpr int64_t kSize = Backwards<T>::kSize;
  const int64_t each = kSize / group;
  int64_t done = 0;
  if (each > 0) {
    for (; (width - done) * group >= kSize; done += each) order(out + done * group, x + (width - done) * group - kSize);
    if (done < width && each * group == kSize && width >= each) {
      order(out + (width - each) * group, x);
      return;
    }
  }
  for (; done < width; ++done)
    for (int64_t g = 0; g < group; ++g) out[done * group + g] = x[(width - 1 - done) * group + g];
}

// Rows [from, to) of an image's, those of its planes one after the other.
template <class T>
void mirror_rows(const AugmentMirror& k, Backwards<T> order, int64_t image, int64_t from, int64_t to) {
  const int64_t group = k.last ? k.p.channels : 1, width = k.p.width, pitch = width * group, height = k.p.height;
  const int64_t first = image * k.p.channels * height * width;
  const T* const x = static_cast<const T*>(k.p.x) + first;
  T* const out = static_cast<T*>(k.p.out) + first;
  const bool across = k.across[image] != 0, down = k.down[image] != 0;
  if (!across && !down) {
    memcpy(out + from * pitch, x + from * pitch, static_cast<size_t>((to - from) * pitch) * sizeof(T));
    return;
  }
  for (int64_t row = from; row < to; ++row) {
    const int64_t i = row % height, source = down ? row - i + height - 1 - i : row;
    if (across)
      mirrored_row(out + row * pitch, x + source * pitch, width, group, order);
    else
      memcpy(out + row * pitch, x + source * pitch, static_cast<size_t>(pitch) * sizeof(T));
  }
}

template <class T>
void mirror(const AugmentMirror& k) {
  const int64_t rows = k.p.height * (k.last ? 1 : k.p.channels), pitch = k.p.width * (k.last ? k.p.channels : 1);
  if (rows * pitch == 0) return;
  const int64_t each = pitch < 32768 ? 32768 / pitch + 1 : 1, stripes = (rows + each - 1) / each;
  const Backwards<T> order(k.last ? k.p.channels : 1);
  const double cost = 0.1 * static_cast<double>(pitch * (each < rows ? each : rows));
  parallel_for(k.ws, k.p.images * stripes, cost, [&](int64_t task, int) {
    const int64_t from = task % stripes * each, to = from + each < rows ? from + each : rows;
    mirror_rows<T>(k, order, task / stripes, from, to);
  });
}

}  // namespace

void augment_erase(const AugmentErase& k) {
  const int64_t size = k.p.channels * k.p.height * k.p.width;
  if (size == 0) return;
  parallel_for(k.ws, k.p.images, 0.1 * static_cast<double>(size), [&](int64_t image, int) {
    if (k.p.bytes)
      erase_image<uint8_t>(k, image);
    else
      erase_image<float>(k, image);
  });
}

void augment_mirror(const AugmentMirror& k) {
  if (k.p.bytes)
    mirror<uint8_t>(k);
  else
    mirror<float>(k);
}

}  // namespace einkorn::EINKORN_ISA
