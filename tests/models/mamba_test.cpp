// The Mamba backbone as a plugin: its schema, presets, parameters and decode states. What it
// computes is checked against the golden files in tests/parity.
#include <calm/random.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/value.hpp>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/plugin/registry.hpp"

namespace calm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const calm_model &mamba() {
  static PluginRegistry *const registry = [] {
    SearchOptions search;
    search.plugin_path = {CALM_TEST_PLUGINS};
    return new PluginRegistry(search);  // plugins are never unloaded
  }();
  return registry->model("mamba");
}

// The defaults, with what `values` says instead.
std::vector<calm_value> resolve(const calm_table &values) {
  std::vector<calm_value> config;
  for (std::uint32_t i = 0; i < mamba().config.count; ++i) {
    const calm_value_spec &spec = record<calm_value_spec>(mamba().config, i);
    calm_value resolved{spec.name, spec.type, 0, spec.i64, spec.f64, spec.str};
    for (std::uint32_t j = 0; j < values.count; ++j) {
      const calm_value &given = record<calm_value>(values, j);
      if (view(given.name) == view(spec.name)) {
        resolved = given;
      }
    }
    config.push_back(resolved);
  }
  return config;
}

std::vector<calm_value> resolve(const std::vector<calm_value> &values) {
  return resolve(table(values));
}

const calm_preset &preset(std::string_view name) {
  for (std::uint32_t i = 0; i < mamba().presets.count; ++i) {
    const calm_preset &p = record<calm_preset>(mamba().presets, i);
    if (view(p.name) == name) {
      return p;
    }
  }
  throw Error(CALM_NOT_FOUND, "no preset " + std::string(name));
}

double training(const calm_preset &p, std::string_view name) {
  for (std::uint32_t i = 0; i < p.training.count; ++i) {
    const calm_value &v = record<calm_value>(p.training, i);
    if (view(v.name) == name) {
      return v.type == CALM_VALUE_F64 ? v.f64 : static_cast<double>(v.i64);
    }
  }
  return -1;
}

std::string check(const std::vector<calm_value> &config) {
  calm_error error{};
  const calm_status status =
      mamba().check(config.data(), static_cast<std::uint32_t>(config.size()), &error);
  return status == CALM_OK ? "" : error.message;
}

struct Declared {
  std::string name;
  calm_param param;
};

// A builder that only takes notes.
struct Notes {
  std::vector<Declared> params;
  std::vector<std::string> states_in, states_out, ops;
  std::set<std::string> scopes;
  calm_value_id next = 0;

  calm_builder builder() {
    calm_builder b{};
    b.size = sizeof b;
    b.real = CALM_F32;
    b.self = this;
    b.emit = [](void *self, calm_str op, std::uint32_t, const calm_value_id *, std::uint32_t,
                const calm_value *, std::uint32_t, calm_value_id *outs, std::uint32_t,
                std::uint32_t *n_out, calm_error *) {
      auto &notes = *static_cast<Notes *>(self);
      notes.ops.push_back(copy(op));
      *n_out = 3;
      for (std::uint32_t i = 0; i < *n_out; ++i) {
        outs[i] = notes.next++;
      }
      return CALM_OK;
    };
    b.param = [](void *self, const calm_param *param, calm_value_id *out, calm_error *) {
      auto &notes = *static_cast<Notes *>(self);
      notes.params.push_back({copy(param->name), *param});
      *out = notes.next++;
      return CALM_OK;
    };
    b.state_in = [](void *self, calm_str name, calm_dtype, const std::int64_t *shape,
                    std::uint32_t rank, calm_value_id *out, calm_error *) {
      calm_type type = type_of(CALM_F32, {});
      for (std::uint32_t i = 0; i < rank; ++i) {
        type.shape[type.rank++] = shape[i];
      }
      static_cast<Notes *>(self)->states_in.push_back(copy(name) + " " + describe(type));
      *out = CALM_NONE;
      return CALM_OK;
    };
    b.state_out = [](void *self, calm_str name, calm_value_id, calm_error *) {
      static_cast<Notes *>(self)->states_out.push_back(copy(name));
      return CALM_OK;
    };
    b.push_scope = [](void *self, calm_str name) {
      static_cast<Notes *>(self)->scopes.insert(copy(name));
    };
    b.pop_scope = [](void *) {};
    return b;
  }
};

