// Weights in panels, as the register tiles of convolution by matrix products and straight from the image read them.

#pragma once

#include "kernels/conv/conv_methods.h"
#include "kernels/gemm_tile.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Elements from one panel of w to the next.
template <class T>
inline int64_t panel_step(const TapConvolution<T>& c, const RowPanels& panels) {
  return c.in_channels * c.taps * panels.rows + kPanelRoom;
}

// panel[(i * taps + t) * rows + r] = w[o + r, i, t], or zero for a row that is not live
template <class T>
inline void pack_channel(T* panel, const TapConvolution<T>& c, int rows, const T* w, int live) {
  for (int t = 0; t < c.taps; ++t, panel += rows)
    for (int r = 0; r < rows; ++r) panel[r] = r < live ? w[r * c.w_out_step + c.tap[t].index] : T(0);
}

// The panels of w of every phase. Phases take their taps from the same lines of w, which are therefore read once for all.
template <class T>
inline void pack_weights(const TapConvolution<T>* phases, int count, T* weights, const RowPanels& panels,
                         const Workspace& ws) {
  const TapConvolution<T>& c = phases[0];
  bool in_order = count == 1 && c.w_in_step == c.taps;
  for (int t = 0; t < c.taps && in_order; ++t) in_order = c.tap[t].index == t;
  int64_t taps = 0;
  for (int p = 0; p < count; ++p) taps += phases[p].taps;
  const double cost = 0.5 * static_cast<double>(c.in_channels * taps * panels.rows);
  parallel_for(ws, c.groups * panels.count, cost, [&](int64_t task, int) {
    const int64_t group = task / panels.count, o = task % panels.count * panels.rows;
    const int live = static_cast<int>(smaller(panels.rows, larger(c.out_channels - o, 0)));
    const T* const w = c.w + group * c.w_group_step + o * c.w_out_step;
    if (in_order && live == panels.rows) {
      const int64_t steps = c.in_channels * c.taps;
      return pack_a_panel(weights + task * panel_step(c, panels), panels.rows, steps, w, c.w_out_step, 1);
    }
    for (int64_t i = 0; i < c.in_channels; ++i) {
      T* all = weights;
      for (int p = 0; p < count; ++p) {
        const int64_t step = panel_step(phases[p], panels);
        pack_channel(all + task * step + i * phases[p].taps * panels.rows, phases[p], panels.rows, w + i * c.w_in_step,
                     live);
        all += c.groups * panels.count * step;
      }
    }
  });
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
