#include "core/run/model_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <calm/cpp/error.hpp>

#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::run {
namespace {

using model_test::runtime;
using testing::HasSubstr;
using testing::StartsWith;

template <class Body>
Error error_of(Body &&body) {
  try {
    body();
  } catch (const Error &e) {
    return e;
  }
  return {CALM_OK, "nothing was thrown"};
}

TEST(DomainMetadata, IsWhatThePluginSaysAndEmptyForAnUnknownDomain) {
  const ModelMetadata dictionary = domain_metadata(runtime(), "dictionary");
  EXPECT_THAT(dictionary.template_spec, StartsWith("BOS;WORD:input"));
  EXPECT_EQ(dictionary.sampler.temperature, 0.2);
  EXPECT_EQ(dictionary.sampler.top_k, 5);
  EXPECT_EQ(dictionary.sampler.max_tokens, 512);
  EXPECT_FALSE(dictionary.sampler.top_p);
  const ModelMetadata other = domain_metadata(runtime(), "cooking");
  EXPECT_EQ(other.domain, "cooking");
  EXPECT_EQ(other.template_spec, "");
  EXPECT_FALSE(other.sampler.any());
}

TEST(ModelFile, ThatHoldsSomethingElseIsRefused) {
  const calm_test::TempFolder folder;
  data::Document document;
  document.add<float>("w", std::vector<float>{1, 2}, {2});
  data::write_document(runtime(), "safetensors", document, folder.path("a.safetensors"));
  const Error error = error_of([&] { load_model(runtime(), folder.path("a.safetensors")); });
  EXPECT_EQ(error.status(), CALM_CORRUPT_DATA);
  EXPECT_EQ(std::string(error.what()),
            folder.path("a.safetensors") +
                ": expected the metadata key calm.metadata, which says what the tensors are, found "
                "none; tensors alone are a model in a folder with metadata.json");
  data::Document lengths;
  lengths.add<std::uint16_t>("lengths", std::vector<std::uint16_t>{1}, {1});
  lengths.add<std::uint16_t>("cmd_pos", std::vector<std::uint16_t>{0}, {1});
  lengths.add<std::uint16_t>("tokens", std::vector<std::uint16_t>{65}, {1});
  data::write_document(runtime(), "ctds", lengths, folder.path("a.ctds"));
  EXPECT_EQ(std::string(error_of([&] { load_model(runtime(), folder.path("a.ctds")); }).what()),
            folder.path("a.ctds") + ": expected a model (cwgt), found ctds");
}

TEST(ModelFile, WhatItCannotHoldIsFoundOutBeforehand) {
  const std::unique_ptr<LanguageModel> model = model_test::make_model(model_test::kOdd);
  ModelMetadata metadata;
  check_savable(runtime(), *model, metadata);
  metadata.domain = "two\nlines";
  EXPECT_EQ(error_of([&] { check_savable(runtime(), *model, metadata); }).status(),
            CALM_INVALID_ARGUMENT);
  EXPECT_THAT(error_of([&] { check_savable(runtime(), *model, metadata); }).what(),
              HasSubstr("domain"));
  metadata.domain = "shell";
  metadata.template_spec = std::string(5000, 'x');
  EXPECT_EQ(error_of([&] { check_savable(runtime(), *model, metadata); }).status(),
            CALM_INVALID_ARGUMENT);
  metadata.template_spec = {};
  metadata.sampler.temperature = 70.0;
  EXPECT_THAT(error_of([&] { check_savable(runtime(), *model, metadata); }).what(),
              HasSubstr("temperature"));
}

TEST(ModelFile, KeepsEverySamplerSetting) {
  const calm_test::TempFolder folder;
  const LoadedModel made =
      make_model(runtime(), "mamba", model_test::model_config(model_test::kOdd), 3);
  ModelMetadata metadata;
  metadata.sampler = {0.6, 0.9, 0.05, 5, 32, 3};
  save_model(runtime(), *made.model, *made.weights, metadata, folder.path("m.cwgt"));
  const SamplerDefaults s = load_model(runtime(), folder.path("m.cwgt")).metadata.sampler;
  EXPECT_EQ(s.temperature, 0.6);
  EXPECT_EQ(s.top_p, 0.9);
  EXPECT_EQ(s.min_p, 0.05);
  EXPECT_EQ(s.top_k, 5);
  EXPECT_EQ(s.max_tokens, 32);
  EXPECT_EQ(s.candidates, 3);
}

}  // namespace
}  // namespace calm::run