Notes build(const std::vector<calm_value> &config) {
  Notes notes;
  notes.next = 2;
  const calm_builder builder = notes.builder();
  calm_model_io io{};
  io.size = sizeof io;
  io.n_config = static_cast<std::uint32_t>(config.size());
  io.config = config.data();
  io.rows = 0;
  io.offsets = 1;
  calm_value_id rows = CALM_NONE;
  call(mamba().build, &builder, &io, &rows);
  EXPECT_NE(rows, CALM_NONE);
  return notes;
}

std::int64_t count(const Notes &notes) {
  std::int64_t n = 0;
  for (const Declared &d : notes.params) {
    n += elements(d.param.type);
  }
  return n;
}

TEST(Mamba, IsABackbone) { EXPECT_EQ(mamba().role, CALM_MODEL_BACKBONE); }

TEST(Mamba, PresetsHaveTheParametersAndTrainingOfTheSpec) {
  struct Row {
    const char *name;
    std::int64_t d, parameters;
    double batch, rate, warmup;
  };
  // Spec E.10; parameters with the embedding of 320 rows.
  const Row rows[] = {{"nano", 64, 168064, 32, 1e-3, 100},
                      {"micro", 96, 649152, 16, 5e-4, 200},
                      {"mini", 128, 1876736, 16, 3e-4, 200},
                      {"small", 192, 6445440, 8, 3e-4, 200}};
  for (const Row &row : rows) {
    const calm_preset &p = preset(row.name);
    const std::vector<calm_value> config = resolve(p.model);
    EXPECT_EQ(check(config), "") << row.name;
    EXPECT_EQ(find(config, "l_max").i64, 768) << row.name;
    EXPECT_EQ(count(build(config)) + 320 * row.d, row.parameters) << row.name;
    EXPECT_EQ(training(p, "batch_size"), row.batch) << row.name;
    EXPECT_EQ(training(p, "learning_rate"), row.rate) << row.name;
    EXPECT_EQ(training(p, "warmup_steps"), row.warmup) << row.name;
    EXPECT_EQ(training(p, "epochs"), 10) << row.name;
    EXPECT_EQ(training(p, "patience"), 5) << row.name;
    EXPECT_EQ(training(p, "clip_grad_norm"), 1) << row.name;
  }
}

TEST(Mamba, DeclaresParametersInTheOrderOfTheSpecWithCheckpointShapes) {
  const Notes notes = build(resolve({value("d_model", 40), value("n_layers", 1), value("l_max", 8),
                                     value("mamba_expand", 3), value("mamba_d_state", 5),
                                     value("mamba_d_conv", 3), value("ffn_expand", 2)}));
  std::vector<std::string> declared;
  for (const Declared &d : notes.params) {
    declared.push_back(d.name + " " + describe(d.param.type));
  }
  EXPECT_THAT(
      declared,
      ElementsAre(
          "blocks.0.ln1.weight f32[40]", "blocks.0.ln1.bias f32[40]",
          "blocks.0.mixer.conv1d_weight f32[120, 3]", "blocks.0.mixer.A_log f32[120, 5]",
          "blocks.0.mixer.D f32[120]", "blocks.0.mixer.in_proj.weight f32[240, 40]",
          "blocks.0.mixer.x_proj.weight f32[13, 120]", "blocks.0.mixer.dt_proj.weight f32[120, 3]",
          "blocks.0.mixer.dt_proj.bias f32[120]", "blocks.0.mixer.out_proj.weight f32[40, 120]",
          "blocks.0.ln2.weight f32[40]", "blocks.0.ln2.bias f32[40]",
          "blocks.0.ffn_fc1.weight f32[80, 40]", "blocks.0.ffn_fc2.weight f32[40, 80]",
          "ln_f.weight f32[40]", "ln_f.bias f32[40]"));
}

TEST(Mamba, KeepsTwoDecodeStatesABlock) {
  const Notes notes =
      build(resolve({value("d_model", 8), value("n_layers", 2), value("l_max", 8)}));
  EXPECT_THAT(notes.states_in, ElementsAre("blocks.0.conv f32[16, 4]", "blocks.0.ssm f32[16, 16]",
                                           "blocks.1.conv f32[16, 4]", "blocks.1.ssm f32[16, 16]"));
  EXPECT_THAT(notes.states_out,
              ElementsAre("blocks.0.conv", "blocks.0.ssm", "blocks.1.conv", "blocks.1.ssm"));
}

