#include "kernels/crf.h"

#include "bind/array.h"

namespace einkorn::bind_crf {

namespace {

void require_size(const Array& a, int64_t size, const char* name) {
  if (a.size() != size)
    throw py::value_error(std::string("argument '") + name + "' has " + std::to_string(a.size()) +
                          " elements, expected " + std::to_string(size));
}

// [batch, steps, tags] of the emissions, and what has these sizes.
void check_shapes(const Array& emissions, const Array& transitions, const Array& start, const Array& end,
                  const Array& lengths) {
  if (emissions.ndim != 3) throw py::value_error("emissions must be [batch, steps, tags]");
  const int64_t tags = emissions.shape[2];
  if (tags < 1) throw py::value_error("emissions must have tags");
  require_size(transitions, tags * tags, "transitions");
  require_size(start, tags, "start");
  require_size(end, tags, "end");
  require_size(lengths, emissions.shape[0], "lengths");
}

}  // namespace

EINKORN_BINDINGS(crf, m) {
  m.def(
      "crf_forward",
      [](const Array& loss, const Array& log_alpha, const Array& emissions, const Array& transitions,
         const Array& start, const Array& end, const Array& lengths, const Array& tags) {
        check_shapes(emissions, transitions, start, end, lengths);
        require_size(loss, emissions.shape[0], "loss");
        require_size(log_alpha, emissions.size(), "log_alpha");
        if (tags) require_size(tags, emissions.shape[0] * emissions.shape[1], "tags");
        by_dtype(emissions, [&]<class T>() {
          run_in_scratch<CrfForwardParts<T>>(
              &CrfKernels<T>::crf_forward,
              CrfForward<T>{loss.out<T>("loss"), log_alpha.out<T>("log_alpha"), emissions.in<T>("emissions"),
                            transitions.in<T>("transitions"), start.in<T>("start"), end.in<T>("end"),
                            lengths.in<int64_t>("lengths"), tags.optional_in<int64_t>("tags"), emissions.shape[0],
                            emissions.shape[1], emissions.shape[2], workspace()});
        });
      },
      "loss"_a, "log_alpha"_a, "emissions"_a, "transitions"_a, "start"_a, "end"_a, "lengths"_a, "tags"_a.none(true));

  m.def(
      "crf_backward",
      [](const Array& gemissions, const Array& gtransitions, const Array& gstart, const Array& gend, const Array& gloss,
         const Array& log_alpha, const Array& emissions, const Array& transitions, const Array& start, const Array& end,
         const Array& lengths, const Array& tags) {
        check_shapes(emissions, transitions, start, end, lengths);
        require_size(gemissions, emissions.size(), "gemissions");
        require_size(gtransitions, transitions.size(), "gtransitions");
        require_size(gstart, start.size(), "gstart");
        require_size(gend, end.size(), "gend");
        require_size(gloss, emissions.shape[0], "gloss");
        require_size(log_alpha, emissions.size(), "log_alpha");
        if (tags) require_size(tags, emissions.shape[0] * emissions.shape[1], "tags");
        by_dtype(emissions, [&]<class T>() {
          run_in_scratch<CrfBackwardParts<T>>(
              &CrfKernels<T>::crf_backward,
              CrfBackward<T>{gemissions.out<T>("gemissions"), gtransitions.out<T>("gtransitions"),
                             gstart.out<T>("gstart"), gend.out<T>("gend"), gloss.in<T>("gloss"),
                             log_alpha.in<T>("log_alpha"), emissions.in<T>("emissions"),
                             transitions.in<T>("transitions"), start.in<T>("start"), end.in<T>("end"),
                             lengths.in<int64_t>("lengths"), tags.optional_in<int64_t>("tags"), emissions.shape[0],
                             emissions.shape[1], emissions.shape[2], workspace()});
        });
      },
      "gemissions"_a, "gtransitions"_a, "gstart"_a, "gend"_a, "gloss"_a, "log_alpha"_a, "emissions"_a, "transitions"_a,
      "start"_a, "end"_a, "lengths"_a, "tags"_a.none(true));

  m.def(
      "crf_viterbi",
      [](const Array& best, const Array& score, const Array& emissions, const Array& transitions, const Array& start,
         const Array& end, const Array& lengths) {
        check_shapes(emissions, transitions, start, end, lengths);
        require_size(best, emissions.shape[0] * emissions.shape[1], "best");
        require_size(score, emissions.shape[0], "score");
        by_dtype(emissions, [&]<class T>() {
          run_in_scratch<CrfViterbiParts<T>>(
              &CrfKernels<T>::crf_viterbi,
              CrfViterbi<T>{best.out<int64_t>("best"), score.out<T>("score"), emissions.in<T>("emissions"),
                            transitions.in<T>("transitions"), start.in<T>("start"), end.in<T>("end"),
                            lengths.in<int64_t>("lengths"), emissions.shape[0], emissions.shape[1], emissions.shape[2],
                            workspace()});
        });
      },
      "best"_a, "score"_a, "emissions"_a, "transitions"_a, "start"_a, "end"_a, "lengths"_a);
}

}  // namespace einkorn::bind_crf
