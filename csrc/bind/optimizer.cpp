// Lists of arrays become records in an argument struct; more than kOptimizerTensors of them become several launches.

#include "kernels/optimizer/optimizer.h"

#include "bind/array.h"

namespace einkorn::bind_optimizer {

namespace {

// The arrays of a list, owned for the time of the call: another thread may change the list meanwhile.
class Arrays {
 public:
  Arrays(const py::object& list, const char* name) : name_(name) {
    if (list.is_none()) return;
    items_ = py::reinterpret_steal<py::object>(PySequence_Tuple(list.ptr()));
    if (!items_) throw py::error_already_set();
  }

  explicit operator bool() const { return static_cast<bool>(items_); }
  int64_t size() const { return items_ ? PyTuple_GET_SIZE(items_.ptr()) : 0; }

  Array operator[](int64_t i) const {
    Array array;
    if (!view_array(PyTuple_GET_ITEM(items_.ptr(), i), array))
      throw py::type_error(std::string("'") + name_ + "' must hold aligned NumPy arrays of a type that kernels take");
    return array;
  }

  void require_size(int64_t size) const {
    if (this->size() != size) throw py::value_error(std::string("'") + name_ + "' and 'params' must have one length");
  }

  template <class T>
  const T* in(int64_t i, int64_t size) const {
    return checked(i, size).template in<T>(name_);
  }

  template <class T>
  T* out(int64_t i, int64_t size) const {
    return items_ ? checked(i, size).template out<T>(name_) : nullptr;
  }

 private:
  Array checked(int64_t i, int64_t size) const {
    const Array array = (*this)[i];
    if (array.size() != size)
      throw py::value_error(std::string("an array of '") + name_ + "' has another size than its parameter");
    return array;
  }

