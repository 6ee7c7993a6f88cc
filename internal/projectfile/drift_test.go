package projectfile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
)

func driftOf(t *testing.T, text string) (towpath.ComponentSpec, error) {
	t.Helper()
	p, err := projectfile.Parse([]byte("version: 1\nproject: shop\ncomponents:\n  api: {kind: process, path: api, drift: "+text+
		", process: {command: [a]}}\nenvironments: {dev: {}}\n"), builders())
	if err != nil {
		return towpath.ComponentSpec{}, err
	}
	return p.Components[0], nil
}

func TestParse_Drift(t *testing.T) {
	for text, want := range map[string]struct {
		mode  towpath.DriftPolicy
		rules *towpath.DriftRules
	}{
		"repair":         {towpath.DriftRepair, nil},
		"{mode: repair}": {towpath.DriftRepair, nil}, // is the same release as the short form
		"{mode: report}": {towpath.DriftReport, nil},
		"{debounce: 10m, flapping: {within: 1h}}": {towpath.DriftReport, &towpath.DriftRules{Debounce: 10 * time.Minute, Window: time.Hour}},
		"{ignore: []}": {towpath.DriftReport, nil},
		`{mode: repair, ignore: ["var/*.db", "cache/**"], debounce: 10s, backoff: 1m, backoffMax: 2h, flapping: {repairs: 5, within: 30m}}`: {
			towpath.DriftRepair, &towpath.DriftRules{
				Ignore: []string{"cache/**", "var/*.db"}, Debounce: 10 * time.Second, Backoff: time.Minute, BackoffMax: 2 * time.Hour,
				Repairs: 5, Window: 30 * time.Minute,
			},
		},
	} {
		c, err := driftOf(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.rules, c.DriftRules); diff != "" || c.Drift != want.mode {
			t.Errorf("%s: %s, %s", text, c.Drift, diff)
		}
	}
}

func TestParse_DriftProblems(t *testing.T) {
	for text, want := range map[string]string{
		"{mode: repare}":                          "did you mean repair?",
		"{mod: repair}":                           "did you mean mode?",
		"repare":                                  "did you mean repair?",
		"{ignore: ['*']}":                         "covers files of any name",
		"{ignore: ['*/**']}":                      "covers files of any name",
		"{ignore: ['[a-z]*/**']}":                 "covers files of any name",
		"{ignore: ['?*.?*']}":                     "covers files of any name",
		"{ignore: ['a**']}":                       "** stands alone between slashes",
		"{ignore: ['a[']}":                        "is no pattern",
		"{ignore: [cache/, cache]}":               "stands here a second time",
		"{debounce: 2h}":                          "is not between 1s and 1h",
		"{backoff: 1h, backoffMax: 1m}":           "shorter than the first one",
		"{debounce: 11m, flapping: {within: 1h}}": "be repaired for ever let it be at least 1h6m0s",
		"{debounce: 10m, flapping: {repairs: 4, within: 1h}}": "4 repairs, each after its difference was seen for 10m0s",
		"{flapping: {repairs: 0, within: 1h}}":                "is not between 1 and 20",
		"{flapping: {repairs: 3, within: 720h}}":              "is not between 1m0s and 168h",
	} {
		_, err := driftOf(t, text)
		var all projectfile.Problems
		if !errors.As(err, &all) || len(all) != 1 || !strings.Contains(all[0].Message+" "+all[0].Hint, want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
