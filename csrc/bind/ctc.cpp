#include "kernels/ctc.h"

#include "bind/array.h"

namespace einkorn::bind_ctc {

namespace {

void require_size(const Array& a, int64_t size, const char* name) {
  if (a.size() != size)
    throw py::value_error(std::string("argument '") + name + "' has " + std::to_string(a.size()) +
                          " elements, expected " + std::to_string(size));
}

void check_shapes(const Array& log_probs, const Array& log_alpha, const Array& starts, const Array& input_lengths,
                  const Array& target_lengths) {
  if (log_probs.ndim != 3) throw py::value_error("log_probs must be [steps, batch, classes]");
  if (log_alpha.ndim != 3) throw py::value_error("log_alpha must be [batch, steps, width]");
  const int64_t steps = log_probs.shape[0], batch = log_probs.shape[1];
  if (log_alpha.shape[0] != batch || log_alpha.shape[1] != steps)
    throw py::value_error("log_alpha must be [batch, steps, width]");
  if (log_alpha.shape[2] < ctc_width(0)) throw py::value_error("log_alpha is too narrow");
  if (log_probs.shape[2] < 1) throw py::value_error("log_probs must have classes");
  require_size(starts, batch, "starts");
  require_size(input_lengths, batch, "input_lengths");
  require_size(target_lengths, batch, "target_lengths");
}

}  // namespace

EINKORN_BINDINGS(ctc, m) {
  m.def(
      "ctc_forward",
      [](const Array& loss, const Array& log_alpha, const Array& log_probs, const Array& targets, const Array& starts,
         const Array& input_lengths, const Array& target_lengths, int64_t blank, bool zero_infinity) {
        check_shapes(log_probs, log_alpha, starts, input_lengths, target_lengths);
        require_size(loss, log_probs.shape[1], "loss");
        by_dtype(log_probs, [&]<class T>() {
          run_in_scratch<CtcParts<T>>(
              &CtcKernels<T>::ctc_forward,
              CtcForward<T>{loss.out<T>("loss"), log_alpha.out<T>("log_alpha"), log_probs.in<T>("log_probs"),
                            targets.in<int64_t>("targets"), starts.in<int64_t>("starts"),
                            input_lengths.in<int64_t>("input_lengths"), target_lengths.in<int64_t>("target_lengths"),
                            log_probs.shape[0], log_probs.shape[1], log_probs.shape[2], log_alpha.shape[2],
                            targets.size(), blank, zero_infinity, workspace()});
        });
      },
      "loss"_a, "log_alpha"_a, "log_probs"_a, "targets"_a, "starts"_a, "input_lengths"_a, "target_lengths"_a, "blank"_a,
      "zero_infinity"_a);

  m.def(
      "ctc_backward",
      [](const Array& glog_probs, const Array& gloss, const Array& log_alpha, const Array& log_probs,
         const Array& targets, const Array& starts, const Array& input_lengths, const Array& target_lengths,
         int64_t blank, bool zero_infinity) {
        check_shapes(log_probs, log_alpha, starts, input_lengths, target_lengths);
        require_size(glog_probs, log_probs.size(), "glog_probs");
        require_size(gloss, log_probs.shape[1], "gloss");
        by_dtype(log_probs, [&]<class T>() {
          run_in_scratch<CtcParts<T>>(
              &CtcKernels<T>::ctc_backward,
              CtcBackward<T>{glog_probs.out<T>("glog_probs"), gloss.in<T>("gloss"), log_alpha.in<T>("log_alpha"),
                             log_probs.in<T>("log_probs"), targets.in<int64_t>("targets"), starts.in<int64_t>("starts"),
                             input_lengths.in<int64_t>("input_lengths"), target_lengths.in<int64_t>("target_lengths"),
                             log_probs.shape[0], log_probs.shape[1], log_probs.shape[2], log_alpha.shape[2],
                             targets.size(), blank, zero_infinity, workspace()});
        });
      },
      "glog_probs"_a, "gloss"_a, "log_alpha"_a, "log_probs"_a, "targets"_a, "starts"_a, "input_lengths"_a,
      "target_lengths"_a, "blank"_a, "zero_infinity"_a);

  m.def(
      "ctc_beam",
      [](const Array& labels, const Array& label_counts, const Array& scores, const Array& log_probs,
         const Array& language, const Array& input_lengths, int64_t beams, int64_t blank) {
        if (log_probs.ndim != 3) throw py::value_error("log_probs must be [steps, batch, classes]");
        const int64_t steps = log_probs.shape[0], batch = log_probs.shape[1], classes = log_probs.shape[2];
        if (classes < 1) throw py::value_error("log_probs must have classes");
        if (scores.ndim != 2) throw py::value_error("scores must be [batch, paths]");
        const int64_t paths = scores.shape[1];
        if (beams < 1 || beams > kCtcMostBeams) throw py::value_error("beams must be 1 to 65536");
        if (paths < 1 || paths > beams) throw py::value_error("scores must be [batch, paths], 1 path to one a beam");
        if (blank < 0 || blank >= classes) throw py::value_error("blank must be a class");
        require_size(scores, batch * paths, "scores");
        require_size(labels, batch * paths * steps, "labels");
        require_size(label_counts, batch * paths, "label_counts");
        if (language) require_size(language, classes * classes, "language");
        require_size(input_lengths, batch, "input_lengths");
        by_dtype(log_probs, [&]<class T>() {
          run_in_scratch<CtcBeamParts<T>>(
              &CtcKernels<T>::ctc_beam,
              CtcBeam<T>{labels.out<int64_t>("labels"), label_counts.out<int64_t>("label_counts"),
                         scores.out<T>("scores"), log_probs.in<T>("log_probs"), language.optional_in<T>("language"),
                         input_lengths.in<int64_t>("input_lengths"), steps, batch, classes, beams, paths, blank,
                         workspace()});
        });
      },
      "labels"_a, "label_counts"_a, "scores"_a, "log_probs"_a, "language"_a.none(true), "input_lengths"_a, "beams"_a,
      "blank"_a);
}

}  // namespace einkorn::bind_ctc
