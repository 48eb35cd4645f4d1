# The native engine: every kernel source once per instruction set, the runtime and the bindings once.

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
find_package(Threads REQUIRED)

file(GLOB_RECURSE kernel_sources CONFIGURE_DEPENDS csrc/kernels/*.cpp)
file(GLOB runtime_sources CONFIGURE_DEPENDS csrc/runtime/*.cpp)
file(GLOB bind_sources CONFIGURE_DEPENDS csrc/bind/*.cpp)

# Which instruction sets to build besides the baseline: all of them, or a list.
set(EINKORN_ISAS all CACHE STRING "Instruction sets to build: all, or a list of names")

# Checked: guard bytes around every part of scratch memory, looked at after each launch (csrc/runtime/guard.h).
option(EINKORN_CHECKED "Build with guarded scratch memory" OFF)

# Sanitized: instrumented, checked, and without the cache of memory blocks, so that every array has its own red zones.
set(EINKORN_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
set(optimize -O3)
if(EINKORN_SANITIZE)
  set(optimize -O1 -g1 -fsanitize=${EINKORN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()
set(checked $<$<OR:$<BOOL:${EINKORN_CHECKED}>,$<BOOL:${EINKORN_SANITIZE}>>:EINKORN_CHECKED>)

# No -ffast-math: NaN, infinities and signed zeros behave as IEEE says. Kernels never read errno or trap flags.
set(kernel_flags ${optimize} -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra)

# Detections are OpenCV's bit by bit, which multiplies and adds in two roundings.
file(GLOB haar_sources CONFIGURE_DEPENDS csrc/kernels/haar/*.cpp)
set_source_files_properties(${haar_sources} PROPERTIES COMPILE_OPTIONS -ffp-contract=off)

pybind11_add_module(_native MODULE ${runtime_sources} ${bind_sources})
target_include_directories(_native PRIVATE csrc)
target_compile_options(_native PRIVATE ${optimize} -Wall -Wextra)
target_compile_definitions(_native PRIVATE ${checked})
target_link_libraries(_native PRIVATE Threads::Threads)
if(EINKORN_SANITIZE)
  target_link_options(_native PRIVATE -fsanitize=${EINKORN_SANITIZE})
endif()
install(TARGETS _native LIBRARY DESTINATION einkorn)

# einkorn_isa(NAME FLAGS...): the kernels for one instruction set, in the namespace einkorn::NAME.
function(einkorn_isa name)
  if(NOT name STREQUAL "baseline" AND NOT EINKORN_ISAS STREQUAL "all" AND NOT name IN_LIST EINKORN_ISAS)
    return()
  endif()
  set(library einkorn_kernels_${name})
  add_library(${library} OBJECT ${kernel_sources})
  target_include_directories(${library} PRIVATE csrc)
  target_compile_definitions(${library} PRIVATE EINKORN_ISA=${name} ${checked})
  target_compile_options(${library} PRIVATE ${kernel_flags} ${ARGN})
  target_link_libraries(_native PRIVATE ${library})
  string(TOUPPER ${name} upper)
  target_compile_definitions(_native PRIVATE EINKORN_BUILT_${upper})

  # The linker merges weak symbols by name: one outside the namespace might carry AVX code to a machine without it.
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${library}.symbols-checked)
  add_custom_command(
    OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} "-DNM=${CMAKE_NM}" "-DISA=${name}" "-DSTAMP=${stamp}" "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:${library}>,|>"
            -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/CheckWeakSymbols.cmake
    DEPENDS $<TARGET_OBJECTS:${library}> cmake/CheckWeakSymbols.cmake
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(${library}_symbols DEPENDS ${stamp})
  add_dependencies(_native ${library}_symbols)
endfunction()

einkorn_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  einkorn_isa(avx2 -march=x86-64-v3)
  einkorn_isa(avx512 -march=x86-64-v4 -mprefer-vector-width=512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  einkorn_isa(neon)
endif()
