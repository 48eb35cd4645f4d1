// Augmentation: batches of pictures seen from elsewhere, in other colours, blurred, with noise. Each image has parameters of its own.
//
//   warp     out[n,c,i,j] = x[n,c] at p, p = (X / W, Y / W) + field[n,:,i,j], (X, Y, W) = matrix[n] (j, i, 1): places in pixels, x first
//   color    out[n] = steps K-1, ..., 1, 0 of program n applied to x[n]; kinds and values below
//   filter   out[n,c] = keep[n] x[n,c] + gain[n] (rows[n] down, then columns[n] across, over x[n,c] mirrored about its outermost pixels)
//   noise    out[n,c] = x[n,c] + amount[n] z,  or 0 and `limit` at random places
//   erase    out[n,c] = filler[n,c], or values[c], within boxes[n]; x[n,c] elsewhere
//   mirror   out[n,c,i,j] = x[n,c,i',j'], j' = W-1-j where across[n] says so, i' = H-1-i where down[n] does
//
// Shapes       x [N, C, H, W], out the same, of a warp [N, C, OH, OW]. uint8, or float32; a warp and a color may turn bytes into
//              floats. matrix [N, 9] in double; window [N, 4] left, top, right, bottom: all that there is of the image, whose corner
//              is then (0, 0); field [N, 2, OH, OW]; fill [C]. boxes [N, 4] left, top, right,
//              bottom, of no area: nothing. All contiguous. `last`: a color and a mirror of x and out [N, H, W, C].
// Warp         mode 0 linear, 1 nearest (half to even). border 0: fill lies around the image, 1: its edge goes on, 2: mirrored with
//              its edge, 3: mirrored about it, 4: repeated. taps 0, or the most taps along an axis that shrinks: a triangle as wide
//              as the scale, over what lies inside (border 1, axes that stay axes, no field). Places beyond 2^21, and NaN, are there.
// Color        1 x v; 2 v x + (1 - v) mean of grey; 3 v x + (1 - v) grey; 4 hue turned by v of a circle; 5 v bits kept; 6 inverted
//              where x >= v; 7 inverted; 8 stretched over 0 .. limit, channel by channel; 9 equalised; 10 grey; 11 x + v, within the
//              image's own range; 12 v x + (1 - v) mean of the channel; 13 x + v; 14 v bits of its whole number, of eight, kept. All but
//              11 give values in 0 .. limit. Grey is 0.2989 r + 0.587 g + 0.114 b of three channels, the
//              mean of others. Of bytes, each step gives whole numbers, rounded down, as its value would be stored.
// Scale        scale, shift [C]: the result times scale plus shift, in floats. Bytes are rounded to the nearest, half to even.
// Noise        kind 0: normal z, 1: z even in [-1, 1), 2: an element is changed with probability amount, to `limit` with probability
//              salt and to 0 else. Element e of an image takes the numbers of random.h of the stream `seed` from counter rows[n] 2^32.
//              limit > 0 clamps to 0 .. limit, limit = 0 nothing.
// Aliasing     color, noise and erase may write over x, where both have one type; the others not.   Zero sizes  nothing happens.
// NaN          of x propagates, through neighbours of weight 0 too; a place that is NaN lies outside.
// Accumulates  in float; means in double. Writes every element. An image depends on itself and its parameters alone: same bits
//              for any number of threads and any batch around it.
// Cost         an element of out: 10 to 20 FLOP and one byte or float read and written; 2 + taps for each tap of a filter.
//
// Sources: Fant, "A nonaliasing, real-time spatial transform technique", 1986; Smith, "Color gamut transform pairs", 1978.

#pragma once

#include <stdint.h>

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

// Bytes where `bytes` says so, else floats.
struct Pictures {
  void* out;
  const void* x;
  int64_t images, channels, height, width;
  bool bytes, bytes_out;
};

struct AugmentWarp {
  Pictures p;
  const double* matrix;
  const int32_t* window;  // may be null
  const float* field;     // may be null
  const float* fill;
  const float* scale;  // may be null, with shift
  const float* shift;
  int64_t out_height, out_width, taps;
  int mode, border;
  Workspace ws;
};

struct AugmentColor {
  Pictures p;
  const int32_t* kinds;  // [N, steps]
  const float* values;
  const float* scale;  // may be null, with shift
  const float* shift;
  int64_t steps;
  float limit;
  bool last;
  Workspace ws;
};

