package release

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

var today = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func day(n int) time.Time { return today.Add(time.Duration(n) * 24 * time.Hour) }

func TestRetained(t *testing.T) {
	all := map[towpath.Digest]time.Time{}
	var runs []towpath.Run // newest first: r9 runs, r8 … r0 ran before, a day each, long ago
	for i := range 10 {
		d := towpath.Digest(fmt.Sprintf("r%d", i))
		all[d] = day(-200 + i)
		run := towpath.Run{Release: d, Began: day(-100 + i), Ended: day(-99 + i), Verified: true}
		if i == 9 {
			run.Ended = time.Time{}
		}
		runs = append([]towpath.Run{run}, runs...)
	}
	month := 30 * 24 * time.Hour
	check := func(name string, h history, want ...string) {
		t.Run(name, func(t *testing.T) {
			got := retained(all, []history{h}, today)
			wanted := map[towpath.Digest]bool{}
			for _, w := range want {
				wanted[towpath.Digest(w)] = true
			}
			for d := range all {
				if got[d] != wanted[d] {
					t.Errorf("%s is kept: %v, want %v", d, got[d], wanted[d])
				}
			}
		})
	}
	check("the newest by count", history{rule: towpath.RetentionRule{Keep: 3, Age: month}, runs: runs}, "r9", "r8", "r7")
	check("what runs and the one before, whatever the rule", history{rule: towpath.RetentionRule{Keep: 1, Age: time.Hour}, runs: runs}, "r9", "r8")
	check("those that ran lately", history{rule: towpath.RetentionRule{Keep: 1, Age: 94 * 24 * time.Hour}, runs: runs}, "r9", "r8", "r7", "r6", "r5")
	check("what is in use", history{rule: towpath.RetentionRule{Keep: 1, Age: time.Hour}, runs: runs, inUse: []towpath.Digest{"r0"}}, "r9", "r8", "r0")

	bad := append([]towpath.Run(nil), runs...)
	for i := 1; i < 5; i++ {
		bad[i].Verified = false
	}
	check("the last good one, behind any number of bad ones", history{rule: towpath.RetentionRule{Keep: 1, Age: time.Hour}, runs: bad}, "r9", "r4")

	check("the last good one, behind any number of quarantined ones", history{
		rule: towpath.RetentionRule{Keep: 1, Age: time.Hour}, runs: runs, quarantined: map[towpath.Digest]bool{"r8": true, "r7": true, "r6": true},
	}, "r9", "r5")

	t.Run("one that was published just now, though it ran nowhere", func(t *testing.T) {
		if got := retained(map[towpath.Digest]time.Time{"new": day(-1)}, nil, today); !got["new"] {
			t.Error("it is given up")
		}
	})
}

func TestRetained_NeverGivesUpWhatARollbackWouldGoTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := map[towpath.Digest]time.Time{}
		for i := range 8 {
			all[towpath.Digest(fmt.Sprintf("r%d", i))] = day(-400)
		}
		one := rapid.SampledFrom(slices.Sorted(maps.Keys(all)))
		var runs []towpath.Run
		for i := range rapid.IntRange(1, 20).Draw(t, "runs") {
			runs = append(runs, towpath.Run{
				Release: one.Draw(t, "release"), Ended: day(-200 - i), Verified: rapid.Bool().Draw(t, "verified"),
			})
		}
		quarantined := map[towpath.Digest]bool{}
		for _, d := range slices.Sorted(maps.Keys(all)) {
			quarantined[d] = rapid.Bool().Draw(t, "quarantined")
		}
		rule := towpath.RetentionRule{Keep: rapid.IntRange(0, 3).Draw(t, "keep"), Age: time.Hour}
		kept := retained(all, []history{{rule: rule, runs: runs, quarantined: quarantined}}, today)
		now := runs[0].Release
		for _, r := range runs {
			if r.Verified && !quarantined[r.Release] && r.Release != now {
				if !kept[r.Release] || !inUse([]history{{runs: runs, quarantined: quarantined}})[r.Release] {
					t.Fatalf("%s is the last good one beside %s, and given up", r.Release, now)
				}
				return
			}
		}
	})
}

// TestHistory_why: what failed in an environment is kept, and not for a rollback.
func TestHistory_why(t *testing.T) {
	h := history{inUse: []towpath.Digest{"waits"}, runs: []towpath.Run{ // newest first
		{Release: "failed", Began: day(-3), Ended: day(-3)},
		{Release: "runs", Began: day(-4), Verified: true},
		{Release: "before", Began: day(-5), Ended: day(-4), Verified: true},
		{Release: "long ago", Began: day(-6), Ended: day(-5), Verified: true},
	}}
	for d, want := range map[towpath.Digest]string{
		"waits": "runs it or may go back to it", "runs": "runs it or may go back to it", "before": "runs it or may go back to it",
		"failed":   "ran it, and its rule of retention keeps the last 10 releases that it ran and what ended within 30 days",
		"long ago": "ran it, and its rule of retention keeps the last 10 releases that it ran and what ended within 30 days",
		"never":    "",
	} {
		if got := h.why(d, today); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestCheckDigest(t *testing.T) {
	for material, ok := range map[string]bool{
		"sha256:" + strings.Repeat("a", 64): true, "SHA256:" + strings.Repeat("A", 64): true, "gitCommit:" + strings.Repeat("1", 40): true,
		"left-pad": true, "redis:7": true, "pkg:npm/left-pad@1.3.1": true, "sha256sums": true,
		"sha256:zz": false, "sha256:": false, "sha256:" + strings.Repeat("z", 64): false, "sha256:" + strings.Repeat("a", 63): false,
		"sha-256:" + strings.Repeat("a", 64): false, "gitCommit:1a2b3c4": false,
	} {
		if err := checkDigest(material); (err == nil) != ok || err != nil && towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%s: %v", material, err)
		}
	}
}
