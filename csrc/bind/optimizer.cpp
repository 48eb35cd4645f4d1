// Lists of arrays become records in an argument struct; more than kOptimizerTensors of them become several launches.

#include "kernels/optimizer/optimizer.h"

#include <algorithm>
#include <initializer_list>

#include "bind/array.h"

namespace einkorn::bind_optimizer {

namespace {

// An array of the size of its parameter; null where there is no list.
template <class T>
const T* in(const List& list, int64_t i, int64_t size) {
  return list ? list.at(i, size).in<T>(list.name()) : nullptr;
}

template <class T>
T* out(const List& list, int64_t i, int64_t size) {
  return list ? list.at(i, size).out<T>(list.name()) : nullptr;
}

// Launches `kernel` with the settings in `args` for all parameters, filling its records by fill(record, i, size).
template <class T, class Args, class Fill>
void run_step(void (*OptimizerKernels<T>::*kernel)(const Args&), Args& args, const List& params, const Fill& fill) {
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

void sgd_step(const List& params, const List& grads, const List& momenta, double lr, double momentum, double dampening,
              double weight_decay, bool nesterov, bool maximize, bool first_step) {
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
      record.grad = in<T>(grads, i, size);
      record.momentum_buffer = out<T>(momenta, i, size);
    });
  });
}

void adam_step(const List& params, const List& grads, const List& exp_avgs, const List& exp_avg_sqs,
               const List& max_exp_avg_sqs, double lr, double beta1, double beta2, double eps, double weight_decay,
               bool decoupled, bool maximize, int64_t step) {
  if (params.size() == 0) return;
  for (const List* list : {&grads, &exp_avgs, &exp_avg_sqs}) list->require_size(params.size());
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
      record.grad = in<T>(grads, i, size);
      record.exp_avg = out<T>(exp_avgs, i, size);
      record.exp_avg_sq = out<T>(exp_avg_sqs, i, size);
      record.max_exp_avg_sq = out<T>(max_exp_avg_sqs, i, size);
    });
  });
}

// The other optimizers: coefficients, and lists that fill the pointers of UpdateTensor.
void update(Entry<OptimizerKernels, Update> kernel, const UpdateRule& rule, const List& params,
            const List* grads = nullptr, std::initializer_list<const List*> states = {}) {
  if (params.size() == 0) return;
  const List* state[3] = {};
  std::copy(states.begin(), states.end(), state);
  for (const List* list : {grads, state[0], state[1], state[2]})
    if (list != nullptr && *list) list->require_size(params.size());
  by_dtype(params[0], [&]<class T>() {
    Update<T> args = {rule};
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
        record.grad = grads == nullptr ? nullptr : in<T>(*grads, i, record.size);
        T** const places[] = {&record.first, &record.second, &record.third};
        for (int k = 0; k < 3; ++k) *places[k] = state[k] == nullptr ? nullptr : out<T>(*state[k], i, record.size);
      }
      run(kernel.of<T>(), args);
      if (args.other_norms != nullptr) {  // one number for each tensor
        args.norms += kOptimizerTensors;
        args.other_norms += kOptimizerTensors;
      }
    }
  });
}

void adagrad_step(const List& params, const List& grads, const List& sums, double rate, double eps, double weight_decay,
                  bool maximize, bool within) {
  update(EINKORN_ENTRY(OptimizerKernels, adagrad_step),
         {.rate = rate, .eps = eps, .weight_decay = weight_decay, .maximize = maximize, .within = within}, params,
         &grads, {&sums});
}

void adadelta_step(const List& params, const List& grads, const List& square_avgs, const List& acc_deltas, double rate,
                   double rho, double eps, double weight_decay, bool maximize) {
  update(EINKORN_ENTRY(OptimizerKernels, adadelta_step),
         {.rate = rate, .beta1 = rho, .eps = eps, .weight_decay = weight_decay, .maximize = maximize}, params, &grads,
         {&square_avgs, &acc_deltas});
}

void rmsprop_step(const List& params, const List& grads, const List& square_avgs, const List& grad_avgs,
                  const List& momenta, double rate, double alpha, double eps, double momentum, double weight_decay,
                  bool maximize, bool within) {
  update(EINKORN_ENTRY(OptimizerKernels, rmsprop_step),
         {.rate = rate,
          .beta1 = alpha,
          .eps = eps,
          .momentum = momentum,
          .weight_decay = weight_decay,
          .maximize = maximize,
          .within = within},
         params, &grads, {&square_avgs, &grad_avgs, &momenta});
}

void adamax_step(const List& params, const List& grads, const List& exp_avgs, const List& exp_infs, double rate,
                 double beta1, double beta2, double eps, double weight_decay, bool maximize, bool within) {
  update(EINKORN_ENTRY(OptimizerKernels, adamax_step),
         {.rate = rate,
          .beta1 = beta1,
          .beta2 = beta2,
          .eps = eps,
          .weight_decay = weight_decay,
          .maximize = maximize,
          .within = within},
         params, &grads, {&exp_avgs, &exp_infs});
}

void moments_step(const List& params, const List& grads, const List& exp_avgs, const List& exp_avg_sqs, double of_grad,
                  double of_mean, double root, double beta1, double beta2, double eps, double weight_decay,
                  double shrink, bool adaptive, bool maximize) {
  update(EINKORN_ENTRY(OptimizerKernels, moments_step),
         {.of_grad = of_grad,
          .of_mean = of_mean,
          .root = root,
          .beta1 = beta1,
          .beta2 = beta2,
          .eps = eps,
          .weight_decay = weight_decay,
          .shrink = shrink,
          .adaptive = adaptive,
          .maximize = maximize},
         params, &grads, {&exp_avgs, &exp_avg_sqs});
}

