#include "kernels/boost_loss.h"

#include "bind/array.h"

namespace einkorn::bind_boost_loss {

namespace {

void require_rows(const Array& a, int64_t rows, const char* name, bool optional) {
  if (optional && !a) return;
  if (!a || a.size() != rows)
    throw py::value_error(std::string("argument '") + name + "' must have an element for each row");
}

}  // namespace

EINKORN_BINDINGS(boost_loss, m) {
  m.def(
      "boost_loss",
      [](const Array& gradient, const Array& hessian, const Array& loss, const Array& raw, const Array& target,
         const Array& weight, int kind, double parameter, double scale) {
        if (kind < 0 || kind > static_cast<int>(BoostLossKind::poisson)) throw py::value_error("there is no such loss");
        const bool multinomial = kind == static_cast<int>(BoostLossKind::multinomial);
        if (raw.ndim != 2 || (!multinomial && raw.shape[0] != 1)) throw py::value_error("raw must be [outputs, rows]");
        const int64_t outputs = raw.shape[0], rows = raw.shape[1];
        require_rows(gradient, raw.size(), "gradient", true);
        require_rows(hessian, raw.size(), "hessian", true);
        require_rows(target, rows, "target", false);
        require_rows(weight, rows, "weight", true);
        if (loss && loss.size() != 1) throw py::value_error("loss must be one number");
        if (multinomial && hessian && !gradient) throw py::value_error("the hessian needs room for the gradient");
        run_in_scratch<BoostLossParts>(
            &BoostLossIndexKernels::boost_loss,
            {gradient.optional_out<float>("gradient"), hessian.optional_out<float>("hessian"),
             loss.optional_out<double>("loss"), raw.in<double>("raw"),
             multinomial ? nullptr : target.in<double>("target"), multinomial ? target.in<int32_t>("target") : nullptr,
             weight.optional_in<float>("weight"), rows, outputs, static_cast<BoostLossKind>(kind), parameter, scale,
             workspace()});
      },
      "gradient"_a.none(true), "hessian"_a.none(true), "loss"_a.none(true), "raw"_a, "target"_a, "weight"_a.none(true),
      "kind"_a, "parameter"_a, "scale"_a);

  m.def(
      "leaf_quantile",
      [](const Array& out, const Array& target, const Array& raw, const Array& leaf, const Array& weight, double alpha,
         double delta, bool absolute) {
        const int64_t rows = target.size(), leaves = out.size();
        require_rows(target, rows, "target", false);
        require_rows(raw, rows, "raw", true);
        require_rows(leaf, rows, "leaf", true);
        require_rows(weight, rows, "weight", true);
        run_in_scratch<LeafQuantileParts>(
            &BoostLossIndexKernels::leaf_quantile,
            {out.out<double>("out"), target.in<double>("target"), raw.optional_in<double>("raw"),
             leaf.optional_in<int32_t>("leaf"), weight.optional_in<float>("weight"), rows, leaves, alpha, delta,
             absolute, workspace()});
      },
      "out"_a, "target"_a, "raw"_a.none(true), "leaf"_a.none(true), "weight"_a.none(true), "alpha"_a, "delta"_a,
      "absolute"_a);
}

}  // namespace einkorn::bind_boost_loss
