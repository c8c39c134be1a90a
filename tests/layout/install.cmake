# Installs the build, moves the result, and builds a plugin outside the tree with nothing but the moved
# SDK: one in C, one in C++. Then the moved program must see its own plugins, and load and use the new
# ones when told where they are.
function(step)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGV}\nexit ${result}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${work}")
step(${CMAKE_COMMAND} --install "${build}" --prefix "${work}/first")
file(RENAME "${work}/first" "${work}/moved")

file(GLOB_RECURSE package "${work}/moved/lib/cmake/calm/*")
foreach(file IN LISTS package)
  file(READ "${file}" text)
  string(FIND "${text}" "${work}" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "${file} names the prefix it was installed to")
  endif()
endforeach()

step(${CMAKE_COMMAND} -S "${source}" -B "${work}/outside" -G Ninja "-DCMAKE_C_COMPILER=${cc}"
     "-DCMAKE_CXX_COMPILER=${cxx}" "-DCMAKE_CXX_FLAGS=${flags}" "-DCMAKE_C_FLAGS=${flags}"
     "-DCMAKE_PREFIX_PATH=${work}/moved")
step(${CMAKE_COMMAND} --build "${work}/outside")
set(calm "${work}/moved/bin/calm" --plugin-path "${work}/outside")
step(${calm} plugins)
foreach(name outside outside_cpp reference)
  # With its version, which only a plugin that was loaded tells.
  if(NOT output MATCHES " ${name} +[0-9]+\\.[0-9]+\\.[0-9]+ ")
    message(FATAL_ERROR "`calm plugins` does not list ${name} with its version:\n${output}")
  endif()
endforeach()

# Both are used, not only listed: the C++ one imports, the C one gives the template of a model.
step(${calm} dataset import outside_cpp "${source}/plugin.c" -o "${work}/records.txt")
file(READ "${work}/records.txt" records)
if(NOT records MATCHES "outside plugin.c")
  message(FATAL_ERROR "the importer of outside_cpp wrote:\n${records}")
endif()
step(${calm} train --preset nano --domain outside --dataset "${data}/ctds/case12.ctds" --max-steps 1
     --set model.d_model=8 --set model.n_layers=1 --set training.warmup_steps=0 --save-dir "${work}/run")
step(${calm} info "${work}/run/model.cwgt")
if(NOT output MATCHES "template +WORD TEXT")
  message(FATAL_ERROR "the template of the domain outside is not in the model:\n${output}")
endif()