void lion_step(const List& params, const List& grads, const List& exp_avgs, double rate, double beta1, double beta2,
               double shrink, bool maximize) {
  update(EINKORN_ENTRY(OptimizerKernels, lion_step),
         {.rate = rate, .beta1 = beta1, .beta2 = beta2, .shrink = shrink, .maximize = maximize}, params, &grads,
         {&exp_avgs});
}

void rprop_step(const List& params, const List& grads, const List& prevs, const List& step_sizes, double eta_minus,
                double eta_plus, double least, double most, bool maximize) {
  update(EINKORN_ENTRY(OptimizerKernels, rprop_step),
         {.beta1 = eta_minus, .beta2 = eta_plus, .least = least, .most = most, .maximize = maximize}, params, &grads,
         {&prevs, &step_sizes});
}

void lamb_step(const List& params, const List& grads, const List& exp_avgs, const List& exp_avg_sqs,
               const List& updates, double of_mean, double root, double beta1, double beta2, double eps,
               double weight_decay, bool maximize) {
  update(EINKORN_ENTRY(OptimizerKernels, lamb_step),
         {.of_mean = of_mean,
          .root = root,
          .beta1 = beta1,
          .beta2 = beta2,
          .eps = eps,
          .weight_decay = weight_decay,
          .maximize = maximize},
         params, &grads, {&exp_avgs, &exp_avg_sqs, &updates});
}

// One number in double for each of `count` tensors.
const double* norms_in(const Array& norms, const char* name, int64_t count) {
  if (norms.size() != count)
    throw py::value_error(std::string("argument '") + name + "' must have one number a tensor");
  return norms.in<double>(name);
}

void trust_step(const List& params, const List& updates, const Array& param_norms, const Array& update_norms,
                double rate) {
  const double* const norms = norms_in(param_norms, "param_norms", params.size());
  const double* const other_norms = norms_in(update_norms, "update_norms", params.size());
  update(EINKORN_ENTRY(OptimizerKernels, trust_step), {.rate = rate, .norms = norms, .other_norms = other_norms},
         params, &updates);
}

void ftrl_step(const List& params, const List& grads, const List& accumulators, const List& linears, double rate,
               double power, double l1, double l2, double weight_decay, bool maximize) {
  update(EINKORN_ENTRY(OptimizerKernels, ftrl_step),
         {.rate = rate, .weight_decay = weight_decay, .power = power, .l1 = l1, .l2 = l2, .maximize = maximize}, params,
         &grads, {&accumulators, &linears});
}

void lerp_step(const List& params, const List& others, double weight) {
  update(EINKORN_ENTRY(OptimizerKernels, lerp_step), {.rate = weight}, params, &others);
}

void clip_norm_step(const List& params, const Array& total, double max_norm) {
  if (total.size() != 1) throw py::value_error("argument 'total' must have one number");
  update(EINKORN_ENTRY(OptimizerKernels, clip_norm_step), {.rate = max_norm, .norms = total.in<double>("total")},
         params);
}

void clip_value_step(const List& params, double limit) {
  update(EINKORN_ENTRY(OptimizerKernels, clip_value_step), {.rate = limit}, params);
}

void tensor_norms(const Array& norms, const List& tensors, double power) {
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
        "maximize"_a, "within"_a);
  m.def("adadelta_step", &adadelta_step, "params"_a, "grads"_a, "square_avgs"_a, "acc_deltas"_a, "rate"_a, "rho"_a,
        "eps"_a, "weight_decay"_a, "maximize"_a);
  m.def("rmsprop_step", &rmsprop_step, "params"_a, "grads"_a, "square_avgs"_a, "grad_avgs"_a.none(true),
        "momenta"_a.none(true), "rate"_a, "alpha"_a, "eps"_a, "momentum"_a, "weight_decay"_a, "maximize"_a, "within"_a);
  m.def("adamax_step", &adamax_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_infs"_a, "rate"_a, "beta1"_a, "beta2"_a,
        "eps"_a, "weight_decay"_a, "maximize"_a, "within"_a);
  m.def("moments_step", &moments_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_avg_sqs"_a, "of_grad"_a, "of_mean"_a,
        "root"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "shrink"_a, "adaptive"_a, "maximize"_a);
  m.def("lion_step", &lion_step, "params"_a, "grads"_a, "exp_avgs"_a, "rate"_a, "beta1"_a, "beta2"_a, "shrink"_a,
        "maximize"_a);
  m.def("rprop_step", &rprop_step, "params"_a, "grads"_a, "prevs"_a, "step_sizes"_a, "eta_minus"_a, "eta_plus"_a,
        "least"_a, "most"_a, "maximize"_a);
  m.def("lamb_step", &lamb_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_avg_sqs"_a, "updates"_a, "of_mean"_a,
        "root"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "maximize"_a);
  m.def("trust_step", &trust_step, "params"_a, "updates"_a, "param_norms"_a, "update_norms"_a, "rate"_a);
  m.def("ftrl_step", &ftrl_step, "params"_a, "grads"_a, "accumulators"_a, "linears"_a, "rate"_a, "power"_a, "l1"_a,
        "l2"_a, "weight_decay"_a, "maximize"_a);
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