struct AugmentFilter {
  Pictures p;
  const float* rows;     // [N, row_taps]
  const float* columns;  // [N, column_taps]
  const float* keep;
  const float* gain;
  int64_t row_taps, column_taps;
  bool edges;  // pixels whose window sticks out are left as they are
  float limit;
  Workspace ws;
};

struct AugmentNoise {
  Pictures p;
  const int64_t* rows;
  const float* amount;
  const float* salt;
  uint64_t seed;
  int kind;
  float limit;
  Workspace ws;
};

struct AugmentErase {
  Pictures p;
  const int32_t* boxes;
  const float* values;
  const void* filler;  // as x; may be null
  Workspace ws;
};

struct AugmentMirror {
  Pictures p;
  const uint8_t* across;
  const uint8_t* down;
  bool last;
  Workspace ws;
};

inline namespace EINKORN_ISA {

constexpr int64_t kAugmentSlack = 64;    // floats behind a row: whole vectors are read and written
constexpr int64_t kAugmentBlock = 1024;  // pixels whose colours are worked out at a time
constexpr int64_t kAugmentBins = 256;

// Of one thread. Tables hold a tap of all columns, then the next one's.
struct WarpSlot {
  int32_t* index;
  float* weight;
  float* inside;
  int32_t* low;  // where a vector's pixels begin, or -1: too far apart
  int32_t* row_index;
  float* row_weight;
  float* blend;
  float* rows;  // [channels, pitch]
  char* line;

  WarpSlot(Carver& c, const AugmentWarp& k) {
    const int64_t taps = k.taps > 2 ? k.taps : 2, pitch = k.out_width + kAugmentSlack;
    index = c.take<int32_t>(taps * pitch);
    weight = c.take<float>(taps * pitch);
    inside = c.take<float>(pitch);
    low = c.take<int32_t>(pitch);
    row_index = c.take<int32_t>(taps);
    row_weight = c.take<float>(taps);
    blend = c.take<float>(k.p.width + kAugmentSlack);
    rows = c.take<float>(k.p.channels * pitch);
    line = c.take<char>(pitch * 4);
  }
};

struct WarpParts {
  PartsOfEach<WarpSlot, AugmentWarp> slots;

  WarpParts(Carver& c, const AugmentWarp& k) : slots(c.each<WarpSlot>(k.ws.threads, k)) {}
};

// Of one thread: a block of pixels, what steps found out about the image, counts.
struct ColorSlot {
  float* block;  // [channels, kAugmentBlock]
  float* found;  // [steps, channels, 2]
  float* lut;    // [steps, channels, kAugmentBins]
  int32_t* counts;
  double* sums;  // of a channel

  ColorSlot(Carver& c, const AugmentColor& k) {
    block = c.take<float>(k.p.channels * kAugmentBlock + kAugmentSlack);
    found = c.take<float>(k.steps * k.p.channels * 2);
    lut = c.take<float>(k.steps * k.p.channels * kAugmentBins);
    counts = c.take<int32_t>(k.p.channels * kAugmentBins);
    sums = c.take<double>(k.p.channels);
  }
};

struct ColorParts {
  PartsOfEach<ColorSlot, AugmentColor> slots;

  ColorParts(Carver& c, const AugmentColor& k) : slots(c.each<ColorSlot>(k.ws.threads, k)) {}
};

// A row summed downwards, with what lies beyond its ends.
struct FilterParts {
  PartOfEach<float> row;

  FilterParts(Carver& c, const AugmentFilter& k) {
    row = c.take_each<float>(k.ws.threads, k.p.width + k.column_taps + 2 * kAugmentSlack);
  }
};

}  // namespace EINKORN_ISA

#define EINKORN_AUGMENT_INDEX_KERNELS(X) \
  X(augment_warp, AugmentWarp)           \
  X(augment_color, AugmentColor)         \
  X(augment_filter, AugmentFilter)       \
  X(augment_noise, AugmentNoise)         \
  X(augment_erase, AugmentErase)         \
  X(augment_mirror, AugmentMirror)

EINKORN_INDEX_TABLE(AugmentIndexKernels, EINKORN_AUGMENT_INDEX_KERNELS)

}  // namespace einkorn
