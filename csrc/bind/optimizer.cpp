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
              double momentum, double dampening, double weight_decay, bool nesterov, bool first_step) {
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
    args.first_step = first_step;
    run_step<T>(&OptimizerKernels<T>::sgd_step, args, params, [&](SgdTensor<T>& record, int64_t i, int64_t size) {
      record.grad = grads.in<T>(i, size);
      record.momentum_buffer = momenta.out<T>(i, size);
    });
  });
}

void adam_step(const py::object& params_list, const py::object& grads_list, const py::object& exp_avgs_list,
               const py::object& exp_avg_sqs_list, const py::object& max_exp_avg_sqs_list, double lr, double beta1,
               double beta2, double eps, double weight_decay, bool decoupled, int64_t step) {
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
    run_step<T>(&OptimizerKernels<T>::adam_step, args, params, [&](AdamTensor<T>& record, int64_t i, int64_t size) {
      record.grad = grads.in<T>(i, size);
      record.exp_avg = exp_avgs.out<T>(i, size);
      record.exp_avg_sq = exp_avg_sqs.out<T>(i, size);
      record.max_exp_avg_sq = max_exp_avg_sqs.out<T>(i, size);
    });
  });
}

}  // namespace

EINKORN_BINDINGS(optimizer, m) {
  m.def("sgd_step", &sgd_step, "params"_a, "grads"_a, "momenta"_a.none(true), "lr"_a, "momentum"_a, "dampening"_a,
        "weight_decay"_a, "nesterov"_a, "first_step"_a);
  m.def("adam_step", &adam_step, "params"_a, "grads"_a, "exp_avgs"_a, "exp_avg_sqs"_a, "max_exp_avg_sqs"_a.none(true),
        "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "decoupled"_a, "step"_a);
}

}  // namespace einkorn::bind_optimizer
