package gate

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestUpstream_WithoutEvidence(t *testing.T) {
	lacks := func(mode towpath.PromotionMode, by towpath.AccountName) func(*Input) {
		return func(in *Input) {
			in.Promotion.Mode = mode
			for i := range in.Upstream {
				in.Upstream[i].Unseen = []towpath.Unseen{{Component: "api", Objective: "errors", Why: "Nothing was counted.", By: by}}
			}
		}
	}
	const said = "There was no evidence of errors of api there: “Nothing was counted”."
	run(t, towpath.GateUpstream, []test{
		{name: "lets nothing pass by itself", outcome: towpath.Wait, says: said, hints: "towpath promote 1.4.0 --to prod", change: lacks(towpath.PromotionAutomatic, "")},
		{name: "lets pass what a person asks for, and says so", outcome: towpath.Allow, says: "A person asked for this promotion", change: lacks(towpath.PromotionManual, "")},
		{name: "says what a promotion by hand lacks", outcome: towpath.Allow, says: said, change: lacks(towpath.PromotionManual, "")},
		{
			name: "says what was not to be judged, and waits for nothing", outcome: towpath.Allow,
			says: "api was not judged by errors, speed there: it was the first.", change: func(in *Input) {
				lacks(towpath.PromotionAutomatic, "")(in)
				for i := range in.Upstream {
					in.Upstream[i].Unseen = []towpath.Unseen{
						{Component: "api", Objective: "errors", Why: "it was the first", Unasked: true}, {Component: "api", Objective: "speed", Why: "it was the first", Unasked: true},
					}
				}
			},
		},
		{name: "counts the decision of who ended the step", outcome: towpath.Allow, says: said + " ben let it pass all the same.", change: lacks(towpath.PromotionAutomatic, "ben")},
	})
}
