// What the two Winograd kernels share: how tiles are walked, and the transform of the input along one direction.

#pragma once

#include "kernels/conv/conv_methods.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kPoints = 16;  // of a 4x4 tile

// Tiles that lie side by side in one row: the unit of the transforms.
struct TileRun {
  int64_t image, y, x, size;  // first tile
  int64_t at;                 // its place in the block
};

// Cuts the tiles first, ..., first + count - 1, counted flat over (n, y, x), into runs of at most `most`.
template <class Body>
EINKORN_INLINE void for_runs(int64_t tiles_y, int64_t tiles_x, int64_t first, int64_t count, int64_t most,
                             const Body& body) {
  for (int64_t at = 0; at < count;) {
    const int64_t tile = first + at, image = tile / (tiles_y * tiles_x), rest = tile % (tiles_y * tiles_x);
    TileRun run = {image, rest / tiles_x, rest % tiles_x, 0, at};
    run.size = smaller(smaller(tiles_x - run.x, count - at), most);
    body(run);
    at += run.size;
  }
}

// Bt d
template <class V>
EINKORN_INLINE void input_points(V d0, V d1, V d2, V d3, V& p0, V& p1, V& p2, V& p3) {
  p0 = d0 - d2;
  p1 = d1 + d2;
  p2 = d2 - d1;
  p3 = d1 - d3;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
