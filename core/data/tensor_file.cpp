#include "core/data/tensor_file.hpp"

#include <calm/cpp/error.hpp>

namespace calm::data {

void write_tensors(run::Runtime &runtime, std::string_view format,
                   std::span<const calm_named_tensor> tensors, OutputFile &file) {
  calm_document document{};
  document.size = sizeof document;
  document.tensors = table(tensors);
  const calm_sink sink = file.sink();
  calm_error error{};
  check(runtime.plugins().format(format).write(&document, runtime.host().table(), &sink, &error),
        error, file.path());
}

}  // namespace calm::data
