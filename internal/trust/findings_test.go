package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/towpath"
)

func flags(tool string, s towpath.Severity, ids ...string) (out []gate.Flag) {
	for _, id := range ids {
		out = append(out, gate.Flag{Tool: tool, ScanFinding: towpath.ScanFinding{ID: id, Severity: s}})
	}
	return out
}

// TestFlagged_With: an ID is news once, by its worst, whoever found it; of what
// reports have no room for it is news that there is more than ever before.
func TestFlagged_With(t *testing.T) {
	told, n := Flagged{IDs: []string{"CVE-1"}, More: 5}.with(slices.Concat(
		flags("Grype", towpath.SeverityHigh, "CVE-1", "CVE-2", "CVE-3"), flags("Trivy", towpath.SeverityCritical, "CVE-3", "CVE-4"),
	), 7)
	if want := []string{"CVE-1", "CVE-2", "CVE-3", "CVE-4"}; !slices.Equal(told.IDs, want) || told.More != 7 {
		t.Errorf("then it was told of %+v", told)
	}
	if want := []string{"CVE-3", "CVE-4", "CVE-2"}; !slices.Equal(n.IDs, want) || !slices.Equal(n.Tools, []string{"Trivy", "Grype"}) ||
		len(n.Severities) != 2 || n.Severities[towpath.SeverityCritical] != 2 || n.Severities[towpath.SeverityHigh] != 1 || n.More != 2 {
		t.Errorf("news is %+v", n)
	}
	ev, err := n.event(time.Unix(0, 0))
	if err != nil || !strings.HasSuffix(ev.Reason, ": 2 critical, 1 high, 2 that reports have no room for (CVE-3, CVE-4, CVE-2)") {
		t.Errorf("recorded %q, %v", ev.Reason, err)
	}
	again, n := told.with(flags("Trivy", towpath.SeverityCritical, "CVE-4"), 6)
	if len(n.IDs) > 0 || n.More > 0 || !slices.Equal(again.IDs, told.IDs) || again.More != 7 {
		t.Errorf("what is gone, and what is still there, is news: %+v; then it was told of %+v", n, again)
	}
}

// TestFlagged_IsBounded: an event names some, and what is remembered is what is
// found now when there is no room for all that ever was.
func TestFlagged_IsBounded(t *testing.T) {
	var many []string
	for i := range maxFlags {
		many = append(many, fmt.Sprintf("CVE-%05d", i))
	}
	told, n := Flagged{}.with(flags("Trivy", towpath.SeverityHigh, many...), 0)
	if len(told.IDs) != maxFlags || len(n.IDs) != shownFlags || n.Severities[towpath.SeverityHigh] != maxFlags {
		t.Errorf("%d are remembered, %d named, %v counted", len(told.IDs), len(n.IDs), n.Severities)
	}
	if told, _ = told.with(flags("Trivy", towpath.SeverityHigh, "CVE-new", many[0]), 0); !slices.Equal(told.IDs, []string{many[0], "CVE-new"}) {
		t.Errorf("%d are remembered", len(told.IDs))
	}
}

// TestPassing: what will never be read is not tried for ever.
func TestPassing(t *testing.T) {
	away := towpath.E(towpath.KindUnavailable, "", "it can't be had now")
	if err := passing(t.Context(), away); !errors.Is(err, away) {
		t.Errorf("of what can't be read now: %v", err)
	}
	if err := passing(t.Context(), towpath.E(towpath.KindNotFound, "", "it is gone")); err != nil {
		t.Errorf("of what is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := passing(ctx, ctx.Err()); err == nil {
		t.Error("what was interrupted is not done again")
	}
}
