# The CUDA engine: einkorn._cuda, from csrc/kernels/*.cu and the bindings it shares with the native module.
#
# AUTO builds it when nvcc and its host compiler work. CMAKE_CUDA_ARCHITECTURES chooses devices; the default is machine code for
# compute capability 9.0 and, for every other one from 7.5 on, an intermediate form that the driver compiles on first use.

if(EINKORN_CUDA STREQUAL "OFF")
  return()
endif()

include(CheckLanguage)
check_language(CUDA)
check_language(CXX)
if(NOT (CMAKE_CUDA_COMPILER AND CMAKE_CXX_COMPILER))
  if(EINKORN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "EINKORN_CUDA=ON, but no working nvcc was found. Set CUDACXX or install the CUDA toolkit.")
  endif()
  message(STATUS "CUDA engine: not built, no working nvcc found")
  return()
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-virtual 90-real)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
enable_language(CXX CUDA)
find_package(CUDAToolkit REQUIRED)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)

include(cmake/CudaFamilies.cmake)
file(GLOB cuda_bind_sources CONFIGURE_DEPENDS csrc/bind/cuda/*.cpp)

# Kernels apart from the bindings: pybind11's flags are for the C++ compiler.
add_library(einkorn_kernels_cuda OBJECT ${cuda_kernel_sources})
target_include_directories(einkorn_kernels_cuda PRIVATE csrc)
target_compile_definitions(einkorn_kernels_cuda PRIVATE EINKORN_ISA=gpu)
target_compile_features(einkorn_kernels_cuda PRIVATE cuda_std_20)
target_compile_options(einkorn_kernels_cuda PRIVATE -Xfatbin=-compress-all)

pybind11_add_module(_cuda MODULE ${cuda_bind_sources} ${cuda_family_bindings})
target_include_directories(_cuda PRIVATE csrc)
target_compile_features(_cuda PRIVATE cxx_std_20)
target_compile_options(_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
target_link_libraries(_cuda PRIVATE einkorn_kernels_cuda CUDA::cudart_static)
install(TARGETS _cuda LIBRARY DESTINATION einkorn)
