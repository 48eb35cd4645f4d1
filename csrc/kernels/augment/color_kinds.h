// The steps of a program of colours, in the order of their numbers: what the bodies of the CPU and of the GPU have in common.

#pragma once

namespace einkorn {
inline namespace EINKORN_ISA {
namespace augment {

enum Kind {
  none,
  brightness,
  contrast,
  saturation,
  hue,
  posterise,
  solarise,
  invert,
  stretch,
  equalise,
  grey,
  offset,
  plane_contrast,
  add,
  bits
};

}  // namespace augment
}  // namespace EINKORN_ISA
}  // namespace einkorn
