# The native engine: every kernel source once per instruction set, the runtime and the bindings once.

find_package(Threads REQUIRED)

file(GLOB_RECURSE kernel_sources CONFIGURE_DEPENDS kernels/*.cpp)
list(FILTER kernel_sources EXCLUDE REGEX "_pairs\\.cpp$")  # for sets of narrow numbers alone
file(GLOB runtime_sources CONFIGURE_DEPENDS runtime/*.cpp)
file(GLOB bind_sources CONFIGURE_DEPENDS bind/*.cpp)

# einkorn_best_isa(RESULT): what this machine has; "all" where that cannot be tried, as in a build for another machine.
function(einkorn_best_isa result)
  if(NOT DEFINED CACHE{EINKORN_BEST_ISA})
    set(best all)
    if(NOT CMAKE_CROSSCOMPILING)
      try_run(
        ran compiled ${CMAKE_CURRENT_BINARY_DIR}/best_isa
        SOURCES ${PROJECT_SOURCE_DIR}/cmake/best_isa.cpp ${CMAKE_CURRENT_SOURCE_DIR}/runtime/cpu.cpp
                ${CMAKE_CURRENT_SOURCE_DIR}/runtime/cgroup.cpp
        CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${CMAKE_CURRENT_SOURCE_DIR}
        LINK_LIBRARIES Threads::Threads
        CXX_STANDARD 20
        CXX_STANDARD_REQUIRED ON
        RUN_OUTPUT_VARIABLE printed)
      if(compiled AND ran EQUAL 0)
        string(STRIP "${printed}" best)
      endif()
    endif()
    set(EINKORN_BEST_ISA ${best} CACHE INTERNAL "The best instruction set of this machine")
  endif()
  set(${result} ${EINKORN_BEST_ISA} PARENT_SCOPE)
endfunction()

string(REGEX REPLACE "[, ]+" ";" wanted_isas "${EINKORN_ISAS}")
if(wanted_isas STREQUAL "native")
  einkorn_best_isa(wanted_isas)
endif()

# Checked: guard bytes around every part of scratch memory, looked at after each launch (csrc/runtime/guard.h).
option(EINKORN_CHECKED "Build with guarded scratch memory" OFF)

# Sanitized: instrumented, checked, and without the cache of memory blocks, so that every array has its own red zones.
set(EINKORN_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
set(optimize -O3)
set(checked "")
if(EINKORN_SANITIZE)
  set(optimize -O1 -g1 -fsanitize=${EINKORN_SANITIZE} -fno-omit-frame-pointer)
endif()
if(EINKORN_CHECKED OR EINKORN_SANITIZE)
  set(checked EINKORN_CHECKED)
endif()

# No -ffast-math: NaN, infinities and signed zeros behave as IEEE says. Kernels never read errno or trap flags.
set(kernel_flags ${optimize} -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra)

# Detections are OpenCV's bit by bit, which multiplies and adds in two roundings.
file(GLOB haar_sources CONFIGURE_DEPENDS kernels/haar/*.cpp)
set_source_files_properties(${haar_sources} PROPERTIES COMPILE_OPTIONS -ffp-contract=off)

# Products and convolutions are written in vectors throughout: -O3 makes them larger, not faster. So it does with what is
# instantiated most, but for its few loops over single numbers, which are to become vectors all the same.
function(einkorn_optimize options)
  file(GLOB sources CONFIGURE_DEPENDS ${ARGN})
  if(NOT EINKORN_SANITIZE)
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS
                                                      "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:EINKORN_FALLBACK>>>:${options}>")
  endif()
endfunction()
einkorn_optimize(-O2 kernels/conv/*.cpp kernels/matmul*.cpp kernels/matmul/*.cpp)
einkorn_optimize("-O2;-ftree-vectorize;$<$<CXX_COMPILER_ID:GNU>:-fvect-cost-model=dynamic>"
                 kernels/elementwise/*.cpp kernels/reduce.cpp kernels/tree/tree_grow.cpp kernels/tree/tree_forest.cpp)

add_library(einkorn_runtime OBJECT ${runtime_sources})
target_include_directories(einkorn_runtime PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(einkorn_runtime PRIVATE ${optimize} -Wall -Wextra)
target_compile_definitions(einkorn_runtime PRIVATE ${checked})

einkorn_module(_native ${bind_sources})
target_compile_definitions(_native PRIVATE ${checked})
target_link_libraries(_native PRIVATE einkorn_runtime Threads::Threads)
if(EINKORN_SANITIZE)
  target_compile_options(_native PRIVATE ${optimize})
  target_link_options(_native PRIVATE -fsanitize=${EINKORN_SANITIZE})
endif()

# einkorn_isa(NAME FLAGS...): the kernels for one instruction set, in the namespace einkorn::NAME.
function(einkorn_isa name)
  if(NOT name STREQUAL "baseline" AND NOT wanted_isas STREQUAL "all" AND NOT name IN_LIST wanted_isas)
    return()
  endif()
  list(APPEND built_isas ${name})
  set(built_isas ${built_isas} PARENT_SCOPE)
  einkorn_kernels(${name} "${kernel_sources}" ${ARGN})
endfunction()

# einkorn_narrow_isa(NAME BASE SOURCES FLAGS...): one more set for the kernels over narrow numbers, wherever BASE is built.
function(einkorn_narrow_isa name base sources)
  if(NOT base IN_LIST built_isas)
    return()
  endif()
  file(GLOB_RECURSE narrow_sources CONFIGURE_DEPENDS kernels/isa_table.cpp ${sources})
  einkorn_kernels(${name} "${narrow_sources}" ${ARGN} -DEINKORN_NARROW_ISA)
endfunction()

# einkorn_kernels(NAME SOURCES FLAGS...): sources compiled for one instruction set, and looked at.
function(einkorn_kernels name sources)
  set(library einkorn_kernels_${name})
  string(TOUPPER ${name} upper)
  target_compile_definitions(einkorn_runtime PRIVATE EINKORN_BUILT_${upper})
  if(EINKORN_KERNELS_FROM)
    file(GLOB_RECURSE objects ${EINKORN_KERNELS_FROM}/csrc/CMakeFiles/${library}.dir/*.o)
    if(NOT objects)
      message(FATAL_ERROR "EINKORN_KERNELS_FROM=${EINKORN_KERNELS_FROM} has no kernels for ${name}")
    endif()
    target_link_libraries(_native PRIVATE ${objects})
    return()
  endif()
  add_library(${library} OBJECT ${sources})
  target_include_directories(${library} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(${library} PRIVATE EINKORN_ISA=${name} ${checked})
  target_compile_options(${library} PRIVATE ${kernel_flags} ${ARGN})

  # The intrinsics' header is longer than most kernels. Read once, where no cache of objects is asked, which might not know how.
  if(NOT name STREQUAL "baseline" AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    target_precompile_headers(${library} PRIVATE simd/simd.h)
  endif()
  if(name STREQUAL "baseline" AND NOT wanted_isas MATCHES "^(all|baseline|neon)$" AND NOT EINKORN_SANITIZE)
    set_target_properties(${library} PROPERTIES EINKORN_FALLBACK ON)  # something to compare with, where a better one will run
    target_compile_options(${library} PRIVATE -O1)
  endif()
  target_link_libraries(_native PRIVATE ${library})

  # The linker merges weak symbols by name: one outside the namespace might carry AVX code to a machine without it.
  # Sanitizers bring some of their own, and what they run on is this machine.
  if(EINKORN_SANITIZE)
    return()
  endif()
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${library}.symbols-checked)
  add_custom_command(
    OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} "-DNM=${CMAKE_NM}" "-DISA=${name}" "-DSTAMP=${stamp}" "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:${library}>,|>"
            -P ${PROJECT_SOURCE_DIR}/cmake/CheckWeakSymbols.cmake
    DEPENDS $<TARGET_OBJECTS:${library}> ${PROJECT_SOURCE_DIR}/cmake/CheckWeakSymbols.cmake
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(${library}_symbols DEPENDS ${stamp})
  add_dependencies(_native ${library}_symbols)
endfunction()

einkorn_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  einkorn_isa(avx2 -march=x86-64-v3)
  # GCC's own headers of AVX-512 look uninitialised to it; our code is warned about in the other builds.
  set(avx512 -march=x86-64-v4 -mprefer-vector-width=512 $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>
             $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  einkorn_isa(avx512 ${avx512})
  set(narrow ${avx512} -mavx512bf16 -mavx512vnni)
  set(products kernels/matmul_bf16.cpp kernels/matmul_int8.cpp)
  einkorn_narrow_isa(avx512_bf16 avx512 "${products};kernels/*_pairs.cpp" ${narrow})
  # Tiles: products of matrices alone. Only where this machine has them, or all is asked for. Exceptions, which these bodies
  # neither throw nor meet, would bring a weak symbol of the compiler's where tiles are given back.
  if(wanted_isas MATCHES "all|amx")
    einkorn_narrow_isa(amx avx512 "${products}" ${narrow} -fno-exceptions -DEINKORN_TILES=1)
  endif()
  if(EINKORN_TILES_IN_SOFTWARE)
    einkorn_narrow_isa(amx_in_software avx512 "${products}" ${narrow} -fno-exceptions -DEINKORN_TILES=2)
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  einkorn_isa(neon)
endif()

list(REMOVE_ITEM wanted_isas all ${built_isas} baseline amx)
if(wanted_isas)
  message(FATAL_ERROR "EINKORN_ISAS=${EINKORN_ISAS}: unknown here: ${wanted_isas}. Instruction sets of this processor's family "
                      "are x86-64's baseline, avx2 and avx512, or arm64's neon; or say native or all.")
endif()
message(STATUS "Native engine: ${built_isas}")
