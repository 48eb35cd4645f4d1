# Fails when an object of one instruction set defines a weak symbol outside its namespace einkorn::ISA.
# cmake -DNM=nm -DISA=avx2 -DSTAMP=file -DOBJECTS="a.o|b.o" -P CheckWeakSymbols.cmake

# Mangled names are compared, because demanglers give up on some lambdas: einkorn::avx2 is N7einkorn4avx2 there.

string(REPLACE "|" ";" objects "${OBJECTS}")
list(FILTER objects EXCLUDE REGEX "\\.[gp]ch$")  # a precompiled header counts among a target's objects and is none
string(LENGTH "${ISA}" length)
set(namespace "N[rVKRO]*7einkorn${length}${ISA}")  # the letters: of const and other members
execute_process(COMMAND ${NM} --defined-only ${objects} OUTPUT_VARIABLE symbols RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${NM} failed on the objects of ${ISA}")
endif()
string(REPLACE ";" "," symbols "${symbols}")
string(REPLACE "\n" ";" lines "${symbols}")
foreach(line IN LISTS lines)
  if(line MATCHES " [VWu] " AND NOT line MATCHES "${namespace}")
    message(FATAL_ERROR "weak symbol outside einkorn::${ISA}: ${line}")
  endif()
endforeach()
file(TOUCH ${STAMP})
