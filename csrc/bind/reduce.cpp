#include "kernels/reduce.h"

#include <math.h>

#include "bind/quick.h"

namespace einkorn::bind_reduce {

namespace {

struct Axes {
  int ndim = 0;
  int64_t shape[kMaxDims];
  int64_t strides[kMaxDims];

  // The next inner axis; merged with the one before where x steps through both as through one.
  void add(int64_t n, int64_t stride) {
    if (ndim > 0 && strides[ndim - 1] == stride * n) {
      shape[ndim - 1] *= n;
      strides[ndim - 1] = stride;
    } else {
      shape[ndim] = n;
      strides[ndim++] = stride;
    }
  }

  void finish(int& to_ndim, int64_t* to_shape, int64_t* to_strides) {
    if (ndim == 0) add(1, 0);
    to_ndim = ndim;
    for (int d = 0; d < ndim; ++d) {
      to_shape[d] = shape[d];
      to_strides[d] = strides[d];
    }
  }
};

struct Prepared {
  ReduceLayout layout;
  int64_t start = 0;   // of x, in elements: reduced axes are walked forward
  double repeats = 1;  // reduced axes with stride 0 are left out: how often each element counts
};

// `each`: elements that x repeats count as often as they are met, as in products.
Prepared prepare(const Array& out, const Array& x, bool each = false) {
  if (!x || out.ndim != x.ndim) throw py::value_error("out and x must have one number of dimensions");
  Prepared p;
  Axes kept, reduced;
  int order[kMaxDims], count = 0;
  int64_t steps[kMaxDims] = {};
  for (int d = 0; d < x.ndim; ++d) {
    const int64_t n = x.shape[d];
    if (out.shape[d] != n && out.shape[d] != 1)
      throw py::value_error("out must have x's shape, with 1 on reduced axes");
    if (n == 1) continue;
    if (out.shape[d] == n) {
      kept.add(n, x.strides[d]);
    } else if (x.strides[d] == 0 && n > 0 && !each) {
      p.repeats *= static_cast<double>(n);
    } else {
      steps[d] = x.strides[d] < 0 ? -x.strides[d] : x.strides[d];
      if (x.strides[d] < 0) p.start += (n - 1) * x.strides[d];
      int at = count++;
      for (; at > 0 && steps[order[at - 1]] < steps[d]; --at) order[at] = order[at - 1];
      order[at] = d;
    }
  }
  for (int i = 0; i < count; ++i) reduced.add(x.shape[order[i]], steps[order[i]]);
  kept.finish(p.layout.kept_ndim, p.layout.kept_shape, p.layout.kept_strides);
  reduced.finish(p.layout.reduced_ndim, p.layout.reduced_shape, p.layout.reduced_strides);
  return p;
}

void run_reduce(Entry<ReduceKernels, Reduce> kernel, const Array& out, const Array& x, const Prepared& p, double scale,
                bool brief = false) {
  // Dividing by n is exact more often than multiplying by 1/n: recognize the scale of a mean.
  const double n = std::nearbyint(1.0 / scale);
  const bool divides = std::isfinite(n) && n > 1 && 1.0 / n == scale;
  by_dtype(out, [&]<class T>() {
    run_in_scratch<ReduceParts<T>>(
        kernel.of<T>(),
        {out.out<T>("out"), x.strided<T>("x") + p.start, p.layout,
         static_cast<T>(divides ? p.repeats : scale * p.repeats), static_cast<T>(divides ? n : 1.0), workspace()},
        brief);
  });
}

// reduce_sum(x, scale): of all elements. reduce_sum(x, scale, axis): along one, which the result lacks.
PyObject* quick_sum(PyObject* const* operands, Py_ssize_t count) {
  Array x, out;
  if (count < 2 || !view_plain(operands[0], x) || !PyFloat_CheckExact(operands[1]) || x.size() > kKeepsGil)
    Py_RETURN_NONE;
  Array like = x, kept = x;  // kept: the result with 1 where x is summed
  if (count == 2) {
    like.ndim = 0;
    x.shape[0] = x.size(), x.strides[0] = 1;
    x.ndim = kept.ndim = kept.shape[0] = 1;
  } else {
    int overflow = 0;
    if (!PyLong_CheckExact(operands[2])) Py_RETURN_NONE;
    long axis = PyLong_AsLongAndOverflow(operands[2], &overflow);
    if (axis < 0) axis += x.ndim;
    if (overflow != 0 || axis < 0 || axis >= x.ndim) Py_RETURN_NONE;
    kept.shape[axis] = 1;
    like.ndim = x.ndim - 1;
    for (int d = static_cast<int>(axis); d < like.ndim; ++d) like.shape[d] = x.shape[d + 1];
  }
  Fresh made(like);
  if (!made.view(out)) return nullptr;
  kept.data = out.data, kept.writeable = true;
  int64_t step = 1;
  for (int d = kept.ndim - 1; d >= 0; step *= kept.shape[d--]) kept.strides[d] = step;
  run_reduce(EINKORN_ENTRY(ReduceKernels, reduce_sum), kept, x, prepare(kept, x), PyFloat_AS_DOUBLE(operands[1]), true);
  return made.hand_out();
}

// name(out, x)
void bind_reduction(const Module& m, const char* name, Entry<ReduceKernels, Reduce> kernel, bool each) {
  m.def(
      name,
      [=](const Array& out, const Array& x) {
        Prepared p = prepare(out, x, each);
        p.repeats = 1;
        run_reduce(kernel, out, x, p, 1.0);
      },
      "out"_a, "x"_a);
}

// The answer goes to Python at once; its place outlives the call, so that a recorded launch still has somewhere to write.
int64_t first_out_of_range(const Array& index, int64_t low, int64_t high, int64_t ignore) {
  static thread_local int64_t position;
  position = -1;
  const FirstOutOfRange args{&position, index.in<int64_t>("index"), index.size(), low, high, ignore, workspace()};
  constexpr int64_t kBrief = 8192;  // shorter lists are done before the GIL has changed hands
  if (args.size < kBrief)
    launch(&ReduceIndexKernels::first_out_of_range, args);
  else
    run(&ReduceIndexKernels::first_out_of_range, args);
  return position;
}

void clamp_indices(const Array& out, const Array& position, const Array& index, int64_t low, int64_t high,
                   int64_t ignore) {
  if (out.size() != index.size() || position.size() != 1 || low >= high)
    throw py::value_error("clamp_indices: out must be as long as index, position of size 1, and low below high");
  run(&ReduceIndexKernels::clamp_indices, {out.out<int64_t>("out"), position.out<int64_t>("position"),
                                           index.in<int64_t>("index"), index.size(), low, high, ignore, workspace()});
}

}  // namespace

EINKORN_BINDINGS(reduce, m) {
  add_quick("reduce_sum", &quick_sum);

  m.def(
      "reduce_sum",
      [](const Array& out, const Array& x, double scale) {
        run_reduce(EINKORN_ENTRY(ReduceKernels, reduce_sum), out, x, prepare(out, x), scale);
      },
      "out"_a, "x"_a, "scale"_a);

  bind_reduction(m, "reduce_max", EINKORN_ENTRY(ReduceKernels, reduce_max), false);
  bind_reduction(m, "reduce_min", EINKORN_ENTRY(ReduceKernels, reduce_min), false);
  bind_reduction(m, "reduce_prod", EINKORN_ENTRY(ReduceKernels, reduce_prod), true);

  m.def(
      "argmax",
      [](const Array& out, const Array& x) {
        if (x.ndim != 3 || out.size() != x.shape[0] * x.shape[2])
          throw py::value_error("argmax: x must be 3-d, out [outer, inner]");
        by_dtype(x, [&]<class T>() {
          run(&ReduceKernels<T>::argmax,
              {out.out<int64_t>("out"), x.in<T>("x"), x.shape[0], x.shape[1], x.shape[2], workspace()});
        });
      },
      "out"_a, "x"_a);

  m.def("first_out_of_range", &first_out_of_range, "index"_a, "low"_a, "high"_a, "ignore"_a);
  m.def("clamp_indices", &clamp_indices, "out"_a, "position"_a, "index"_a, "low"_a, "high"_a, "ignore"_a);
}

}  // namespace einkorn::bind_reduce
