// EINKORN_SCALAR: functions of a few numbers that the bodies of the CPU and of the GPU have in common.

#pragma once

#ifdef __CUDACC__
#define EINKORN_SCALAR inline __host__ __device__
#else
#define EINKORN_SCALAR inline __attribute__((always_inline))
#endif
