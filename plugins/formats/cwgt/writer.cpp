#include "writer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "fields.hpp"
#include "header.hpp"
#include "metadata.hpp"

namespace calm::cwgt {
namespace {

bool has_ewc_tensor(const DocumentView &document) {
  const auto &all = document.tensors();
  return std::any_of(all.begin(), all.end(), [](const calm_named_tensor &t) {
    return view(t.name).substr(0, 4) == "ewc/";
  });
}

struct Plan {
  Header header;
  std::string metadata;
};

Plan make_plan(const DocumentView &document) {
  Fields fields(document);
  Plan plan;
  Header &h = plan.header;
  Sizes &s = h.sizes;
  fields.integer("version", kOldestArchVersion, kArchVersion, kArchVersion);
  s.d_model = fields.size("d_model", 65535);
  s.n_layers = fields.size("n_layers", 255);
  s.l_max = fields.size("l_max", 65535);
  s.ffn_expand = fields.size("ffn_expand", 255);
  s.expand = fields.size("expand", 255);
  s.d_state = fields.size("d_state", 255);
  s.d_conv = fields.size("d_conv", 255);
  s.dt_rank = resolved_dt_rank(fields.integer("dt_rank", 0, 255, 0), s.d_model);
  fields.integer("vocab_size", kVocabSize, kVocabSize, kVocabSize);
  h.param_count = param_count(s);
  fields.integer("param_count", h.param_count, h.param_count, h.param_count);
  if (!fields.flag("tied", true)) {
    refuse("tied", "true", "false");
  }
  h.ewc = fields.flag("ewc", has_ewc_tensor(document));

  Metadata metadata;
  metadata.domain = fields.text("domain");
  metadata.prompt_template = fields.text("template");
  metadata.stop_conditions = fields.text("stop_conditions");
  plan.metadata = pack_metadata(metadata);
  h.meta_size = plan.metadata.size();
  for (std::size_t i = 0; i < kSamplerFields.size(); ++i) {
    const SamplerField &f = kSamplerFields[i];
    h.sampler[i] =
        f.scaled ? fields.thousandths(f.name, f.max) : fields.integer(f.name, 0, f.max, 0);
  }
  fields.refuse_others();
  return plan;
}

const float *checked_data(const DocumentView &document, const std::string &name,
                          const Parameter &p) {
  const auto rows = static_cast<std::int64_t>(p.rows), cols = static_cast<std::int64_t>(p.cols);
  const calm_type type = cols == 0 ? type_of(CALM_F32, {rows}) : type_of(CALM_F32, {rows, cols});
  const calm_named_tensor *t = document.tensor(name);
  if (t == nullptr) {
    refuse(name, describe(type), "nothing");
  }
  if (describe(t->type) != describe(type)) {
    refuse(name, describe(type), describe(t->type));
  }
  const auto *data = static_cast<const float *>(t->data);
  const std::size_t n = static_cast<std::size_t>(p.elements());
  const std::size_t bad = first_non_finite(std::span(data, n));
  if (bad != n) {
    refuse(name, "finite values",
           (std::isnan(data[bad]) ? "nan at element " : "an infinity at element ") +
               std::to_string(bad));
  }
  return data;
}

// In file order, block after block.
struct Array {
  const Parameter *parameter;
  const float *data;
};

std::vector<Array> collect_arrays(const DocumentView &document, const Header &h,
                                  const std::vector<Parameter> &parameters) {
  std::vector<const Parameter *> in_file_order;
  in_file_order.reserve(parameters.size());
  for (const Parameter &p : parameters) {
    in_file_order.push_back(&p);
  }
  std::sort(in_file_order.begin(), in_file_order.end(),
            [](const Parameter *a, const Parameter *b) { return a->offset < b->offset; });

  std::vector<Array> arrays;
  for (const std::string prefix : {"ewc/fisher/", "ewc/theta_star/", ""}) {
    if (!prefix.empty() && !h.ewc) {
      continue;
    }
    for (const Parameter *p : in_file_order) {
      arrays.push_back({p, checked_data(document, prefix + p->name, *p)});
    }
  }
  return arrays;
}

void refuse_unknown_tensors(const DocumentView &document, const Header &h,
                            const std::vector<Parameter> &parameters) {
  std::vector<std::string> known;
  for (const Parameter &p : parameters) {
    known.push_back(p.name);
    if (h.ewc) {
      known.push_back("ewc/fisher/" + p.name);
      known.push_back("ewc/theta_star/" + p.name);
    }
  }
  std::sort(known.begin(), known.end());
  for (const calm_named_tensor &t : document.tensors()) {
    if (!std::binary_search(known.begin(), known.end(), view(t.name))) {
      refuse(view(t.name), "only tensors that a CWGT file of these sizes holds", "this one");
    }
  }
}

void write_array(const Output &output, const Array &array) {
  const Parameter &p = *array.parameter;
  if (!p.transposed) {
    output.write(array.data, 4 * p.elements());
    return;
  }
  constexpr std::size_t kPiece = 1 << 16;
  std::vector<float> piece;
  piece.reserve(std::min<std::size_t>(kPiece, static_cast<std::size_t>(p.elements())));
  for (std::uint64_t col = 0; col < p.cols; ++col) {
    for (std::uint64_t row = 0; row < p.rows; ++row) {
      piece.push_back(array.data[row * p.cols + col]);
      if (piece.size() == kPiece) {
        output.write(piece.data(), 4 * piece.size());
        piece.clear();
      }
    }
  }
  output.write(piece.data(), 4 * piece.size());
}

}  // namespace

void write(const DocumentView &document, const Output &output) {
  const Plan plan = make_plan(document);
  const ByteWriter header = pack_header(plan.header);
  const std::vector<Parameter> all = parameters(plan.header.sizes);
  const std::vector<Array> arrays = collect_arrays(document, plan.header, all);
  refuse_unknown_tensors(document, plan.header, all);

  output.write(header.bytes());
  output.write(plan.metadata.data(), plan.metadata.size());
  for (const Array &array : arrays) {
    write_array(output, array);
  }
}

}  // namespace calm::cwgt
