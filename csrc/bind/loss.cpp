#include "kernels/loss.h"

#include "bind/quick.h"

namespace einkorn::bind_loss {

namespace {

void require_size(const Array& a, int64_t size, const char* name) {
  if (a && a.size() != size)
    throw py::value_error(std::string("argument '") + name + "' has " + std::to_string(a.size()) +
                          " elements, expected " + std::to_string(size));
}

void require_array(const Array& a, const char* name) {
  if (!a) throw py::type_error(std::string("argument '") + name + "' must be an array");
}

Reduction reduction_from(int code) {
  if (code < 0 || code > 2) throw py::value_error("reduction is 0 (none), 1 (mean) or 2 (sum)");
  return static_cast<Reduction>(code);
}

void check_logits(const Array& logits) {
  if (logits.ndim != 2) throw py::value_error("logits must be [rows, n]");
}

// cross_entropy(logits, target, kept): the mean loss of a few rows, none of them to be ignored; declined where a label is none of a
// class. kept: (loss, lse, row_weight, total_weight), as the gradient reads them.
PyObject* quick_cross_entropy(PyObject* const* operands, Py_ssize_t count) {
  Array logits, target, part[4];  // loss, lse, row_weight, total_weight
  if (count != 3 || !view_plain(operands[0], logits) || !view_plain_index(operands[1], target)) Py_RETURN_NONE;
  if (logits.ndim != 2 || target.ndim != 1 || logits.size() > kKeepsGil || target.shape[0] != logits.shape[0])
    Py_RETURN_NONE;
  const int64_t rows = logits.shape[0], n = logits.shape[1];
  const int64_t* const label = static_cast<const int64_t*>(target.data);
  bool fits = true;
  for (int64_t r = 0; r < rows; ++r) fits &= label[r] >= 0 && label[r] < n;
  if (!fits) Py_RETURN_NONE;
  Array one = logits, line = logits;
  one.ndim = 0;
  line.ndim = 1;
  Fresh loss(one), lse(line), row_weight(line), total(one);
  Fresh* const made[4] = {&loss, &lse, &row_weight, &total};
  for (int i = 0; i < 4; ++i)
    if (!made[i]->view(part[i])) return nullptr;
  by_dtype(logits, [&]<class T>() {
    T losses[kKeepsGil];
    launch(&LossKernels<T>::cross_entropy_forward,
           {part[0].out<T>("loss"), losses, part[2].out<T>("row_weight"), part[3].out<T>("total_weight"),
            part[1].out<T>("lse"), logits.in<T>("logits"), label, nullptr, rows, n, int64_t{-1}, T{0}, Reduction::mean,
            workspace()});
  });
  if (operands[2] != Py_True) return loss.hand_out();
  PyObject* const tuple = PyTuple_New(4);
  if (tuple == nullptr) return nullptr;
  for (int i = 0; i < 4; ++i) PyTuple_SET_ITEM(tuple, i, made[i]->hand_out());
  return tuple;
}

void run_loss(Entry<LossKernels, LossForward> kernel, const Array& loss, const Array& x, const Array& target,
              double scale, double beta) {
  require_array(x, "x");
  require_array(target, "target");
  require_size(target, x.size(), "target");
  const bool each = loss.ndim > 0;
  require_size(loss, each ? x.size() : 1, "loss");
  by_dtype(loss, [&]<class T>() {
    run_in_scratch<LossParts>(kernel.of<T>(), {loss.out<T>("loss"), x.in<T>("x"), target.in<T>("target"), x.size(),
                                               scale, beta, each, workspace()});
  });
}

void run_loss_grad(Entry<LossKernels, LossBackward> kernel, const Array& gx, const Array& gloss, const Array& x,
                   const Array& target, double scale, double beta) {
  require_array(gloss, "gloss");
  require_array(x, "x");
  require_array(target, "target");
  const bool each = gloss.ndim > 0;
  require_size(gloss, each ? gx.size() : 1, "gloss");
  require_size(x, gx.size(), "x");
  require_size(target, gx.size(), "target");
  by_dtype(gx, [&]<class T>() {
    run(kernel.of<T>(), {gx.out<T>("gx"), gloss.in<T>("gloss"), x.in<T>("x"), target.in<T>("target"), gx.size(), scale,
                         beta, each, workspace()});
  });
}

// Losses of a prediction and a target: name_forward(loss, x, target, scale), name_backward(gx, gloss, x, target, scale)
void bind_forward(const Module& m, const char* name, Entry<LossKernels, LossForward> kernel) {
  m.def(
      name,
      [kernel](const Array& loss, const Array& x, const Array& target, double scale) {
        run_loss(kernel, loss, x, target, scale, 0);
      },
      "loss"_a, "x"_a, "target"_a, "scale"_a);
}

void bind_backward(const Module& m, const char* name, Entry<LossKernels, LossBackward> kernel) {
  m.def(
      name,
      [kernel](const Array& gx, const Array& gloss, const Array& x, const Array& target, double scale) {
        run_loss_grad(kernel, gx, gloss, x, target, scale, 0);
      },
      "gx"_a, "gloss"_a, "x"_a, "target"_a, "scale"_a);
}

}  // namespace

EINKORN_BINDINGS(loss, m) {
  add_quick("cross_entropy", &quick_cross_entropy);

  m.def(
      "cross_entropy_forward",
      [](const Array& loss, const Array& losses, const Array& row_weight, const Array& total_weight, const Array& lse,
         const Array& logits, const Array& target, const Array& class_weight, int64_t ignore_index,
         double label_smoothing, int reduction) {
        check_logits(logits);
        const int64_t rows = logits.shape[0], n = logits.shape[1];
        const Reduction how = reduction_from(reduction);
        if (how != Reduction::none) require_array(loss, "loss");
        require_array(losses, "losses");
        require_array(row_weight, "row_weight");
        require_array(total_weight, "total_weight");
        require_array(lse, "lse");
        require_array(target, "target");
        require_size(loss, 1, "loss");
        require_size(losses, rows, "losses");
        require_size(row_weight, rows, "row_weight");
        require_size(total_weight, 1, "total_weight");
        require_size(lse, rows, "lse");
        require_size(target, rows, "target");
        require_size(class_weight, n, "class_weight");
        by_dtype(logits, [&]<class T>() {
          run(&LossKernels<T>::cross_entropy_forward,
              {loss.optional_out<T>("loss"), losses.out<T>("losses"), row_weight.out<T>("row_weight"),
               total_weight.out<T>("total_weight"), lse.out<T>("lse"), logits.in<T>("logits"),
               target.in<int64_t>("target"), class_weight.optional_in<T>("class_weight"), rows, n, ignore_index,
               static_cast<T>(label_smoothing), how, workspace()});
        });
      },
      "loss"_a.none(true), "losses"_a, "row_weight"_a, "total_weight"_a, "lse"_a, "logits"_a, "target"_a,
      "class_weight"_a.none(true), "ignore_index"_a, "label_smoothing"_a, "reduction"_a);

  m.def(
      "cross_entropy_backward",
      [](const Array& glogits, const Array& gloss, const Array& logits, const Array& target, const Array& lse,
         const Array& row_weight, const Array& total_weight, const Array& class_weight, int64_t ignore_index,
         double label_smoothing, int reduction) {
        check_logits(logits);
        const int64_t rows = logits.shape[0], n = logits.shape[1];
        const Reduction how = reduction_from(reduction);
        require_array(gloss, "gloss");
        require_array(target, "target");
        require_array(lse, "lse");
        require_array(row_weight, "row_weight");
        require_array(total_weight, "total_weight");
        require_size(glogits, rows * n, "glogits");
        require_size(gloss, how == Reduction::none ? rows : 1, "gloss");
        require_size(target, rows, "target");
        require_size(lse, rows, "lse");
        require_size(row_weight, rows, "row_weight");
        require_size(total_weight, 1, "total_weight");
        require_size(class_weight, n, "class_weight");
        by_dtype(glogits, [&]<class T>() {
          run(&LossKernels<T>::cross_entropy_backward,
              {glogits.out<T>("glogits"), gloss.in<T>("gloss"), logits.in<T>("logits"), target.in<int64_t>("target"),
               lse.in<T>("lse"), row_weight.in<T>("row_weight"), total_weight.in<T>("total_weight"),
               class_weight.optional_in<T>("class_weight"), rows, n, ignore_index, static_cast<T>(label_smoothing), how,
               workspace()});
        });
      },
      "glogits"_a, "gloss"_a, "logits"_a, "target"_a, "lse"_a, "row_weight"_a, "total_weight"_a,
      "class_weight"_a.none(true), "ignore_index"_a, "label_smoothing"_a, "reduction"_a);

  m.def(
      "nll_forward",
      [](const Array& loss, const Array& losses, const Array& row_weight, const Array& total_weight, const Array& x,
         const Array& target, const Array& class_weight, int64_t ignore_index, int reduction) {
        if (x.ndim != 3) throw py::value_error("x must be [outer, n, inner]");
        const int64_t rows = x.shape[0] * x.shape[2], n = x.shape[1];
        const Reduction how = reduction_from(reduction);
        if (how != Reduction::none) require_array(loss, "loss");
        require_size(loss, 1, "loss");
        require_size(losses, rows, "losses");
        require_size(row_weight, rows, "row_weight");
        require_size(total_weight, 1, "total_weight");
        require_size(target, rows, "target");
        require_size(class_weight, n, "class_weight");
        by_dtype(x, [&]<class T>() {
          run(&LossKernels<T>::nll_forward,
              {loss.optional_out<T>("loss"), losses.out<T>("losses"), row_weight.out<T>("row_weight"),
               total_weight.out<T>("total_weight"), x.in<T>("x"), target.in<int64_t>("target"),
               class_weight.optional_in<T>("class_weight"), rows, n, x.shape[2], ignore_index, how, workspace()});
        });
      },
      "loss"_a.none(true), "losses"_a, "row_weight"_a, "total_weight"_a, "x"_a, "target"_a, "class_weight"_a.none(true),
      "ignore_index"_a, "reduction"_a);

  m.def(
      "nll_backward",
      [](const Array& gx, const Array& gloss, const Array& target, const Array& row_weight, const Array& total_weight,
         int reduction) {
        if (gx.ndim != 3) throw py::value_error("gx must be [outer, n, inner]");
        const int64_t rows = gx.shape[0] * gx.shape[2];
        const Reduction how = reduction_from(reduction);
        require_size(gloss, how == Reduction::none ? rows : 1, "gloss");
        require_size(target, rows, "target");
        require_size(row_weight, rows, "row_weight");
        require_size(total_weight, 1, "total_weight");
        by_dtype(gx, [&]<class T>() {
          run(&LossKernels<T>::nll_backward,
              {gx.out<T>("gx"), gloss.in<T>("gloss"), target.in<int64_t>("target"), row_weight.in<T>("row_weight"),
               total_weight.in<T>("total_weight"), rows, gx.shape[1], gx.shape[2], how, workspace()});
        });
      },
      "gx"_a, "gloss"_a, "target"_a, "row_weight"_a, "total_weight"_a, "reduction"_a);

#define EINKORN_BIND_LOSS(name)                                                  \
  bind_forward(m, #name "_forward", EINKORN_ENTRY(LossKernels, name##_forward)); \
  bind_backward(m, #name "_backward", EINKORN_ENTRY(LossKernels, name##_backward));
  EINKORN_BIND_LOSS(mse)
  EINKORN_BIND_LOSS(l1)
  EINKORN_BIND_LOSS(bce)
  EINKORN_BIND_LOSS(bce_with_logits)
  EINKORN_BIND_LOSS(kl_div)
  EINKORN_BIND_LOSS(kl_div_log)
#undef EINKORN_BIND_LOSS

  m.def(
      "smooth_l1_forward",
      [](const Array& loss, const Array& x, const Array& target, double scale, double beta) {
        run_loss(EINKORN_ENTRY(LossKernels, smooth_l1_forward), loss, x, target, scale, beta);
      },
      "loss"_a, "x"_a, "target"_a, "scale"_a, "beta"_a);
  m.def(
      "smooth_l1_backward",
      [](const Array& gx, const Array& gloss, const Array& x, const Array& target, double scale, double beta) {
        run_loss_grad(EINKORN_ENTRY(LossKernels, smooth_l1_backward), gx, gloss, x, target, scale, beta);
      },
      "gx"_a, "gloss"_a, "x"_a, "target"_a, "scale"_a, "beta"_a);
}

}  // namespace einkorn::bind_loss
