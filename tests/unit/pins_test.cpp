// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/pins.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/datapath/shaper.hpp"

namespace natra::pods {
namespace {

using datapath::AttachMode;
using datapath::EdtPacing;
using datapath::Shaper;
using datapath::shaper_candidates;
using datapath::Wish;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Wish wish(const Pins& by_operator, const Pins& pod, const Pins& node) {
    return wish_of({.by_operator = by_operator, .pod = pod, .node = node});
}

TEST(Wish, WithoutPinsNothingIsWished) { EXPECT_EQ(wish({}, {}, {}), Wish{}); }

TEST(Wish, TheStrongestSourceDecidesEachKey) {
    const Pins node{.attach_mode = AttachMode::tcx, .shaper = Shaper::htb};
    EXPECT_EQ(wish({}, {}, node), (Wish{.attach_mode = AttachMode::tcx,
                                        .shaper = Shaper::htb,
                                        .attach_mode_by = "configuration",
                                        .shaper_by = "configuration"}));
    const Pins pod{.attach_mode = AttachMode::clsact};
    EXPECT_EQ(wish({}, pod, node), (Wish{.attach_mode = AttachMode::clsact,
                                         .shaper = Shaper::htb,
                                         .attach_mode_by = "the pod's configuration",
                                         .shaper_by = "configuration"}));
    const Pins by_operator{.edt_pacing = EdtPacing::on};
    EXPECT_EQ(wish(by_operator, pod, node), (Wish{.attach_mode = AttachMode::clsact,
                                                  .shaper = Shaper::edt,
                                                  .attach_mode_by = "the pod's configuration",
                                                  .shaper_by = "an operator"}));
}

TEST(Wish, PacingAndShaperAreOneQuestion) {
    const auto out = wish({}, {.edt_pacing = EdtPacing::off}, {.shaper = Shaper::edt});
    EXPECT_FALSE(out.shaper);
    EXPECT_TRUE(out.avoid_edt);
    EXPECT_EQ(out.shaper_by, "the pod's configuration");
    EXPECT_FALSE(wish({.shaper = Shaper::edt}, {.edt_pacing = EdtPacing::off}, {}).avoid_edt);
}

TEST(Wish, CandidatesBeginWithWhatIsWished) {
    const datapath::Features all{.tcx = true, .fq = true, .htb = true};
    EXPECT_THAT(shaper_candidates(all, {}), ElementsAre(Shaper::edt, Shaper::htb, Shaper::police));
    EXPECT_THAT(shaper_candidates(all, {.shaper = Shaper::police}),
                ElementsAre(Shaper::police, Shaper::edt, Shaper::htb));
    EXPECT_THAT(shaper_candidates(all, {.avoid_edt = true}), ElementsAre(Shaper::htb, Shaper::police));
    // Asked for and missing: tried, so that the reason can say what the kernel said.
    EXPECT_THAT(shaper_candidates({}, {.shaper = Shaper::edt}), ElementsAre(Shaper::edt, Shaper::police));
    EXPECT_THAT(shaper_candidates({}, {}), ElementsAre(Shaper::police));
}

TEST(Pins, ContradictionsNameBoth) {
    for (const auto shaper : {Shaper::htb, Shaper::police}) {
        const auto r = validate({.edt_pacing = EdtPacing::on, .shaper = shaper}, "edtPacing", "shaper");
        ASSERT_FALSE(r);
        EXPECT_EQ(r.error().what, concat("edtPacing: \"on\" contradicts shaper: \"", to_string(shaper), "\""));
        EXPECT_TRUE(validate({.edt_pacing = EdtPacing::off, .shaper = shaper}, "", ""));
        EXPECT_TRUE(validate({.shaper = shaper}, "", ""));
    }
    EXPECT_FALSE(validate({.edt_pacing = EdtPacing::off, .shaper = Shaper::edt}, "", ""));
    EXPECT_TRUE(validate({.edt_pacing = EdtPacing::on, .shaper = Shaper::edt}, "", ""));
    EXPECT_TRUE(validate({.edt_pacing = EdtPacing::on}, "", ""));
}

TEST(Pins, ParsingNamesKeyValueAndChoices) {
    EXPECT_EQ(*parse_shaper("Shaper", "auto"), std::nullopt);
    EXPECT_EQ(*parse_attach_mode("AttachMode", "tcx"), AttachMode::tcx);
    EXPECT_EQ(*parse_edt_pacing("EdtPacing", "off"), EdtPacing::off);
    EXPECT_EQ(parse_shaper("Shaper", "fq").error().what, "Shaper: \"fq\" is none of auto, edt, htb, police");
    EXPECT_EQ(parse_attach_mode("AttachMode", "").error().what, "AttachMode: \"\" is none of auto, tcx, clsact");
    EXPECT_EQ(parse_edt_pacing("EdtPacing", "On").error().what, "EdtPacing: \"On\" is none of auto, on, off");
}

TEST(Pins, WhatTheKernelLacksIsTold) {
    const datapath::Features none{.kernel = "5.10"};
    EXPECT_THAT(impossible_on(none, {}), IsEmpty());
    EXPECT_THAT(impossible_on(none, {.attach_mode = AttachMode::tcx, .edt_pacing = EdtPacing::on}),
                ElementsAre(HasSubstr("attachMode \"tcx\" is configured, but kernel 5.10 has no tcx"),
                            HasSubstr("edtPacing \"on\"")));
    EXPECT_THAT(impossible_on({.tcx = true, .fq = true, .htb = true}, {.shaper = Shaper::edt}), IsEmpty());
}

}  // namespace
}  // namespace natra::pods
