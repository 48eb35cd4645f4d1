# The host device: einkorn._cuda_host, the CUDA kernels compiled by the C++ compiler over csrc/cuda_host. For tests: every load
# and store of a kernel is announced by -fsanitize=thread to functions of csrc/cuda_host/memory.cpp. No sanitizer is linked.

if(NOT EINKORN_CUDA_HOST)
  return()
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
enable_language(CXX)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)
include(cmake/CudaFamilies.cmake)

# Sources in C++'s name: compilers choose the language by the suffix.
set(host_kernel_sources csrc/cuda_host/planted.cpp)
foreach(source IN LISTS cuda_kernel_sources)
  get_filename_component(stem ${source} NAME_WE)
  set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/cuda_host/${stem}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${source}\"\n" @ONLY)
  list(APPEND host_kernel_sources ${wrapper})
endforeach()

add_library(einkorn_kernels_cuda_host OBJECT ${host_kernel_sources})
target_compile_options(einkorn_kernels_cuda_host PRIVATE -O1 -fsanitize=thread -Wall -Wextra -Wno-unknown-pragmas)


pybind11_add_module(_cuda_host MODULE NO_EXTRAS csrc/cuda_host/device.cpp csrc/cuda_host/memory.cpp csrc/cuda_host/module.cpp
                                      csrc/bind/cuda/runtime.cpp csrc/bind/array.cpp ${cuda_family_bindings})
target_compile_options(_cuda_host PRIVATE -Wall -Wextra)
target_link_libraries(_cuda_host PRIVATE einkorn_kernels_cuda_host)
foreach(target einkorn_kernels_cuda_host _cuda_host)
  target_include_directories(${target} PRIVATE csrc csrc/cuda_host)
  target_compile_definitions(${target} PRIVATE EINKORN_ISA=gpu EINKORN_CUDA_HOST)
endforeach()
install(TARGETS _cuda_host LIBRARY DESTINATION einkorn)