TEST(Mamba, OnlyALogAndDAreNotDecayed) {
  const Notes notes =
      build(resolve({value("d_model", 8), value("n_layers", 2), value("l_max", 8)}));
  for (const Declared &d : notes.params) {
    const bool kept = d.name.ends_with(".A_log") || d.name.ends_with(".D");
    EXPECT_EQ(d.param.decay, kept ? 0u : 1u) << d.name;
  }
}

TEST(Mamba, InitialisersFollowTheSpec) {
  const Notes notes =
      build(resolve({value("d_model", 64), value("n_layers", 2), value("l_max", 8)}));
  for (const Declared &d : notes.params) {
    const calm_param &p = d.param;
    if (d.name.ends_with("out_proj.weight") || d.name.ends_with("ffn_fc2.weight")) {
      EXPECT_EQ(p.init, CALM_INIT_NORMAL) << d.name;
      EXPECT_DOUBLE_EQ(p.args[1], 0.02 / 2) << d.name;  // sqrt(2 * 2 layers)
    } else if (d.name.ends_with("in_proj.weight") || d.name.ends_with("conv1d_weight")) {
      EXPECT_EQ(p.init, CALM_INIT_NORMAL) << d.name;
      EXPECT_DOUBLE_EQ(p.args[1], 0.02) << d.name;
    } else if (d.name.ends_with("dt_proj.weight")) {
      EXPECT_EQ(p.init, CALM_INIT_UNIFORM) << d.name;
      EXPECT_DOUBLE_EQ(p.args[0], -0.5) << d.name;  // rank 4
      EXPECT_DOUBLE_EQ(p.args[1], 0.5) << d.name;
    } else if (d.name.ends_with("A_log")) {
      std::vector<float> a(static_cast<std::size_t>(elements(p.type)));
      p.fill(p.args, 1, 2, a.size(), &p.type, a.data());
      EXPECT_EQ(a[0], 0.0f);
      EXPECT_EQ(a[15], std::log(16.0f));
      EXPECT_EQ(a[16], 0.0f);
    }
  }
}

TEST(Mamba, TheStepBiasIsTheInverseSoftplusOfALogUniformStep) {
  for (const bool peer : {false, true}) {
    const Notes notes = build(resolve({value("d_model", 512), value("n_layers", 1),
                                       value("l_max", 8), value("peer_dt_init", peer)}));
    for (const Declared &d : notes.params) {
      if (!d.name.ends_with("dt_proj.bias")) {
        continue;
      }
      std::vector<float> bias(static_cast<std::size_t>(elements(d.param.type)));
      d.param.fill(d.param.args, 7, 9, bias.size(), &d.param.type, bias.data());
      double mean_log = 0;
      for (std::size_t i = 0; i < bias.size(); ++i) {
        const calm_philox4 w = calm_philox(7, static_cast<std::uint32_t>(i / 4), 0, 0, 9);
        const double dt = 0.001 * std::pow(100.0, static_cast<double>(calm_uniform(w.word[i % 4])));
        const double softplus = std::log1p(std::exp(static_cast<double>(bias[i])));
        const double expected = peer ? std::log1p(std::exp(dt) * std::expm1(dt)) : dt;
        EXPECT_NEAR(softplus / expected, 1.0, 1e-5) << i;
        mean_log += std::log(dt) / static_cast<double>(bias.size());
      }
      EXPECT_NEAR(mean_log, std::log(0.01), 0.2);
    }
  }
}

TEST(Mamba, RefusesWhatItCannotDoNamingKeyExpectedAndFound) {
  const calm_value d = value("d_model", 64);
  const calm_value n = value("n_layers", 1);
  const calm_value l = value("l_max", 8);
  EXPECT_EQ(check(resolve({d, n, l, value("dropout", 0.1)})), "dropout: expected 0, found 0.1");
  EXPECT_EQ(check(resolve({d, n, l, value("tie_weights", false)})),
            "tie_weights: expected true, found false");
  EXPECT_THAT(check(resolve({value("d_model", 65535), n, l})),
              HasSubstr("mamba_dt_rank: expected at most 255, found ceil(d_model/16) = 4096"));
  EXPECT_THAT(check(resolve({value("d_model", 65535), value("n_layers", 255), l,
                             value("mamba_dt_rank", 1), value("mamba_expand", 255)})),
              HasSubstr("parameters, found"));
}

}  // namespace
}  // namespace calm