  py::object items_;
  const char* name_;
};

// Launches `kernel` with the settings in `args` for all parameters, filling its records by fill(record, i, size).
template <class T, class Args, class Fill>
void run_step(void (*OptimizerKernels<T>::*kernel)(const Args&), Args& args, const Arrays& params, const Fill& fill) {
  args.ws = workspace();
  args.count = 0;
  for (int64_t i = 0; i < params.size(); ++i) {
    const Array param = params[i];
    auto& record = args.tensors[args.count];
    record.param = param.out<T>("params");
    record.size = param.size();
    fill(record, i, record.size);
    if (record.size > 0) ++args.count;
    if (args.count == kOptimizerTensors) {
      run(kernel, args);
      args.count = 0;
    }
  }
  if (args.count > 0) run(kernel, args);
}

void sgd_step(const py::object& params_list, const py::object& grads_list, const py::object& momenta_list, double lr,
              double momentum, double dampening, double weight_decay, bool nesterov, bool maximize, bool first_step) {
  const Arrays params(params_list, "params"), grads(grads_list, "grads"), momenta(momenta_list, "momenta");
  if (params.size() == 0) return;
  grads.require_size(params.size());
  if (momenta) momenta.require_size(params.size());
  by_dtype(params[0], [&]<class T>() {
    SgdStep<T> args;
    args.lr = lr;
    args.momentum = momentum;
    args.dampening = dampening;
    args.weight_decay = weight_decay;
    args.nesterov = nesterov;
    args.maximize = maximize;
    args.first_step = first_step;
    run_step<T>(&OptimizerKernels<T>::sgd_step, args, params, [&](SgdTensor<T>& record, int64_t i, int64_t size) {
      record.grad = grads.in<T>(i, size);
      record.momentum_buffer = momenta.out<T>(i, size);
    });
  });
}

void adam_step(const py::object& params_list, const py::object& grads_list, const py::object& exp_avgs_list,
               const py::object& exp_avg_sqs_list, const py::object& max_exp_avg_sqs_list, double lr, double beta1,
               double beta2, double eps, double weight_decay, bool decoupled, bool maximize, int64_t step) {
  const Arrays params(params_list, "params"), grads(grads_list, "grads"), exp_avgs(exp_avgs_list, "exp_avgs"),
      exp_avg_sqs(exp_avg_sqs_list, "exp_avg_sqs"), max_exp_avg_sqs(max_exp_avg_sqs_list, "max_exp_avg_sqs");
  if (params.size() == 0) return;
  for (const Arrays* list : {&grads, &exp_avgs, &exp_avg_sqs}) list->require_size(params.size());
  if (max_exp_avg_sqs) max_exp_avg_sqs.require_size(params.size());
  by_dtype(params[0], [&]<class T>() {
    AdamStep<T> args;
    args.lr = lr;
    args.beta1 = beta1;
    args.beta2 = beta2;
    args.eps = eps;
    args.weight_decay = weight_decay;
    args.step = step;
    args.decoupled = decoupled;
    args.maximize = maximize;
    run_step<T>(&OptimizerKernels<T>::adam_step, args, params, [&](AdamTensor<T>& record, int64_t i, int64_t size) {
      record.grad = grads.in<T>(i, size);
      record.exp_avg = exp_avgs.out<T>(i, size);
      record.exp_avg_sq = exp_avg_sqs.out<T>(i, size);
      record.max_exp_avg_sq = max_exp_avg_sqs.out<T>(i, size);
    });
  });
}

// The other optimizers: lists that fill the pointers of UpdateTensor, and coefficients that a function sets.
struct Lists {
  py::object params, grads, first = py::none(), second = py::none(), third = py::none();
  const char *grads_name = "grads", *first_name = "", *second_name = "", *third_name = "";
};

template <class Set, class Pick>
void update(const Lists& lists, const Pick& pick, const Set& set) {
  const Arrays params(lists.params, "params"), grads(lists.grads, lists.grads_name);
  const Arrays first(lists.first, lists.first_name), second(lists.second, lists.second_name),
      third(lists.third, lists.third_name);
  if (params.size() == 0) return;
  for (const Arrays* list : {&grads, &first, &second, &third})
    if (*list) list->require_size(params.size());
  by_dtype(params[0], [&]<class T>() {
    Update<T> args = {};
    set(args);
    args.ws = workspace();
    for (int64_t begin = 0; begin < params.size(); begin += kOptimizerTensors) {
      const int64_t left = params.size() - begin;
      args.count = static_cast<int>(left < kOptimizerTensors ? left : kOptimizerTensors);
      for (int t = 0; t < args.count; ++t) {
        const int64_t i = begin + t;
        auto& record = args.tensors[t];
        const Array param = params[i];
        record.param = param.out<T>("params");
        record.size = param.size();
        record.grad = grads ? grads.in<T>(i, record.size) : nullptr;
        record.first = first.out<T>(i, record.size);
        record.second = second.out<T>(i, record.size);
        record.third = third.out<T>(i, record.size);
      }
      run(pick.template operator()<T>(), args);
      if (args.other_norms != nullptr) {  // one number for each tensor
        args.norms += kOptimizerTensors;
        args.other_norms += kOptimizerTensors;
      }
    }
  });
}

#define EINKORN_UPDATE(name) []<class T>() { return &OptimizerKernels<T>::name; }

void adagrad_step(const py::object& params, const py::object& grads, const py::object& sums, double rate, double eps,
                  double weight_decay, bool maximize) {
  const Lists lists{.params = params, .grads = grads, .first = sums, .first_name = "sums"};
  update(lists, EINKORN_UPDATE(adagrad_step), [&](auto& args) {
    args.rate = rate;
    args.eps = eps;
    args.weight_decay = weight_decay;
    args.maximize = maximize;
  });
}

void adadelta_step(const py::object& params, const py::object& grads, const py::object& square_avgs,
                   const py::object& acc_deltas, double rate, double rho, double eps, double weight_decay,
                   bool maximize) {
  const Lists lists{.params = params,
                    .grads = grads,
                    .first = square_avgs,
                    .second = acc_deltas,
                    .first_name = "square_avgs",
                    .second_name = "acc_deltas"};
  update(lists, EINKORN_UPDATE(adadelta_step), [&](auto& args) {
    args.rate = rate;
    args.beta1 = rho;
    args.eps = eps;
    args.weight_decay = weight_decay;
    args.maximize = maximize;
  });
}

void rmsprop_step(const py::object& params, const py::object& grads, const py::object& square_avgs,
                  const py::object& grad_avgs, const py::object& momenta, double rate, double alpha, double eps,
                  double momentum, double weight_decay, bool maximize) {
  const Lists lists{.params = params,
                    .grads = grads,
                    .first = square_avgs,
                    .second = grad_avgs,
                    .third = momenta,
                    .first_name = "square_avgs",
                    .second_name = "grad_avgs",
                    .third_name = "momenta"};
  update(lists, EINKORN_UPDATE(rmsprop_step), [&](auto& args) {
    args.rate = rate;
    args.beta1 = alpha;
    args.eps = eps;
    args.momentum = momentum;
    args.weight_decay = weight_decay;
    args.maximize = maximize;
  });
}

void adamax_step(const py::object& params, const py::object& grads, const py::object& exp_avgs,
                 const py::object& exp_infs, double rate, double beta1, double beta2, double eps, double weight_decay,
                 bool maximize) {
  const Lists lists{.params = params,
                    .grads = grads,
                    .first = exp_avgs,
                    .second = exp_infs,
                    .first_name = "exp_avgs",
                    .second_name = "exp_infs"};
  update(lists, EINKORN_UPDATE(adamax_step), [&](auto& args) {
    args.rate = rate;
    args.beta1 = beta1;
    args.beta2 = beta2;
    args.eps = eps;
    args.weight_decay = weight_decay;
    args.maximize = maximize;
  });
}

void moments_step(const py::object& params, const py::object& grads, const py::object& exp_avgs,
                  const py::object& exp_avg_sqs, double of_grad, double of_mean, double root, double beta1,
                  double beta2, double eps, double weight_decay, double shrink, bool adaptive, bool maximize) {
  const Lists lists{.params = params,
                    .grads = grads,
                    .first = exp_avgs,
                    .second = exp_avg_sqs,
                    .first_name = "exp_avgs",
                    .second_name = "exp_avg_sqs"};
  update(lists, EINKORN_UPDATE(moments_step), [&](auto& args) {
    args.of_grad = of_grad;
    args.of_mean = of_mean;
    args.root = root;
    args.beta1 = beta1;
    args.beta2 = beta2;
    args.eps = eps;
    args.weight_decay = weight_decay;
    args.shrink = shrink;
    args.adaptive = adaptive;
    args.maximize = maximize;
  });
}

void lion_step(const py::object& params, const py::object& grads, const py::object& exp_avgs, double rate, double beta1,
               double beta2, double shrink, bool maximize) {
  const Lists lists{.params = params, .grads = grads, .first = exp_avgs, .first_name = "exp_avgs"};
  update(lists, EINKORN_UPDATE(lion_step), [&](auto& args) {
    args.rate = rate;
    args.beta1 = beta1;
    args.beta2 = beta2;
    args.shrink = shrink;
    args.maximize = maximize;
  });
}

void rprop_step(const py::object& params, const py::object& grads, const py::object& prevs,
                const py::object& step_sizes, double eta_minus, double eta_plus, double least, double most,
                bool maximize) {
  const Lists lists{.params = params,
                    .grads = grads,
                    .first = prevs,
                    .second = step_sizes,
                    .first_name = "prevs",
                    .second_name = "step_sizes"};
  update(lists, EINKORN_UPDATE(rprop_step), [&](auto& args) {
    args.beta1 = eta_minus;
    args.beta2 = eta_plus;
    args.least = least;
    args.most = most;
    args.maximize = maximize;
  });
}

void lamb_step(const py::object& params, const py::object& grads, const py::object& exp_avgs,
               const py::object& exp_avg_sqs, const py::object& updates, double of_mean, double root, double beta1,
               double beta2, double eps, double weight_decay, bool maximize) {
  const Lists lists{.params = params,
                    .grads = grads,
                    .first = exp_avgs,
                    .second = exp_avg_sqs,
                    .third = updates,
                    .first_name = "exp_avgs",
                    .second_name = "exp_avg_sqs",
                    .third_name = "updates"};
  update(lists, EINKORN_UPDATE(lamb_step), [&](auto& args) {
    args.of_mean = of_mean;
    args.root = root;
    args.beta1 = beta1;
    args.beta2 = beta2;
    args.eps = eps;
    args.weight_decay = weight_decay;
    args.maximize = maximize;
  });
}

// One number in double for each of `count` tensors.
const double* norms_in(const Array& norms, const char* name, int64_t count) {
  if (norms.size() != count)
    throw py::value_error(std::string("argument '") + name + "' must have one number a tensor");
  return norms.in<double>(name);
}

void trust_step(const py::object& params_list, const py::object& updates, const Array& param_norms,
                const Array& update_norms, double rate) {
  const py::tuple params = py::reinterpret_steal<py::tuple>(PySequence_Tuple(params_list.ptr()));
  if (!params) throw py::error_already_set();
  const int64_t count = PyTuple_GET_SIZE(params.ptr());
  const double* const norms = norms_in(param_norms, "param_norms", count);
  const double* const other_norms = norms_in(update_norms, "update_norms", count);
  const Lists lists{.params = params, .grads = updates, .grads_name = "updates"};
  update(lists, EINKORN_UPDATE(trust_step), [&](auto& args) {
    args.norms = norms;
    args.other_norms = other_norms;
    args.rate = rate;
  });
}

void lerp_step(const py::object& params, const py::object& others, double weight) {
  const Lists lists{.params = params, .grads = others, .grads_name = "others"};
  update(lists, EINKORN_UPDATE(lerp_step), [&](auto& args) { args.rate = weight; });
}

void clip_norm_step(const py::object& params, const Array& total, double max_norm) {
  if (total.size() != 1) throw py::value_error("argument 'total' must have one number");
  const double* const norm = total.in<double>("total");
  const Lists lists{.params = params, .grads = py::none()};
  update(lists, EINKORN_UPDATE(clip_norm_step), [&](auto& args) {
    args.norms = norm;
    args.rate = max_norm;
  });
}

void clip_value_step(const py::object& params, double limit) {
  const Lists lists{.params = params, .grads = py::none()};
  update(lists, EINKORN_UPDATE(clip_value_step), [&](auto& args) { args.rate = limit; });
}

void tensor_norms(const Array& norms, const py::object& tensors_list, double power) {
  const Arrays tensors(tensors_list, "tensors");
  if (norms.size() != tensors.size()) throw py::value_error("argument 'norms' must have one number a tensor");
  double* const out = norms.out<double>("norms");
  if (tensors.size() == 0) return;
  by_dtype(tensors[0], [&]<class T>() {
    for (int64_t begin = 0; begin < tensors.size(); begin += kOptimizerTensors) {
      const int64_t left = tensors.size() - begin;
      TensorNorms<T> args = {};
      args.norms = out + begin;
      args.power = power;
      args.count = static_cast<int>(left < kOptimizerTensors ? left : kOptimizerTensors);
      args.ws = workspace();
      for (int t = 0; t < args.count; ++t) {
        const Array x = tensors[begin + t];
        args.tensors[t] = {x.in<T>("tensors"), x.size()};
      }
      run_in_scratch<NormParts>(&OptimizerKernels<T>::tensor_norms, args);
    }
  });
}

}  // namespace

EINKORN_BINDINGS(optimizer, m) {
  m.def("adagrad_step", &adagrad_step, "params"_a, "grads"_a, "sums"_a, "rate"_a, "eps"_a, "weight_decay"_a,
        "maximize"_a);
  m.def("adadelta_step", &adadelta_step, "params"_a, "grads"_a, "square_avgs"_a, "acc_deltas"_a, "rate"_a, "rho"_a,
        "eps"_a, "weight_decay"_a, "maximize"_a);
  m.def("rmsprop_step", &rmsprop_step, "params"_a, "grads"_a, "square_avgs"_a, "grad_avgs"_a.none(true),
        "momenta"_a.none(true), "rate"_a, "alpha"_a, "eps"_a, "momentum"_a, "weight_decay"_a, "maximize"_a);
  m.def("adamax_step", &adamax_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_infs"_a, "rate"_a, "beta1"_a, "beta2"_a,
        "eps"_a, "weight_decay"_a, "maximize"_a);
  m.def("moments_step", &moments_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_avg_sqs"_a, "of_grad"_a, "of_mean"_a,
        "root"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "shrink"_a, "adaptive"_a, "maximize"_a);
  m.def("lion_step", &lion_step, "params"_a, "grads"_a, "exp_avgs"_a, "rate"_a, "beta1"_a, "beta2"_a, "shrink"_a,
        "maximize"_a);
  m.def("rprop_step", &rprop_step, "params"_a, "grads"_a, "prevs"_a, "step_sizes"_a, "eta_minus"_a, "eta_plus"_a,
        "least"_a, "most"_a, "maximize"_a);
  m.def("lamb_step", &lamb_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_avg_sqs"_a, "updates"_a, "of_mean"_a,
        "root"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "maximize"_a);
  m.def("trust_step", &trust_step, "params"_a, "updates"_a, "param_norms"_a, "update_norms"_a, "rate"_a);
  m.def("lerp_step", &lerp_step, "params"_a, "others"_a, "weight"_a);
  m.def("clip_norm_step", &clip_norm_step, "params"_a, "total"_a, "max_norm"_a);
  m.def("clip_value_step", &clip_value_step, "params"_a, "limit"_a);
  m.def("tensor_norms", &tensor_norms, "norms"_a, "tensors"_a, "power"_a);
  m.def("sgd_step", &sgd_step, "params"_a, "grads"_a, "momenta"_a.none(true), "lr"_a, "momentum"_a, "dampening"_a,
        "weight_decay"_a, "nesterov"_a, "maximize"_a, "first_step"_a);
  m.def("adam_step", &adam_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_avg_sqs"_a, "max_exp_avg_sqs"_a.none(true),
        "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "decoupled"_a, "maximize"_a, "step"_a);
}

}  // namespace einkorn::bind_optimizer
