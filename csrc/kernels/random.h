// Random numbers: uniform, normal, dropout, permutation. A function of (seed, offset, position) alone.
//
//   uniform      out = low + u (high - low)
//   normal       out = mean + std z, in pairs z = r cos t, r sin t: r = sqrt(-2 ln u1), t = 2 pi u2 (Box and Muller)
//   dropout      out = x / (1 - p) where u >= p, else 0 (also where x is NaN or infinite)
//   permutation  out = 0 .. n-1; for k = 0 .. n-2: i = n-1-k, swap i with word k * (i + 1) / 2^32 (Durstenfeld 1964)
//
// The stream of 32-bit words of a seed is Philox4x32-10 (philox.h), from counter `offset` on, four words a counter.
//
//   float     element i takes word i:            u = (word >> 8) / 2^24
//   double    element i takes words 2i, 2i+1:    u = ((low | high << 32) >> 11) / 2^53
//   normal    u1 = u + one step, so that it is in (0, 1]; elements 2j and 2j+1 share the draws 2j and 2j+1
//   dropout   both types take word i, so that one seed gives one mask
//
// Layout      contiguous. Dropout: out may be x. permutation: n <= 2^32.
// Zero sizes  nothing happens.    NaN  dropout keeps those it keeps. p = 1 gives zeros; p is in [0, 1].
// Writes      every element of out. An element depends on its position only: same bits for any thread count.
// Counters    ceil(n / 4), for double uniform and normal ceil(n / 2): what the caller advances its offset by.
// Cost        ten rounds of a counter are 60 integer instructions for 4 words; normal adds about 30 FLOP an element.
//             Bytes: out, and x for dropout. Permutation: n swaps at random places.
//
// A recorder that replays a launch adds to `offset` what one round of the recorded step takes.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Uniform {
  T* out;
  int64_t size;
  uint64_t seed, offset;
  T low, high;
  Workspace ws;
};

template <class T>
struct Normal {
  T* out;
  int64_t size;
  uint64_t seed, offset;
  T mean, std;
  Workspace ws;
};

template <class T>
struct Dropout {
  T* out;
  const T* x;
  int64_t size;
  uint64_t seed, offset;
  double p;
  Workspace ws;
};

struct Permutation {
  int64_t* out;
  int64_t size;
  uint64_t seed, offset;
  Workspace ws;
};

#define EINKORN_RANDOM_KERNELS(X) \
  X(uniform, Uniform)             \
  X(normal, Normal)               \
  X(dropout, Dropout)

#define EINKORN_RANDOM_INDEX_KERNELS(X) X(permutation, Permutation)

EINKORN_FLOAT_TABLE(RandomKernels, EINKORN_RANDOM_KERNELS)
EINKORN_INDEX_TABLE(RandomIndexKernels, EINKORN_RANDOM_INDEX_KERNELS)

}  // namespace einkorn
