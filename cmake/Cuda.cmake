# The CUDA engine: einkorn._cuda, from csrc/kernels/*.cu and the bindings it shares with the native module.
#
# AUTO builds it when there is a card, and nvcc and its host compiler work. CMAKE_CUDA_ARCHITECTURES, or CUDAARCHS in the
# environment, chooses devices; the default is machine code for compute capabilities 8.0 and 9.0 and, for every other one from 8.0 on, an intermediate
# form that the driver compiles on first use. What ptxas says of each kernel is kept beside the objects, for .ci/cuda_resources.

if(EINKORN_CUDA STREQUAL "OFF")
  return()
endif()

if(EINKORN_CUDA STREQUAL "AUTO")
  file(GLOB cards /dev/nvidia[0-9]* /dev/dxg)
  if(NOT cards)
    message(STATUS "CUDA engine: not built, no card found; EINKORN_CUDA=ON builds it all the same")
    return()
  endif()
endif()

check_language(CUDA)
if(NOT (CMAKE_CUDA_COMPILER AND CMAKE_CXX_COMPILER))
  if(EINKORN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "EINKORN_CUDA=ON, but no working nvcc was found. Set CUDACXX or install the CUDA toolkit.")
  endif()
  message(STATUS "CUDA engine: not built, no working nvcc found")
  return()
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  if(DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES $ENV{CUDAARCHS})
  else()
    set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)
  endif()
endif()
foreach(architecture IN LISTS CMAKE_CUDA_ARCHITECTURES)
  if(architecture MATCHES "^all") # begins before 8.0, and leaves out what 9.0a alone has
    message(FATAL_ERROR "CUDA architecture '${architecture}': expected compute capabilities from 8.0 on, such as 80;90a-real")
  endif()
  if(architecture MATCHES "^[0-9]+" AND CMAKE_MATCH_0 LESS 80)
    message(FATAL_ERROR "CUDA architecture ${architecture}: einkorn's kernels need compute capability 8.0 or later (80)")
  endif()
endforeach()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
  set(words "nvcc is ${CMAKE_CUDA_COMPILER_VERSION}, expected 12.0 or later")
  if(EINKORN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "EINKORN_CUDA=ON, but ${words}")
  endif()
  message(STATUS "CUDA engine: not built, ${words}")
  return()
endif()
find_package(CUDAToolkit REQUIRED)

include(../cmake/CudaFamilies.cmake)
file(GLOB cuda_bind_sources CONFIGURE_DEPENDS bind/cuda/*.cpp)

add_library(einkorn_kernels_cuda OBJECT ${cuda_kernel_sources})
target_include_directories(einkorn_kernels_cuda PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(einkorn_kernels_cuda PRIVATE EINKORN_ISA=gpu)
if("${CMAKE_CUDA_ARCHITECTURES}" MATCHES "90a") # with what compute capability 9.0 alone has
  target_compile_definitions(einkorn_kernels_cuda PRIVATE EINKORN_CUDA_90A)
endif()
target_compile_features(einkorn_kernels_cuda PRIVATE cuda_std_20)
target_compile_options(einkorn_kernels_cuda PRIVATE -Xfatbin=-compress-all -Xptxas=-v)
if(EINKORN_CUDA STREQUAL "ON") # what AUTO builds unasked may not fail because a later nvcc warns of more
  target_compile_options(einkorn_kernels_cuda PRIVATE -Xcudafe=--promote_warnings -Xptxas=--warning-as-error)
endif()
# A list and not a string: where no launcher is given, a string would end in an empty word, which the shell takes for a command.
set(cuda_launcher sh ${CMAKE_CURRENT_SOURCE_DIR}/../cmake/keep_words.sh ${CMAKE_CUDA_COMPILER_LAUNCHER})
set_target_properties(einkorn_kernels_cuda PROPERTIES CUDA_COMPILER_LAUNCHER "${cuda_launcher}")

einkorn_module(_cuda ${cuda_bind_sources} bind/function.cpp ${cuda_family_bindings})
list(JOIN CMAKE_CUDA_ARCHITECTURES ", " cuda_architectures)
target_compile_definitions(_cuda PRIVATE EINKORN_CUDA_ARCHITECTURES="${cuda_architectures}")
target_link_libraries(_cuda PRIVATE einkorn_kernels_cuda CUDA::cudart_static)
